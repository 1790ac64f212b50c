"""A reference and samples of one make, for tests of drift: no network is asked."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

import numpy as np

from mlops_cls.monitoring.drift import Sample
from mlops_cls.monitoring.records import Record
from mlops_cls.monitoring.reference import Projection, Reference
from mlops_cls.monitoring.statistics import LOOKS, SIZES

SEEN_CLASSES = ("bag", "boot", "coat")
START = datetime(2026, 11, 20, 8, tzinfo=UTC)


def seen(number: int, seed: int, *, darker: float = 0.0, shares: tuple[float, ...] = (0.5, 0.3, 0.2)) -> Sample:
    """Return pictures as a service would measure them; `darker` by so many standard deviations."""
    generator = np.random.default_rng(seed)
    looks = {name: generator.normal(100, 20, number).astype(np.float32) for name in LOOKS}
    looks["brightness"] -= np.float32(20 * darker)
    return Sample(
        statistics={**looks, **{name: np.full(number, 28, np.float32) for name in SIZES}},
        predicted=generator.choice(len(shares), number, p=shares),
        confidence=generator.beta(8, 1, number).astype(np.float32),
        projected=generator.normal(size=(number, 5)).astype(np.float32),
    )


def reference_of(seed: int = 0, *, train: int = 2000, val: int = 1000) -> Reference:
    """Return a reference of such pictures."""
    trained, held_out = seen(train, 10_000 + seed), seen(val, 20_000 + seed)
    assert held_out.projected is not None
    projection = Projection(np.zeros(4, np.float32), np.eye(4, dtype=np.float32))
    return Reference(
        classes=SEEN_CLASSES,
        statistics=dict(trained.statistics),
        predicted=held_out.predicted,
        confidence=held_out.confidence,
        projection=projection,
        projected=held_out.projected,
    )


def records_of(sample: Sample, *, model: str = "0123456789ab", first: int = 0) -> Iterator[Record]:
    """Yield the records of a sample, a minute apart, each of a request of its own."""
    assert sample.projected is not None
    for row, number in zip(range(len(sample)), count(first), strict=False):
        index, confidence = int(sample.predicted[row]), float(sample.confidence[row])
        rest = (1 - confidence) / (len(SEEN_CLASSES) - 1)
        probabilities = np.full(len(SEEN_CLASSES), rest, np.float32)
        probabilities[index] = confidence
        yield Record(
            id=f"r{number}-0",
            request_id=f"r{number}",
            time=START + timedelta(minutes=number),
            model=model,
            label=SEEN_CLASSES[index],
            index=index,
            confidence=confidence,
            probabilities=probabilities,
            abstains=False,
            width=28,
            height=28,
            statistics={name: float(values[row]) for name, values in sample.statistics.items()},
            embedding=sample.projected[row],
        )
