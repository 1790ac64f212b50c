"""Checks on single files: unreadable, empty, badly shaped, or too small for the network."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mlops_cls.data.doctor.findings import Finding, Severity, Subject, cases, counted
from mlops_cls.errors import first_few
from mlops_cls.pictures import GREY_MODES

BLANK = 1.0  # standard deviation in grey levels
NARROW = 3.0
ENLARGED = 2.0


def unreadable(subject: Subject) -> Iterator[Finding]:
    """Files that could not be decoded and were left out."""
    if subject.skipped:
        named = first_few([f"{name}: {reason}" for name, reason in subject.skipped.items()], 3)
        yield Finding(
            kind="unreadable",
            severity=Severity.warn,
            title=f"{counted(len(subject.skipped), 'file')} cannot be used ({named})",
            cure="mend or remove them; data.on_bad=skip leaves them out",
            numbers={"files": len(subject.skipped)},
            cases=[[name] for name in subject.skipped],
        )


def blank(subject: Subject) -> Iterator[Finding]:
    """Pictures of one colour."""
    yield from _odd(
        subject,
        subject.numbers("contrast") < BLANK,
        "blank",
        Severity.warn,
        "of one colour",
        "look at them: a picture that shows nothing should have no label",
    )


def narrow(subject: Subject) -> Iterator[Finding]:
    """Pictures of which a centre crop would show only a part."""
    width, height = subject.numbers("width"), subject.numbers("height")
    ratio = np.maximum(width, height) / np.minimum(width, height)
    cropped = subject.geometry.resize == "crop"
    yield from _odd(
        subject,
        ratio > NARROW,
        "narrow",
        Severity.warn if cropped else Severity.note,
        f"longer than {NARROW:.0f} times their width",
        "data.resize=pad shows them whole" if cropped else "they are shown whole",
    )


def enlarged(subject: Subject) -> Iterator[Finding]:
    """Pictures much smaller than what the network sees."""
    short = np.minimum(subject.numbers("width"), subject.numbers("height"))
    yield from _odd(
        subject,
        short * ENLARGED <= subject.geometry.size,
        "enlarged",
        Severity.note,
        f"enlarged {ENLARGED:.0f} times or more to {subject.geometry.size} pixels",
        "a smaller data.size would train faster and lose nothing",
    )


def mixed_modes(subject: Subject) -> Iterator[Finding]:
    """Grey pictures among coloured ones."""
    grey = np.isin(subject.words("mode"), sorted(GREY_MODES))
    if subject.geometry.channels == 3:
        yield from _odd(
            subject,
            grey & (not grey.all()),
            "grey_among_colour",
            Severity.note,
            "grey among coloured ones",
            "data.channels=grey makes all of them grey, if colour should not matter",
        )


def _odd(
    subject: Subject, odd: NDArray[np.bool_], kind: str, severity: Severity, what: str, cure: str
) -> Iterator[Finding]:
    rows = np.flatnonzero(odd).tolist()
    if rows:
        yield Finding(
            kind=kind,
            severity=severity,
            title=f"{counted(len(rows), 'picture')} {'is' if len(rows) == 1 else 'are'} {what}",
            cure=cure,
            numbers={"pictures": len(rows)},
            cases=cases(subject.ids, [[row] for row in rows]),
        )
