"""Pictures in, class names with probabilities out: the same class for checkpoints and, torch-free, for bundles.

Needs numpy and Pillow only; torch is imported when a checkpoint is loaded.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mlops_cls.card import ModelCard
from mlops_cls.pictures import PictureSource, Pixels, load_picture

Forward = Callable[[Pixels], NDArray[np.float32]]
BATCH = 64


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one picture; `probabilities` has every class, in the card's order."""

    label: str
    index: int
    confidence: float
    probabilities: dict[str, float]

    def top(self, k: int) -> list[tuple[str, float]]:
        """Return the `k` most probable classes, best first."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])[:k]


class Predictor:
    """Classifies pictures exactly as training and evaluation saw them.

    Args:
        card: class names and preprocessing.
        forward: uint8[B,C,H,W] pictures in the card's geometry to float32[B,K] probabilities.
    """

    def __init__(self, card: ModelCard, forward: Forward) -> None:
        self.card = card
        self._forward = forward

    @classmethod
    def load(cls, path: str | Path, *, device: str = "auto") -> Self:
        """Load a run folder or a checkpoint.

        Args:
            path: a run folder (its best checkpoint is taken) or a .ckpt file.
            device: auto, cpu, cuda or mps.

        Raises:
            ArtifactError: missing, damaged, a pickle, or not ours.
            ConfigError: no such device here.
        """
        from mlops_cls.checkpoint_forward import load_forward
        from mlops_cls.run import find_checkpoint

        return cls(*load_forward(find_checkpoint(path), device))

    def __call__(self, picture: PictureSource) -> Prediction:
        """Classify one picture: path, bytes, open file, PIL image, or array uint8[H,W] or uint8[H,W,C].

        Raises:
            PictureError: it cannot be decoded.
        """
        return self.batch([picture])[0]

    def batch(self, pictures: Iterable[PictureSource]) -> list[Prediction]:
        """Classify several pictures; all must be readable."""
        return self.classify([self.fit(picture) for picture in pictures])

    def fit(self, picture: PictureSource) -> Pixels:
        """Return uint8[H,W,C]: the picture as the network will see it."""
        wanted = self.card.preprocess
        _, pixels = load_picture(
            picture,
            wanted.size,
            resize=wanted.resize,
            crop=wanted.crop,
            interpolation=wanted.interpolation,
            channels=wanted.channels,
        )
        return pixels

    def classify(self, fitted: Sequence[Pixels]) -> list[Prediction]:
        """Classify pictures that `fit` has returned."""
        answers: list[Prediction] = []
        for start in range(0, len(fitted), BATCH):
            batch = np.stack(fitted[start : start + BATCH]).transpose(0, 3, 1, 2)
            answers += map(self._prediction, self._forward(batch))
        return answers

    def _prediction(self, row: NDArray[np.float32]) -> Prediction:
        best = int(row.argmax())
        probabilities = dict(zip(self.card.classes, row.tolist(), strict=True))
        return Prediction(self.card.classes[best], best, float(row[best]), probabilities)
