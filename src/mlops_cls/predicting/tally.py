"""What a stream of answers amounts to: how many of each class, and what a person should look at."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mlops_cls.card import ModelCard
from mlops_cls.predicting.answers import Answer

MOST_NAMED = 5  # unreadable pictures
MOST_CLASSES = 30
ABSTAINED, UNREADABLE = "abstained", "unreadable"


@dataclass(slots=True)
class Tally:
    """Counts answers as they pass; `kept` are those with a small copy of their picture."""

    card: ModelCard
    labels: Counter[str] = field(default_factory=Counter)
    abstained: int = 0
    unreadable: int = 0
    named: list[str] = field(default_factory=list)
    kept: list[Answer] = field(default_factory=list)

    def counted(self, answers: Iterable[Answer]) -> Iterator[Answer]:
        """Yield the answers again."""
        for answer in answers:
            self._count(answer)
            yield answer

    def _count(self, answer: Answer) -> None:
        if answer.thumb is not None:
            self.kept.append(answer)
        if answer.prediction is None:
            self.unreadable += 1
            self.named += [f"{answer.path}: {answer.error}"] if len(self.named) < MOST_NAMED else []
            return
        self.labels[answer.prediction.label] += 1
        self.abstained += answer.prediction.abstains

    @property
    def total(self) -> int:
        return self.labels.total() + self.unreadable

    def failure(self) -> str:
        """Return what to say of pictures that could not be read."""
        more = self.unreadable - len(self.named)
        named = ", ".join(self.named) + (f" and {more} more" if more else "")
        return f"{self.unreadable} of {self.total} pictures could not be read ({named})"

    def lines(self, seconds: float) -> list[str]:
        """Return the summary for a person, most frequent class first."""
        rows = self.labels.most_common(MOST_CLASSES)
        width = max(map(len, [*(name for name, _ in rows), UNREADABLE]))
        shown = [f"  {name:<{width}}  {self._share(number)}" for name, number in rows]
        if len(self.labels) > MOST_CLASSES:
            shown.append(f"  and {len(self.labels) - MOST_CLASSES} classes more")
        return [
            f"{self.total} pictures in {seconds:.1f} s, {self.total / seconds:.0f} a second",
            *shown,
            *self._odd(width),
        ]

    def _odd(self, width: int) -> list[str]:
        threshold = self.card.calibration.threshold
        lines = [f"  {UNREADABLE:<{width}}  {self._share(self.unreadable)}"] if self.unreadable else []
        if threshold:  # at 0 nothing is ever left to a person
            why = f"with a confidence below {threshold:.2f}: look at them yourself"
            lines.append(f"  {ABSTAINED:<{width}}  {self._share(self.abstained)}  {why}")
        return lines

    def _share(self, number: int) -> str:
        return f"{number:>7}  {number / max(1, self.total):>6.1%}"
