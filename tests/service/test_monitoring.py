"""What GET /monitoring tells while a service is asked."""

import io
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from sklearn.datasets import load_digits

from mlops_cls.backends.choice import open_backend
from mlops_cls.bundle import REFERENCE, Bundle
from mlops_cls.monitoring import window
from mlops_cls.monitoring.window import LiveWindow
from mlops_cls.predictor import Predictor
from mlops_cls.service.app import create_app
from mlops_cls.service.routes.monitoring import Monitoring
from mlops_cls.service.settings import Settings
from mlops_cls.service.watching import STOPPED, WITHOUT

Serve = Callable[..., AbstractContextManager[TestClient]]


@pytest.fixture(scope="module")
def digits() -> Iterator[bytes]:
    """Return digits as files, one after the other, without end."""
    pictures = (load_digits().images * 255 / 16).astype(np.uint8)

    def files() -> Iterator[bytes]:
        while True:
            yield from map(as_file, np.random.default_rng(0).permutation(pictures))

    return files()


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let looks follow each other as fast as pictures come."""
    monkeypatch.setattr(window, "REST", timedelta(0))


def as_file(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def send(client: TestClient, *files: bytes) -> dict[str, Any]:
    """Classify pictures in one request; return the answer."""
    response = client.post("/predict", files=[("file", file) for file in files])
    assert response.status_code == 200
    body: dict[str, Any] = response.json()
    return body


def told(client: TestClient, pictures: int) -> dict[str, Any]:
    """Return what is told once so many pictures were measured."""
    for _ in range(200):
        body: dict[str, Any] = client.get("/monitoring").json()
        if body["pictures"] >= pictures:
            return Monitoring.model_validate(body, extra="forbid").model_dump()
        time.sleep(0.05)
    raise AssertionError(body)


def test_dark_pictures_go_unnoticed_and_usual_ones_alarm(
    serve: Serve, digits: Iterator[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    with serve(window=200) as client:
        found = told(client, 0)
        assert (found["enough"], found["drift"], found["needed"]) == (False, False, 50)
        for _ in range(100):
            send(client, next(digits))
        found = told(client, 51)  # on a busy machine several come at once, and the next look is not yet due
        assert (found["enough"], found["drift"]) == (True, False)
        assert found["words"].startswith("No drift in ")
        for _ in range(100):
            dark = Image.open(io.BytesIO(next(digits))).point(lambda level: level // 4)
            send(client, as_file(np.asarray(dark)))
        found = told(client, 150)
        assert found["drift"]
        assert "pictures are darker" in found["words"]
        assert not found["windows"][0]["drift"]
        # Once, however often it is found again: whoever is told by the log is not told each time.
        (line,) = [record for record in caplog.records if record.name == "mlops_cls.service.watching"]
        assert line.levelname == "WARNING"
        assert line.getMessage().startswith("Drift in ")
        assert found["model"] == client.get("/info").json()["model_version"]


def test_pictures_that_came_together_count_as_if_they_were_independent(serve: Serve, digits: Iterator[bytes]) -> None:
    with serve(window=200) as client:
        for _ in range(3):
            send(client, *(next(digits) for _ in range(20)))
        time.sleep(0.2)
        assert told(client, 3)["pictures"] == 3


def test_feedback_does_not_become_an_accuracy(serve: Serve, digits: Iterator[bytes], tmp_path: Any) -> None:
    with serve(window=200, collect="metadata", collect_to=str(tmp_path / "collected")) as client:
        for number in range(50):
            (found,) = send(client, next(digits))["predictions"]
            if number < 10:
                label = found["label"] if number else str((int(found["label"]) + 1) % 10)
                assert client.post("/feedback", json={"id": found["id"], "label": label}).status_code == 202
        accuracy = told(client, 50)["accuracy"]
        assert (accuracy["value"], accuracy["pictures"]) == (0.9, 10)


def test_a_model_without_a_reference_ends_the_service_or_is_said_not_to_drift(tiny_bundle: Bundle) -> None:
    files = {name: digest for name, digest in tiny_bundle.card.export["files"].items() if name != REFERENCE}
    bundle = replace(tiny_bundle, card=replace(tiny_bundle.card, export={**tiny_bundle.card.export, "files": files}))
    without = Predictor(bundle.card, open_backend(bundle, "onnxruntime").embed, bundle=bundle)
    with TestClient(create_app(without, Settings())) as client:
        found = client.get("/monitoring").json()
    assert (found["enough"], found["words"]) == (False, WITHOUT)


def test_an_error_in_measuring_ends_the_answers_or_is_hidden(
    serve: Serve, digits: Iterator[bytes], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(LiveWindow, "add", lambda self, records: 1 / 0)
    with serve() as client:
        for _ in range(20):
            send(client, next(digits))
            time.sleep(0.01)
        assert client.get("/monitoring").json()["words"] == STOPPED
    assert "monitoring has stopped" in caplog.text


def test_asking_costs_a_look(serve: Serve, digits: Iterator[bytes]) -> None:
    with serve(window=200) as client:
        for _ in range(60):
            send(client, next(digits))
        found = told(client, 50)
        watch = client.app.state.watch  # type: ignore[attr-defined]
        assert all(client.get("/monitoring").json() == found for _ in range(100))
        assert watch.json is watch.json
        assert len(watch.findings.windows) == 1
