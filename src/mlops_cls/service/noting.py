"""What the service saw, as the lines and pictures of a collection."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from mlops_cls.monitoring.records import PICTURES, Record, day_of
from mlops_cls.monitoring.reference import Projection
from mlops_cls.monitoring.statistics import Numbers, measure
from mlops_cls.pictures import Pixels
from mlops_cls.predictor import Prediction
from mlops_cls.service.engine import Seen
from mlops_cls.service.stripping import without_metadata


@dataclass(frozen=True, slots=True, eq=False)
class Noted:
    """What of `Seen` is kept: not the decoded original, which may be a thousand times as large."""

    id: str
    request_id: str
    time: datetime
    data: bytes
    pixels: Pixels
    sides: tuple[int, int]
    prediction: Prediction
    probabilities: NDArray[np.float32]
    embedding: NDArray[np.float32] | None

    @classmethod
    def of(cls, seen: Seen, *, with_data: bool) -> Self:
        return cls(
            id=seen.id,
            request_id=seen.request_id,
            time=seen.time,
            data=seen.data if with_data else b"",
            pixels=seen.loaded.pixels,
            sides=seen.loaded.sides,
            prediction=seen.prediction,
            probabilities=seen.probabilities,
            embedding=seen.embedding,
        )

    @property
    def bytes(self) -> int:
        """How much memory it takes, nearly."""
        return len(self.data) + self.pixels.nbytes + 100 * len(self.probabilities)


@dataclass(frozen=True, slots=True)
class Notes:
    """Makes records of one model's answers; `projection` is its reference's, if it has one."""

    model: str
    projection: Projection | None

    def records(self, noted: Sequence[Noted]) -> Iterator[tuple[Record, bytes]]:
        """Return the record of each picture, and what is kept of it under the name in `Record.picture`."""
        statistics = measure(np.stack([one.pixels for one in noted]), [one.sides for one in noted])
        for number, one in enumerate(noted):
            name, picture = _picture(one) if one.data else (None, b"")
            yield (
                Record(
                    id=one.id,
                    request_id=one.request_id,
                    time=one.time,
                    model=self.model,
                    label=one.prediction.label,
                    index=one.prediction.index,
                    confidence=one.prediction.confidence,
                    probabilities=one.probabilities,
                    abstains=one.prediction.abstains,
                    width=one.sides[0],
                    height=one.sides[1],
                    statistics={key: float(values[number]) for key, values in statistics.items()},
                    embedding=self._projected(one.embedding),
                    picture=name,
                ),
                picture,
            )

    def _projected(self, embedding: NDArray[np.float32] | None) -> Numbers | None:
        if embedding is None or self.projection is None:
            return None
        projected: Numbers = self.projection(embedding[None])[0]
        return projected


def _picture(one: Noted) -> tuple[str, bytes]:
    ending, content = without_metadata(one.data)
    # A client may send the same request id twice, which must not replace the first picture.
    return f"{day_of(one.time)}/{PICTURES}/{one.id}.{uuid4().hex[:8]}.{ending}", content
