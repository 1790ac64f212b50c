"""Runs every check on a prepared data set."""

from collections.abc import Callable, Iterator

from mlops_cls.data.doctor.duplicates import duplicates, near_duplicates
from mlops_cls.data.doctor.files import blank, enlarged, mixed_modes, narrow, unreadable
from mlops_cls.data.doctor.findings import Finding, Report, Severity, Subject
from mlops_cls.data.doctor.shortcuts import shortcuts
from mlops_cls.data.doctor.splits import imbalance, missing_classes, tiny_classes, torn_groups

Check = Callable[[Subject], Iterator[Finding]]
CHECKS: tuple[Check, ...] = (
    torn_groups, duplicates, near_duplicates, missing_classes, tiny_classes, imbalance, shortcuts,
    unreadable, blank, narrow, mixed_modes, enlarged,
)  # fmt: skip


def examine(subject: Subject) -> Report:
    """Return what all checks find, the gravest first."""
    order = list(Severity)
    found = [finding for check in CHECKS for finding in check(subject)]
    return Report(tuple(sorted(found, key=lambda finding: order.index(finding.severity))))
