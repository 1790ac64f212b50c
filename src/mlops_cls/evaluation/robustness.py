"""Accuracy on pictures that got worse on their way: noise, blur, light, JPEG, a shifted crop, at three severities.

A small fixed set after Hendrycks and Dietterich 2019 (arXiv:1903.12261). It is drawn into the pictures of the store, in
the size that the network sees; the same pictures are made worse in the same way on every machine.
"""

import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mlops_cls.evaluation.answers import Answers, Whole
from mlops_cls.evaluation.measures import Measures
from mlops_cls.evaluation.paired import differences
from mlops_cls.evaluation.resampling import Resampling
from mlops_cls.models.rates import Floats
from mlops_cls.pictures import Pixels

Corrupt = Callable[[Pixels, float, Generator], Pixels]
AnswersOf = Callable[[Pixels], Floats]
BATCH = 64
SIDES = np.array([(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)])


def _noise(picture: Pixels, strength: float, generator: Generator) -> Pixels:
    return _pixels(picture + 255 * strength * generator.standard_normal(picture.shape, np.float32))


def _blur(picture: Pixels, strength: float, _: Generator) -> Pixels:
    radius = strength * min(picture.shape[:2])
    return _through_pillow(picture, lambda image: image.filter(ImageFilter.GaussianBlur(radius)))


def _brightness(picture: Pixels, strength: float, generator: Generator) -> Pixels:
    return _pixels(picture + 255 * strength * generator.choice([-1, 1]))


def _jpeg(picture: Pixels, strength: float, _: Generator) -> Pixels:
    def compressed(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=int(strength))
        return Image.open(file)

    return _through_pillow(picture, compressed)


def _shift(picture: Pixels, strength: float, generator: Generator) -> Pixels:
    height, width = picture.shape[:2]
    down, right = SIDES[generator.integers(len(SIDES))]
    # At the edge its pixels are repeated.
    rows = np.clip(np.arange(height) + down * max(round(strength * height), 1), 0, height - 1)
    columns = np.clip(np.arange(width) + right * max(round(strength * width), 1), 0, width - 1)
    return np.asarray(picture[rows][:, columns])


CORRUPTIONS: dict[str, tuple[Corrupt, tuple[float, float, float]]] = {
    "noise": (_noise, (0.04, 0.08, 0.16)),
    "blur": (_blur, (0.01, 0.02, 0.04)),
    "brightness": (_brightness, (0.1, 0.2, 0.35)),
    "jpeg": (_jpeg, (40, 20, 8)),
    "shift": (_shift, (0.04, 0.08, 0.16)),
}
"""Strength at severity 1, 2 and 3: deviation of the noise, radius of the blur per side, change of light as a share of
white either way, JPEG quality, shift per side in one of eight directions."""


def corrupt(picture: Pixels, sample: str, corruption: str, severity: int) -> Pixels:
    """Return uint8[H,W,C]: the picture made worse, always in the same way for the same sample; severity is 1 to 3."""
    function, strengths = CORRUPTIONS[corruption]
    generator = np.random.default_rng(zlib.crc32(f"{corruption} {sample}".encode()))
    return function(picture, strengths[severity - 1], generator)


def robustness(
    log_probabilities: AnswersOf, pictures: Pixels, ids: Sequence[str], clean: Answers, resampling: Resampling
) -> list[dict[str, Any]]:
    """Return accuracy per corruption and severity, and its change against the same pictures as they are.

    Args:
        log_probabilities: from uint8[B,H,W,C] to float64[B,K], as for `clean`.
        pictures: uint8[N,H,W,C], as `chosen_rows` has chosen them.
        ids: of the pictures.
        clean: the answers for the pictures as they are.
        resampling: of these pictures.
    """
    rows = []
    for corruption, severity in _cases():
        worse = Answers(clean.labels, _answer(log_probabilities, pictures, ids, corruption, severity))
        accuracy = Measures(worse, resampling).overall()["accuracy"]
        change = differences(worse, clean, resampling)[0].estimate()
        told = {"accuracy": accuracy.to_dict(), "change": change.to_dict()}
        rows.append({"corruption": corruption, "severity": severity, **told})
    return rows


def chosen_rows(ids: Sequence[str], limit: int) -> Whole:
    """Return the rows of up to `limit` pictures, in order, chosen by a hash of their ids."""
    order = sorted(range(len(ids)), key=lambda row: (zlib.crc32(ids[row].encode()), row))
    return np.array(sorted(order[:limit]), np.int64)


def _cases() -> Iterator[tuple[str, int]]:
    return ((corruption, severity) for corruption in CORRUPTIONS for severity in (1, 2, 3))


def _answer(
    log_probabilities: AnswersOf, pictures: Pixels, ids: Sequence[str], corruption: str, severity: int
) -> Floats:
    parts = []
    for start in range(0, len(ids), BATCH):
        rows = range(start, min(start + BATCH, len(ids)))
        worse = np.stack([corrupt(pictures[row], ids[row], corruption, severity) for row in rows])
        parts.append(log_probabilities(worse))
    return np.concatenate(parts)


def _pixels(values: NDArray[Any]) -> Pixels:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _through_pillow(picture: Pixels, change: Callable[[Image.Image], Image.Image]) -> Pixels:
    grey = picture.shape[2] == 1
    changed = change(Image.fromarray(picture[..., 0] if grey else picture))
    return np.asarray(changed, np.uint8).reshape(picture.shape)
