"""scikit-learn's handwritten digits: 1,797 real 8x8 pictures that come with the library, so nothing is downloaded."""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_cls.data.source import Sample
from mlops_cls.pictures import Pixels

LARGEST_VALUE = 16  # of scikit-learn's floats


class DigitsSource:
    """Alpaydin and Kaynak's digits, UCI Machine Learning Repository, test part."""

    name = "digits"
    classes = tuple("0123456789")
    attributes: Mapping[str, Mapping[str, Any]] = {}

    def fingerprint(self) -> str:
        return hashlib.sha256(self._pixels.tobytes() + self._labels.tobytes()).hexdigest()

    def samples(self) -> list[Sample]:
        return [Sample(f"{i:04d}", str(label)) for i, label in enumerate(self._labels)]

    def picture(self, sample: Sample) -> Pixels:
        pixels: Pixels = self._pixels[int(sample.id)]
        return pixels

    @cached_property
    def _arrays(self) -> tuple[Pixels, NDArray[np.uint8]]:
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        pixels = np.round(images.reshape(-1, 8, 8) * (255 / LARGEST_VALUE)).astype(np.uint8)
        return pixels, labels.astype(np.uint8)

    @property
    def _pixels(self) -> Pixels:
        return self._arrays[0]

    @property
    def _labels(self) -> NDArray[np.uint8]:
        return self._arrays[1]
