"""Checks on who is in which split: groups torn apart, classes that are missing, rare or drowned."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from mlops_cls.data.doctor.findings import Finding, Severity, Subject, cases, counted
from mlops_cls.data.split import SPLITS
from mlops_cls.errors import first_few

FEW = 10
UNEQUAL = 10


def torn_groups(subject: Subject) -> Iterator[Finding]:
    """Groups (a lesion, a person, a strip) with pictures in more than one split."""
    members: dict[str, list[int]] = defaultdict(list)
    for i, group in enumerate(subject.groups):
        if group is not None:
            members[group].append(i)
    torn = [rows for rows in members.values() if len({subject.splits[i] for i in rows}) > 1]
    if torn:
        pictures = sum(map(len, torn))
        yield Finding(
            kind="group_leak",
            severity=Severity.fail,
            title=f"{counted(len(torn), 'group')} with {counted(pictures, 'picture')} are in more than one split, "
            f"of {counted(len(members), 'group')}",
            cure="data.split=group keeps every group in one split",
            numbers={"groups": len(torn), "pictures": pictures, "all_groups": len(members)},
            cases=cases(subject.ids, sorted(torn, key=lambda rows: -len(rows))),
        )


def missing_classes(subject: Subject) -> Iterator[Finding]:
    """Classes that a split does not hold."""
    found = _counts(subject)
    for split in SPLITS:
        missing = [name for label, name in enumerate(subject.classes) if not found[split, label]]
        if missing:
            yield Finding(
                kind="missing_class",
                severity=Severity.warn,
                title=f"{split} holds no picture of {first_few(missing)}",
                cure="scores of that split say nothing about it: move pictures there, or use data.split=stratified",
                numbers={"classes": len(missing)},
            )


def tiny_classes(subject: Subject) -> Iterator[Finding]:
    """Classes with too few training pictures to learn from."""
    few = {name: number for name, number in _training_pictures(subject).items() if number < FEW}
    if few:
        listing = first_few([f"{name} {number}" for name, number in few.items()])
        yield Finding(
            kind="tiny_class",
            severity=Severity.warn,
            title=f"fewer than {FEW} training pictures of {counted(len(few), 'class')}: {listing}",
            cure="add pictures, or merge or leave out the class; its scores are luck",
            numbers=few,
        )


def imbalance(subject: Subject) -> Iterator[Finding]:
    """A class with far fewer training pictures than the largest."""
    counts = _training_pictures(subject)
    smallest, largest = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    ratio = counts[largest] / max(counts[smallest], 1)
    if ratio >= UNEQUAL:
        yield Finding(
            kind="imbalance",
            severity=Severity.warn,
            title=f"{largest} has {ratio:.0f} times the training pictures of {smallest} "
            f"({counts[largest]:,} and {counts[smallest]:,})",
            cure="read balanced accuracy, not accuracy; data.sampler=balanced or loss.class_weights=balanced helps",
            numbers={"ratio": round(ratio, 1)},
        )


def _training_pictures(subject: Subject) -> dict[str, int]:
    counts = _counts(subject)
    return {name: counts["train", label] for label, name in enumerate(subject.classes)}


def _counts(subject: Subject) -> Counter[tuple[str, int]]:
    return Counter(zip(subject.splits, subject.labels.tolist(), strict=True))
