"""A reference from prepared pictures and a trained model: what export puts into the bundle."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mlops_cls.data.facts import sizes_of
from mlops_cls.data.store import Prepared
from mlops_cls.monitoring.reference import Projection, Reference
from mlops_cls.monitoring.statistics import Numbers, measure
from mlops_cls.pictures import Pixels

Answers = tuple[Numbers, Numbers]
Rows = NDArray[np.int64]
Forward = Callable[[Pixels], Answers]
BATCH = 64
MOST_MEASURED = 2000
"""Training pictures. Of samples of this size two differ by 0.04 in distribution before the KS test calls it chance."""
MOST_ANSWERED = 1000
"""Held-out pictures that go through the network, and as many training pictures for the axes of the embeddings."""
DIMENSIONS = 16


def make_reference(prepared: Prepared, forward: Forward, *, seed: int = 0) -> Reference:
    """Return the reference of a model, from pictures drawn at random; the same each time.

    How pictures look is taken from train, of which there are most. Predictions and embeddings are of val: a network is
    surer of pictures that it was trained on, and every later picture would seem to be a change. Train gives the axes of
    the embeddings alone, for axes fitted to the held-out pictures would suit those better than any later ones.

    Args:
        prepared: the data set that the model was trained on, in its geometry.
        forward: uint8[B,C,H,W] to calibrated probabilities float32[B,K] and embeddings float32[B,F].
        seed: of the draw.
    """
    generator = np.random.default_rng(seed)
    measured = _drawn(generator, prepared.manifest.size_of("train"), MOST_MEASURED)
    held_out = _drawn(generator, prepared.manifest.size_of("val"), MOST_ANSWERED)
    _, trained = _answers(prepared.images("train"), measured[:MOST_ANSWERED], forward)
    probabilities, embeddings = _answers(prepared.images("val"), held_out, forward)
    projection = Projection.fit(trained, DIMENSIONS)
    return Reference(
        classes=prepared.manifest.classes,
        statistics=_statistics(prepared.images("train"), sizes_of(prepared, "train"), measured),
        predicted=probabilities.argmax(1).astype(np.int64),
        confidence=probabilities.max(1),
        projection=projection,
        projected=projection(embeddings),
    )


def _drawn(generator: np.random.Generator, number: int, most: int) -> Rows:
    drawn: Rows = generator.permutation(number)[:most]
    return drawn


def _statistics(pictures: Pixels, sizes: Rows, rows: Rows) -> dict[str, Numbers]:
    parts = [measure(pictures[batch], sizes[batch]) for batch in _batches(rows)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _answers(pictures: Pixels, rows: Rows, forward: Forward) -> Answers:
    answers = [forward(np.ascontiguousarray(pictures[batch].transpose(0, 3, 1, 2))) for batch in _batches(rows)]
    probabilities, embeddings = (np.concatenate(parts) for parts in zip(*answers, strict=True))
    return probabilities, embeddings


def _batches(rows: Rows) -> list[Rows]:
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
