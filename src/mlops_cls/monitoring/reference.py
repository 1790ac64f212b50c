"""What a model's pictures, predictions and embeddings were like at home: the sample that later ones are compared with.

reference.npz: numbers alone, read without pickle. It holds no picture and none can be made from it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mlops_cls.atomic import replacing
from mlops_cls.errors import ArtifactError
from mlops_cls.monitoring.statistics import LOOKS, SIZES, Numbers

FORMAT = 1
HEADER = "header"


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """The few directions in which embeddings vary most: `centre` float32[F], orthonormal `axes` float32[D,F]."""

    centre: Numbers
    axes: Numbers

    @classmethod
    def fit(cls, embeddings: Numbers, dimensions: int) -> Self:
        """Return the first principal axes of embeddings float32[N,F]; fewer where there are not as many."""
        centre = embeddings.mean(0)
        _, strengths, axes = np.linalg.svd(embeddings - centre, full_matrices=False)
        varied = int((strengths > 1e-6 * strengths.max(initial=0)).sum())
        return cls(centre.astype(np.float32), axes[: min(dimensions, varied)].astype(np.float32))

    def __call__(self, embeddings: Numbers) -> Numbers:
        """Return float32[N,D+1]: where embeddings lie on the axes and, last, how far from all of them."""
        centred = embeddings - self.centre
        on_axes = centred @ self.axes.T
        away = np.linalg.norm(centred - on_axes @ self.axes, axis=1, keepdims=True)
        return np.concatenate([on_axes, away], axis=1).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Samples to compare with, of pictures drawn at random.

    Args:
        classes: the classes that `predicted` counts in.
        statistics: of training pictures, by the names in `measure`; float32[T] each.
        predicted: the most probable class of pictures that were held out, int64[V].
        confidence: its probability, calibrated; float32[V].
        projection: what makes embeddings of the service comparable with `projected`.
        projected: the held-out pictures' embeddings in it, float32[V,D+1].
    """

    classes: tuple[str, ...]
    statistics: dict[str, Numbers]
    predicted: NDArray[np.int64]
    confidence: Numbers
    projection: Projection
    projected: Numbers

    @property
    def shares(self) -> dict[str, float]:
        """How often each class is predicted, of 1."""
        counts = np.bincount(self.predicted, minlength=len(self.classes))
        return dict(zip(self.classes, (counts / max(1, len(self.predicted))).tolist(), strict=True))

    def save(self, path: Path) -> None:
        """Write it in one step; equal references give equal bytes."""
        arrays = {
            HEADER: np.array(json.dumps({"format": FORMAT, "classes": self.classes})),
            "predicted": self.predicted.astype(np.int16),
            "confidence": self.confidence,
            "centre": self.projection.centre,
            "axes": self.projection.axes,
            "projected": self.projected,
        }
        with replacing(path) as aside, aside.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays, **self.statistics)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a reference.

        Raises:
            ArtifactError: missing, damaged, or of another version.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            header = json.loads(str(arrays.pop(HEADER)))
            if header["format"] == FORMAT:
                return cls._from(tuple(header["classes"]), arrays)
        except FileNotFoundError:
            raise ArtifactError(f"{path} does not exist: export the run again") from None
        except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds for a damaged file
            raise ArtifactError(f"{path} is damaged ({error}): export the run again") from error
        raise ArtifactError(f"{path} has format {header['format']!r}; this version of mlops_cls reads {FORMAT}")

    @classmethod
    def _from(cls, classes: tuple[str, ...], arrays: dict[str, NDArray[Any]]) -> Self:
        return cls(
            classes=classes,
            statistics={name: arrays[name] for name in (*LOOKS, *SIZES)},
            predicted=arrays["predicted"].astype(np.int64),
            confidence=arrays["confidence"],
            projection=Projection(arrays["centre"], arrays["axes"]),
            projected=arrays["projected"],
        )
