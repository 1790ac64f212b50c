"""Digits as files, and as a service that ran the tiny bundle would have collected them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from browser import chromium, visit  # noqa: F401 (fixtures)
from digit_files import Digits
from mlops_cls.bundle import Bundle
from mlops_cls.drifting.asking import ask
from mlops_cls.drifting.reading import open_reference
from mlops_cls.monitoring.collection import FEEDBACK, HEADER, RECORDS, header
from mlops_cls.monitoring.records import Feedback
from mlops_cls.monitoring.storage import open_storage
from mlops_cls.predictor import Predictor

START = datetime(2026, 11, 19, 18, tzinfo=UTC)


@pytest.fixture(scope="session")
def draw_digits(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Digits]:
    """Return a function that writes so many digits, `darker` by that factor from a place on, into a folder."""

    def draw(number: int, *, seed: int = 0, darker: int = 1, after: int = 0) -> Digits:
        folder, data = tmp_path_factory.mktemp("digits"), load_digits()
        rows = np.random.default_rng(seed).permutation(len(data.images))[:number]
        for place, row in enumerate(rows):
            pixels = np.round(data.images[row] * 255 / 16) // (darker if place >= after else 1)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{place:04d}.png")
        return Digits(sorted(folder.iterdir()), [str(data.target[row]) for row in rows])

    return draw


@pytest.fixture(scope="session")
def collect(tiny_bundle: Bundle) -> Callable[..., str]:
    """Return a function that writes a collection of pictures, ten minutes apart, every `told`-th with feedback."""
    predictor, reference = Predictor.load(tiny_bundle.folder), open_reference(tiny_bundle)

    def write(place: str | Path, digits: Digits, *, told: int = 4, together: int = 1, model: str = "") -> str:
        storage, card = open_storage(place), tiny_bundle.card
        storage.write(HEADER, header(card.classes, [card.digest]))
        for number, item in enumerate(ask(predictor, reference, digits.paths).items):
            time = START + timedelta(minutes=10 * number)
            day, request = time.date().isoformat(), f"r{number // together:04d}"
            record = replace(
                item.record,
                id=f"{request}-{number % together}",
                request_id=request,
                time=time,
                model=model or card.digest,
                picture=f"{day}/pictures/{request}-{number % together}.png",
            )
            storage.write(str(record.picture), digits.paths[number].read_bytes())
            storage.append(f"{day}/{RECORDS}", record.to_line().encode())
            if number % told == 0:
                line = Feedback(id=record.id, time=time, label=digits.labels[number]).to_line()
                storage.append(f"{day}/{FEEDBACK}", line.encode())
        return str(place)

    return write
