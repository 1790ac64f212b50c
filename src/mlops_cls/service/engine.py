"""The service itself, apart from HTTP: a loaded model, pictures in, answers out, never more than it can hold."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlops_cls.backends.base import cores
from mlops_cls.bundle import FOLDER, Bundle
from mlops_cls.pictures import PictureError
from mlops_cls.predictor import Prediction, Predictor
from mlops_cls.publishing.address import parse
from mlops_cls.service.batching import Answered, Batcher
from mlops_cls.service.decoding import Decoder, Fitted
from mlops_cls.service.problems import Refusal
from mlops_cls.service.settings import Settings

RETRY_SECONDS = 1

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One picture and its answer, as the service's observers get it.

    `data` is what was sent; `probabilities` float32[K] and `embedding` float32[F] are the network's.
    """

    id: str
    request_id: str
    time: datetime
    data: bytes
    loaded: Fitted
    prediction: Prediction
    probabilities: NDArray[np.float32]
    embedding: NDArray[np.float32] | None


Found = tuple[Fitted, Answered]
Observer = Callable[[Sequence[Seen]], None]
"""Is told of answers in the event loop, and must return at once."""
Listener = Callable[[str, str], object]
"""Is told what a picture, by its id, really showed; in the event loop too."""
Part = Callable[["Service"], AbstractContextManager[None]]
"""What runs beside the service as long as it does, from when the model is there."""


@dataclass(slots=True)
class Service:
    """What the routes share; `predictor` is None until the model is loaded, `failure` says why it was not."""

    settings: Settings
    predictor: Predictor | None = None
    version: str | None = None
    failure: Exception | None = None
    observers: list[Observer] = field(default_factory=list)
    listeners: list[Listener] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    on_failure: Callable[[], None] = lambda: None
    on_decoded: Callable[[float], None] = lambda seconds: None
    on_computed: Callable[[Sequence[float], float], None] = lambda waits, seconds: None
    stopping: bool = False
    waiting: int = 0
    _running: ExitStack = field(default_factory=ExitStack)
    _batcher: Batcher | None = None
    _decoder: Decoder | None = None

    async def start(self) -> None:
        """Load the model and start what answers; a failure is kept and told."""
        try:
            await asyncio.to_thread(self._load)
        except Exception as error:
            self.failure = error
            log.error("the model could not be loaded: %s", error)
            self.on_failure()

    async def stop(self) -> None:
        """Finish what waits; then end all parts."""
        await asyncio.to_thread(self._running.close)

    @property
    def ready(self) -> bool:
        return self._batcher is not None

    def model(self) -> Predictor:
        """Return the loaded model.

        Raises:
            Refusal: not_ready.
        """
        if self.predictor is None or not self.ready:
            reason = "could not be loaded" if self.failure else "is still being loaded"
            raise Refusal("not_ready", f"The model {reason}.", headers={"Retry-After": str(RETRY_SECONDS)})
        return self.predictor

    def check_staying(self) -> None:
        """Say that there will be no answers soon.

        Raises:
            Refusal: not_ready.
        """
        if self.stopping:
            raise Refusal("not_ready", "The service is about to end.", headers={"Retry-After": str(RETRY_SECONDS)})

    def check_room(self, pictures: int = 1) -> None:
        """Refuse what would not find a place in the queue; without `pictures`, before a request is even read.

        Raises:
            Refusal: busy.
        """
        if self.waiting and self.waiting + pictures > self.settings.queue:
            detail = f"{self.waiting} pictures are waiting already. Try again in a moment."
            raise Refusal("busy", detail, headers={"Retry-After": str(RETRY_SECONDS)})

    async def answer(
        self, request_id: str, pictures: Sequence[bytes], *, observed: bool = True
    ) -> list[Seen | PictureError]:
        """Return an answer for each picture, or why there is none; `observed`: pictures from out there, not ours.

        Raises:
            Refusal: not_ready or busy.
        """
        predictor = self.model()
        with self._places(len(pictures)):
            # Of a request with many pictures no more than a batch is on its way, so that others are not kept waiting.
            abreast = asyncio.Semaphore(self.settings.batch)
            found = await asyncio.gather(*(self._one(predictor, data, abreast) for data in pictures))
        seen = _seen(predictor, request_id, pictures, found)
        for observer in self.observers if observed else ():
            observer([one for one in seen if isinstance(one, Seen)])
        return seen

    @contextmanager
    def _places(self, pictures: int) -> Iterator[None]:
        self.check_room(pictures)
        self.waiting += pictures
        try:
            yield
        finally:
            self.waiting -= pictures

    async def _one(self, predictor: Predictor, data: bytes, abreast: asyncio.Semaphore) -> Found | PictureError:
        assert self._decoder is not None and self._batcher is not None
        async with abreast:
            try:
                fitted = await self._decoder.fit(predictor, data)
            except PictureError as error:
                return error
            return fitted, await self._batcher.answer(fitted.pixels)

    def _load(self) -> None:
        settings = self.settings
        predictor = self.predictor or Predictor.load(
            _bundle(settings.model),
            backend=settings.backend,
            threads=settings.threads or None,
            max_pixels=settings.max_pixels,
        )
        predictor.classify([_blank(predictor)])  # the first answer takes longer than any later one
        self.predictor, self.version = predictor, predictor.card.digest
        self._decoder = Decoder(self.on_decoded, max_pixels=settings.max_pixels)
        self._running.callback(self._decoder.close)
        for part in self.parts:
            self._running.enter_context(part(self))
        lanes = max(1, cores() // (settings.threads or cores()))
        batcher = Batcher(predictor.answer, batch=settings.batch, lanes=lanes, told=self.on_computed)
        self._running.callback(batcher.close)
        self._batcher = batcher
        name, classes = predictor.card.architecture.name, predictor.card.num_classes
        log.info("ready: %s %s of %d classes, on %s", name, self.version, classes, predictor.backend)


def _bundle(model: str) -> str:
    """Return what names a bundle; of a run that has one it is that."""
    if parse(model) is not None:
        return model
    inside = Path(model) / FOLDER
    found = inside if Bundle.is_at(inside) else Bundle.open(model).folder
    return str(found.resolve())  # runs/latest is another run as soon as the next training begins


def _seen(
    predictor: Predictor, request_id: str, pictures: Sequence[bytes], found: Sequence[Found | PictureError]
) -> list[Seen | PictureError]:
    answers = [one[1].probabilities for one in found if not isinstance(one, PictureError)]
    predictions = iter(predictor.name(np.stack(answers)) if answers else ())
    now, seen = datetime.now(UTC), list[Seen | PictureError]()
    for number, (data, one) in enumerate(zip(pictures, found, strict=True)):
        if isinstance(one, PictureError):
            seen.append(one)
        else:
            fitted, (probabilities, embedding) = one
            name = f"{request_id}-{number}"
            seen.append(Seen(name, request_id, now, data, fitted, next(predictions), probabilities, embedding))
    return seen


def _blank(predictor: Predictor) -> NDArray[np.uint8]:
    preprocess = predictor.card.preprocess
    return np.zeros((preprocess.size, preprocess.size, preprocess.channels), np.uint8)
