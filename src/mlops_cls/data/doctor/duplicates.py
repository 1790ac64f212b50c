"""Checks on copies: one picture in two splits, or under two labels."""

from collections.abc import Iterator, Sequence

import numpy as np

from mlops_cls.data.doctor.copies import Rows, exact_copies, near_copies, thumbs_of
from mlops_cls.data.doctor.findings import Finding, Severity, Subject, cases, counted
from mlops_cls.data.facts import THUMB

FEW = 0.005  # share of the val and test pictures whose copies can change a score by less than its own interval
REMOVE = "remove the copies, or give them a common group and use data.split=group"


def duplicates(subject: Subject) -> Iterator[Finding]:
    """Equal pictures in two splits, under two labels, or simply twice."""
    clusters = exact_copies(subject.bytes("digest"))
    yield from _across_splits(subject, clusters, "duplicate_leak", "equal")
    yield from _two_labels(subject, clusters, "label_conflict", "equal")
    harmless = [c for c in clusters if _one(c, subject.splits) and _one(c, subject.labels.tolist())]
    if harmless:
        spare = sum(map(len, harmless)) - len(harmless)
        yield Finding(
            kind="duplicates",
            severity=Severity.note,
            title=f"{counted(len(harmless), 'picture')} {'is' if len(harmless) == 1 else 'are'} there more than once "
            f"in the same split, {counted(spare, 'copy')} too many",
            cure="copies count twice in training and in scores: remove them",
            numbers={"pictures": len(harmless), "copies": spare},
            cases=cases(subject.ids, harmless),
        )


def near_duplicates(subject: Subject) -> Iterator[Finding]:
    """Pictures that differ only in encoding, size or a few pixels, in two splits or under two labels."""
    digests = subject.bytes("digest")
    # A picture with fewer pixels than a thumb shows too little: two threes of 8x8 pixels are no copies.
    large = np.flatnonzero(np.minimum(subject.numbers("width"), subject.numbers("height")) >= THUMB[0])
    found = near_copies(thumbs_of(subject.bytes("thumb"))[large])
    clusters = [large[c] for c in found if not _one(large[c], digests)]
    yield from _across_splits(subject, clusters, "near_duplicate_leak", "nearly equal")
    yield from _two_labels(subject, clusters, "near_label_conflict", "nearly equal")


def _across_splits(subject: Subject, clusters: Sequence[Rows], kind: str, how: str) -> Iterator[Finding]:
    torn = [c for c in clusters if not _one(c, subject.splits)]
    scored = {i for c in torn for i in c.tolist() if subject.splits[i] != "train"}
    if torn:
        all_scored = sum(split != "train" for split in subject.splits)
        certain = how == "equal" and len(scored) > FEW * all_scored
        yield Finding(
            kind=kind,
            severity=Severity.fail if certain else Severity.warn,
            title=f"{counted(len(torn), 'picture')} {'has' if len(torn) == 1 else 'have'} {how} copies in another "
            f"split; {len(scored):,} of the {all_scored:,} val and test pictures are among them",
            cure=REMOVE,
            numbers={"pictures": len(torn), "val_and_test": len(scored)},
            cases=cases(subject.ids, torn),
        )


def _two_labels(subject: Subject, clusters: Sequence[Rows], kind: str, how: str) -> Iterator[Finding]:
    disputed = [c for c in clusters if not _one(c, subject.labels.tolist())]
    if disputed:
        yield Finding(
            kind=kind,
            severity=Severity.warn,
            title=f"{counted(len(disputed), 'picture')} {'has' if len(disputed) == 1 else 'have'} {how} copies under "
            "another label",
            cure="one of the labels is wrong: look at them and correct it, or take them out",
            numbers={"pictures": len(disputed)},
            cases=cases(subject.ids, disputed),
        )


def _one(cluster: Rows, values: Sequence[object]) -> bool:
    return len({values[i] for i in cluster.tolist()}) == 1
