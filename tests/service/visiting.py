"""What tests of the page at ``/`` share: services to look at, pictures to give them, and how to wait for answers."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from browser import Visit
from mlops_cls.bundle import Bundle
from mlops_cls.card import Calibration
from mlops_cls.pictures import Pixels
from mlops_cls.predictor import Predictor
from mlops_cls.service.app import create_app
from mlops_cls.service.settings import Settings
from online import online

Forward = Callable[[Pixels], tuple[np.ndarray, None]]
Served = Callable[..., str]
NEVER, ALWAYS = Calibration(temperature=1.5, threshold=None), Calibration(temperature=1.5, threshold=1.0, target=0.95)


@pytest.fixture(scope="module")
def address(tiny_bundle: Bundle) -> Iterator[str]:
    with online(create_app(Predictor.load(tiny_bundle.folder))) as started:
        yield started


@pytest.fixture
def served(tiny_bundle: Bundle) -> Iterator[Served]:
    """Return a function that starts a service with a network and a card of the test's own."""
    with ExitStack() as running:

        def start(forward: Forward, *, settings: Any = None, **card: Any) -> str:
            predictor = Predictor(replace(tiny_bundle.card, **card), forward)
            return running.enter_context(online(create_app(predictor, Settings.checked(settings or {}))))

        yield start


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Return three pictures, dark to light."""
    paths = [tmp_path / f"{name}.png" for name in ("night", "dusk", "day")]
    for level, path in zip((10, 120, 250), paths, strict=True):
        Image.new("RGB", (60, 40), (level, level, level)).save(path)
    return paths


def by_light(classes: int, confidence: float = 0.9) -> Forward:
    """Return a network that tells pictures by how light they are, and is always as sure."""

    def forward(batch: Pixels) -> tuple[np.ndarray, None]:
        best = np.minimum(batch.mean((1, 2, 3)) * classes / 256, classes - 1).astype(int)
        probabilities = np.full((len(batch), classes), (1 - confidence) / (classes - 1), np.float32)
        probabilities[np.arange(len(batch)), best] = confidence
        return probabilities, None

    return forward


def held(forward: Forward) -> tuple[Event, Forward]:
    """Return a network that answers only while the event is set, as it is at first."""
    free = Event()
    free.set()

    def slow(batch: Pixels) -> tuple[np.ndarray, None]:
        free.wait(60)
        return forward(batch)

    return free, slow


def choose(page: Page, *paths: Path) -> None:
    page.locator("#files").set_input_files(list(paths))


def answered(page: Page, number: int) -> None:
    """Wait until so many pictures have been dealt with, and nothing is under way."""
    expect(page.locator("#answers > li:not(.open)")).to_have_count(number)
    expect(page.locator("#tools")).to_be_visible()


def complaints(visit: Visit, *expected: int) -> list[str]:
    """Return what the console said but for refusals by these statuses, which a browser always tells."""
    return [text for text in visit.complaints if not any(f"a status of {status}" in text for status in expected)]
