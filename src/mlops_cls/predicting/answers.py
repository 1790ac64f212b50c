"""Pictures go in one by one and come out answered, in order; no more of them are in memory than a few batches."""

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from mlops_cls.pictures import PictureError, Pixels
from mlops_cls.predictor import BATCH, Prediction, Predictor

AHEAD = 2  # batches being decoded while one is classified
THUMB = 200  # pixels of the longer side of a kept copy


@dataclass(frozen=True, slots=True)
class Answer:
    """One picture's prediction, or why there is none; `thumb` is a small copy, if it was asked for."""

    path: Path
    prediction: Prediction | None
    error: str = ""
    thumb: Image.Image | None = None


@dataclass(frozen=True, slots=True)
class _Read:
    path: Path
    pixels: Pixels | None
    error: str = ""
    thumb: Image.Image | None = None


def predict_files(predictor: Predictor, paths: Sequence[Path], *, shown: Collection[int] = ()) -> Iterator[Answer]:
    """Yield an answer per path, in order; threads decode the next batches while one is classified.

    Args:
        predictor: what classifies.
        paths: files, which need not be pictures.
        shown: positions in `paths` of pictures to keep a small copy of.
    """
    pool = ThreadPoolExecutor()
    waiting: deque[list[Future[_Read]]] = deque()
    try:
        for start in range(0, len(paths), BATCH):
            chunk = enumerate(paths[start : start + BATCH], start)
            waiting.append([pool.submit(_read, predictor, path, keep=i in shown) for i, path in chunk])
            if len(waiting) > AHEAD:
                yield from _answered(predictor, waiting.popleft())
        while waiting:
            yield from _answered(predictor, waiting.popleft())
    finally:
        # After an error or Ctrl+C nobody wants the rest.
        pool.shutdown(cancel_futures=True)


def _read(predictor: Predictor, path: Path, *, keep: bool) -> _Read:
    try:
        loaded = predictor.read(path)
    except PictureError as reason:
        return _Read(path, None, str(reason))
    return _Read(path, loaded.pixels, thumb=_small(loaded.picture) if keep else None)


def _small(picture: Image.Image) -> Image.Image:
    copy = picture.convert("RGB")
    copy.thumbnail((THUMB, THUMB), Image.Resampling.BILINEAR)
    return copy


def _answered(predictor: Predictor, futures: Sequence[Future[_Read]]) -> Iterator[Answer]:
    batch = [future.result() for future in futures]
    predictions = iter(predictor.classify([one.pixels for one in batch if one.pixels is not None]))
    for one in batch:
        prediction = None if one.pixels is None else next(predictions)
        yield Answer(one.path, prediction, one.error, one.thumb)
