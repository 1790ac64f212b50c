"""Pictures in, class names with probabilities out: the same class for checkpoints and, torch-free, for bundles.

Needs numpy and Pillow only; torch is imported when a checkpoint is loaded, pandas when a table is asked for.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mlops_cls.backends.base import Backend
from mlops_cls.backends.kinds import DEFAULT
from mlops_cls.bundle import Bundle
from mlops_cls.card import ModelCard
from mlops_cls.errors import ArtifactError, ConfigError, MlopsError
from mlops_cls.pictures import Loaded, PictureSource, Pixels, load_picture
from mlops_cls.publishing.fetch import local

if TYPE_CHECKING:
    import pandas as pd

BATCH = 64
MAX_PIXELS = 89_478_485
"""Pillow's own limit: a picture that would take more than a quarter of a gigabyte in memory is not decoded."""


class Answers(NamedTuple):
    """Calibrated probabilities float32[B,K], and what the last layer is given, float32[B,F] or None."""

    probabilities: NDArray[np.float32]
    embeddings: NDArray[np.float32] | None


Forward = Callable[[Pixels], tuple[NDArray[np.float32], NDArray[np.float32] | None]]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one picture.

    `probabilities` has every class, in the card's order; `attributes` what the card tells of the predicted class, such
    as ``is_cancer``; `abstains` is set where the confidence is below the card's threshold: look at it yourself.
    """

    label: str
    index: int
    confidence: float
    probabilities: dict[str, float]
    attributes: dict[str, Any] = field(default_factory=dict)
    abstains: bool = False

    def top(self, k: int) -> list[tuple[str, float]]:
        """Return the `k` most probable classes, best first."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])[:k]


class Predictions(list[Prediction]):
    """A list of predictions, in the order of the pictures."""

    def to_frame(self) -> "pd.DataFrame":
        """Return a row per picture: label, confidence, abstains, attributes, and ``p(CLASS)`` for each class.

        Raises:
            MlopsError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MlopsError("to_frame() needs pandas, which is not installed: pip install pandas") from error
        return pd.DataFrame(
            {
                "label": each.label,
                "confidence": each.confidence,
                "abstains": each.abstains,
                **each.attributes,
                **{f"p({name})": probability for name, probability in each.probabilities.items()},
            }
            for each in self
        )


class Predictor:
    """Classifies pictures exactly as training and evaluation saw them.

    Args:
        card: class names, preprocessing and calibration.
        forward: uint8[B,C,H,W] pictures in the card's geometry to what `Answers` holds.
        max_pixels: of a picture that is decoded; larger ones are refused by their header.
        backend: the name of what computes `forward`.
        bundle: that the model was loaded from, if it was one.
    """

    def __init__(
        self,
        card: ModelCard,
        forward: Forward,
        *,
        max_pixels: int = MAX_PIXELS,
        backend: str = "torch",
        bundle: Bundle | None = None,
    ) -> None:
        self.card, self.max_pixels = card, max_pixels
        self.backend, self.bundle = backend, bundle
        self._forward = forward

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        device: str = "auto",
        backend: str = DEFAULT,
        threads: int | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> Self:
        """Load a bundle, a run folder, a checkpoint, or a published model.

        Args:
            path: a bundle; a run folder (its best checkpoint is taken) or a .ckpt file; ``dvc:NAME``,
                ``wandb:COLLECTION:ALIAS`` or ``gs://BUCKET/FOLDER`` of a published bundle, which is brought into a
                cache once.
            device: of a checkpoint: auto, cpu, cuda or mps. A bundle computes on the CPU.
            backend: of a bundle: onnxruntime, openvino and more (`backends.kinds.KINDS`), or auto for the fastest here.
            threads: that compute one answer of a bundle; None: as many as there are cores.
            max_pixels: of a picture that is decoded; larger ones are refused by their header.

        Raises:
            ArtifactError: missing, damaged, a pickle, or not ours; a bucket cannot be read.
            ConfigError: no such device or back end here, no key for W&B, or no gcsfs.
            DataError: DVC's remote cannot serve it.
        """
        place = local(path)
        if Bundle.is_at(place):
            bundle = Bundle.open(place)
            opened = _opened(bundle, device, backend, threads)
            return cls(bundle.card, opened.embed, max_pixels=max_pixels, backend=opened.name, bundle=bundle)
        return cls(*_of_checkpoint(place, device, backend), max_pixels=max_pixels)

    def __call__(self, picture: PictureSource) -> Prediction:
        """Classify one picture: path, bytes, open file, PIL image, or array uint8[H,W] or uint8[H,W,C].

        Raises:
            PictureError: it cannot be decoded, or has too many pixels.
        """
        return self.batch([picture])[0]

    def batch(self, pictures: Iterable[PictureSource]) -> Predictions:
        """Classify several pictures; all must be readable."""
        return self.classify([self.fit(picture) for picture in pictures])

    def embed(self, pictures: Iterable[PictureSource]) -> NDArray[np.float32]:
        """Return what the network's last layer is given, float32[N,F]: near for pictures that look alike to it.

        Raises:
            ArtifactError: the network does not say which layer is its last.
        """
        embeddings = self.answer([self.fit(picture) for picture in pictures]).embeddings
        if embeddings is None:
            raise ArtifactError(f"{self.card.architecture.name} has no separate last layer, and so no embeddings")
        return embeddings

    def fit(self, picture: PictureSource) -> Pixels:
        """Return uint8[H,W,C]: the picture as the network will see it."""
        return self.read(picture).pixels

    def read(self, picture: PictureSource) -> Loaded:
        """Return the picture itself, as the network will see it, and its sides."""
        return load_picture(picture, **self.card.preprocess.geometry, max_pixels=self.max_pixels)

    def classify(self, fitted: Sequence[Pixels]) -> Predictions:
        """Classify pictures that `fit` has returned."""
        return self.name(self.answer(fitted).probabilities) if fitted else Predictions()

    def answer(self, fitted: Sequence[Pixels]) -> Answers:
        """Return the network's own answers for pictures, at least one, that `fit` has returned."""
        batches = (np.stack(fitted[start : start + BATCH]) for start in range(0, len(fitted), BATCH))
        answers = [Answers(*self._forward(np.ascontiguousarray(batch.transpose(0, 3, 1, 2)))) for batch in batches]
        embeddings = [one.embeddings for one in answers if one.embeddings is not None]
        probabilities = np.concatenate([one.probabilities for one in answers])
        return Answers(probabilities, np.concatenate(embeddings) if embeddings else None)

    def name(self, probabilities: NDArray[np.float32]) -> Predictions:
        """Return probabilities float32[N,K] as predictions."""
        return Predictions(map(self._prediction, probabilities))

    def _prediction(self, row: NDArray[np.float32]) -> Prediction:
        best = int(row.argmax())
        label, confidence = self.card.classes[best], float(row[best])
        threshold = self.card.calibration.threshold
        return Prediction(
            label=label,
            index=best,
            confidence=confidence,
            probabilities=dict(zip(self.card.classes, row.tolist(), strict=True)),
            attributes={name: values[label] for name, values in self.card.attributes.items() if label in values},
            abstains=threshold is not None and confidence < threshold,
        )


def _opened(bundle: Bundle, device: str, backend: str, threads: int | None) -> Backend:
    if device not in ("auto", "cpu"):
        raise ConfigError(f"device={device}: a bundle computes on the CPU; load its run folder to use a GPU")
    from mlops_cls.backends.choice import open_backend

    return open_backend(bundle, backend, threads=threads)


def _of_checkpoint(path: Path, device: str, backend: str) -> tuple[ModelCard, Forward]:
    if backend != DEFAULT:
        raise ConfigError(f"backend={backend}: a checkpoint is computed by torch; give a bundle to choose")
    from mlops_cls.checkpoint_forward import load_forward
    from mlops_cls.run import find_checkpoint

    return load_forward(find_checkpoint(path), device)
