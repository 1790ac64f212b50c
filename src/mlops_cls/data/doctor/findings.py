"""What the doctor says: findings by severity, kept as JSON beside the prepared pictures."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from mlops_cls.data.manifest import Geometry, readable

if TYPE_CHECKING:
    import pyarrow as pa

FILE = "check.json"
MOST_CASES = 1000  # of one finding that are kept; `numbers` count all of them


class Severity(StrEnum):
    """fail: a score would be dishonest. warn: it may be. note: worth knowing."""

    fail = "fail"
    warn = "warn"
    note = "note"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One fault or oddity: what was found with its numbers, what to do, and the pictures in question.

    `cases` are lists of ids that belong together, such as the copies of one picture.
    """

    kind: str
    severity: Severity
    title: str
    cure: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    cases: Sequence[Sequence[str]] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """All findings on one prepared data set, the gravest first."""

    findings: tuple[Finding, ...]

    def summary(self) -> dict[str, int]:
        """Return the number of findings per severity."""
        return {severity.value: len(self.of(severity)) for severity in Severity}

    def of(self, severity: Severity) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity is severity]

    def save(self, folder: Path) -> None:
        values = {"summary": self.summary(), "findings": [asdict(finding) for finding in self.findings]}
        (folder / FILE).write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        with readable(folder):
            values = json.loads((folder / FILE).read_text(encoding="utf-8"))
            return cls(tuple(Finding(**v | {"severity": Severity(v["severity"])}) for v in values["findings"]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What the checks look at: one entry per picture in each of the sequences, in the same order.

    `labels` are class indices int64[N]; `facts` has the columns of `data/facts.py`.
    """

    classes: Sequence[str]
    geometry: Geometry
    ids: Sequence[str]
    splits: Sequence[str]
    labels: NDArray[np.int64]
    groups: Sequence[str | None]
    facts: "pa.Table"
    skipped: Mapping[str, str]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return a column of the facts that holds numbers."""
        return np.asarray(self.facts[name].to_numpy(), np.float64)

    def words(self, name: str) -> NDArray[np.str_]:
        """Return a column of the facts that holds words."""
        return np.array(self.facts[name].to_pylist(), np.str_)

    def bytes(self, name: str) -> list[bytes]:
        """Return a column of the facts that holds bytes."""
        return list(self.facts[name].to_pylist())


def cases(ids: Sequence[str], clusters: Iterable[Sequence[int] | NDArray[np.int64]]) -> list[list[str]]:
    """Return clusters of positions as lists of ids, so many as a report keeps."""
    return [[ids[i] for i in cluster] for _, cluster in zip(range(MOST_CASES), clusters, strict=False)]


def counted(number: int, what: str) -> str:
    """Return ``1 picture``, ``1,234 pictures``."""
    return f"{number:,} {what if number == 1 else _plural(what)}"


def _plural(word: str) -> str:
    return word[:-1] + "ies" if word.endswith("y") else word + ("es" if word.endswith("s") else "s")
