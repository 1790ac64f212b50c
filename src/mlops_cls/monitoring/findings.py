"""What a look for drift comes to: the same value behind the command's JSON and page, and behind GET /monitoring."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlops_cls.monitoring import words
from mlops_cls.monitoring.drift import ALPHA, ENOUGH, Change
from mlops_cls.monitoring.reference import Reference
from mlops_cls.monitoring.windows import Accuracy, Window

FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """Whether pictures or answers have changed.

    Args:
        model: the version that answered.
        pictures: that were tested, or are there already where they are not enough.
        needed: how many are.
        since: time of the first of them; None where times are not known.
        until: of the last.
        changes: the tests of all pictures; empty where there are too few.
        windows: earlier and smaller looks, in the order of time.
        accuracy: where people told the true class.
        alpha: chance of a false alarm.
        past_counts: whether a window that had changed is drift, even if all pictures together have not.
        words: in place of the usual sentence.
    """

    model: str
    pictures: int
    needed: int
    since: datetime | None = None
    until: datetime | None = None
    changes: Sequence[Change] = ()
    windows: Sequence[Window] = ()
    accuracy: Accuracy | None = None
    alpha: float = ALPHA
    past_counts: bool = False
    words: str = ""

    @property
    def enough(self) -> bool:
        return bool(self.changes)

    @property
    def drifted_windows(self) -> list[Window]:
        return [window for window in self.windows if window.drift]

    @property
    def drift(self) -> bool:
        return any(change.drift for change in self.changes) or bool(self.past_counts and self.drifted_windows)

    def say(self) -> str:
        """Return a sentence for a person."""
        if self.words or not self.enough:
            return self.words or words.too_few(self.pictures, self.needed)
        if self.drift and not any(change.drift for change in self.changes):
            together = f"though not in all {words.counted(self.pictures)} together"
            return f"{self._began()}, {together}. {self.drifted_windows[0].words}"
        began = f" {self._began()}." if len(self.windows) > 1 and self.drifted_windows else ""
        return words.verdict(self.pictures, self.changes) + began

    def _began(self) -> str:
        drifted = self.drifted_windows
        first = f"{drifted[0].since:%Y-%m-%d %H:%M} UTC"
        return f"Drift in {len(drifted)} of {len(self.windows)} windows, first in that from {first}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "format": FORMAT,
            "model": self.model,
            "since": self.since and self.since.isoformat(),
            "until": self.until and self.until.isoformat(),
            "pictures": self.pictures,
            "needed": self.needed,
            "enough": self.enough,
            "drift": self.drift,
            "alpha": self.alpha,
            "tests": [change.to_dict() | {"words": words.of_change(change)} for change in self.changes],
            "windows": [window.to_dict() for window in self.windows],
            "accuracy": self.accuracy and self.accuracy.to_dict(),
            "words": self.say(),
        }


def small_reference(reference: Reference) -> str:
    """Return why a reference cannot be compared with; nothing if it can."""
    number = len(reference.predicted)
    if number >= ENOUGH:
        return ""
    return (
        f"The model's reference has {words.counted(number)}, which are too few to compare with: {ENOUGH} are needed in "
        "the validation split."
    )
