"""What can be told of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_cls.card import ModelCard
from mlops_cls.choices import Upload
from mlops_cls.pictures import Pixels

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger


@dataclass(frozen=True, slots=True)
class Example:
    """A picture uint8[H,W,C] with the class that it has, the one that it is given, and how surely (0 to 1)."""

    picture: Pixels
    true: str
    predicted: str
    confidence: float

    def __str__(self) -> str:
        return f"true {self.true}, predicted {self.predicted} ({self.confidence:.2f})"


class Tracker:
    """A run's place in a tracking service. This one is nowhere: there is no `logger` for the Trainer, nothing is told.

    Nothing that goes wrong in telling ends a run: it is said, and the run goes on.
    """

    logger: "Logger | None" = None
    shows_examples = False

    def show(self, examples: Sequence[Example]) -> None:
        """Send labelled pictures of a validation."""

    def summarise(self, scores: Mapping[str, float], pictures: Mapping[str, Path]) -> None:
        """Send the final scores and plots."""

    def keep_model(self, card: ModelCard, files: Mapping[Upload, Sequence[Path]]) -> None:
        """Keep the finished model as a version: of the `files`, those for `Upload.best` and what the config adds."""

    def preempted(self) -> None:
        """Say that the run was interrupted and goes on later, so that a sweep gives it out again."""

    def finish(self, *, failed: bool) -> None:
        """Close the run."""
