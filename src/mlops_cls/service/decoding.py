"""Bytes to what the network sees, in threads; what that takes in memory is bounded."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from mlops_cls.backends.base import cores
from mlops_cls.pictures import Pixels, open_picture, reasons
from mlops_cls.predictor import MAX_PIXELS, Predictor

LARGE = 12_500_000
"""Pixels beyond which pictures are decoded one after the other, whoever sends them.

A file of some kilobytes can be 50 megapixels, which take a gigabyte while transparency is laid over white or 16 bits
become 8. Photographs of phones are below it.
"""


class Fitted(NamedTuple):
    """A picture as the network sees it, uint8[H,W,C], and width and height of the one that was sent.

    The picture itself is let go: thousands of times as large, it would wait in memory for its turn.
    """

    pixels: Pixels
    sides: tuple[int, int]


class Decoder:
    """A thread for each core, and one for large pictures, which small ones do not wait for.

    Args:
        told: is told the seconds that each picture took, in its thread.
        max_pixels: of a picture that is decoded, if the predictor does not allow less.
    """

    def __init__(self, told: Callable[[float], None] = lambda seconds: None, *, max_pixels: int = MAX_PIXELS) -> None:
        self._max_pixels, self._told = max_pixels, told
        self._small, self._large = ThreadPoolExecutor(cores(), "decode"), ThreadPoolExecutor(1, "decode_large")

    async def fit(self, predictor: Predictor, data: bytes) -> Fitted:
        """Return a picture fitted.

        Raises:
            PictureError: it cannot be decoded, or has too many pixels.
        """
        loop = asyncio.get_running_loop()
        fitted = await loop.run_in_executor(self._small, self._unless_large, predictor, data)
        return await loop.run_in_executor(self._large, self._fit, predictor, data) if fitted is None else fitted

    def close(self) -> None:
        """End the threads, once they have done what waits for them."""
        self._small.shutdown()
        self._large.shutdown()

    def _unless_large(self, predictor: Predictor, data: bytes) -> Fitted | None:
        with reasons(), open_picture(data, min(self._max_pixels, predictor.max_pixels)) as picture:
            large = picture.width * picture.height > LARGE
        return None if large else self._fit(predictor, data)

    def _fit(self, predictor: Predictor, data: bytes) -> Fitted:
        began = time.perf_counter()
        loaded = predictor.read(data)
        self._told(time.perf_counter() - began)
        return Fitted(loaded.pixels, loaded.sides)
