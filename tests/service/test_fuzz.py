"""A service that is asked what nobody would ask neither fails nor shows its insides; benchmarks/fuzz.py asks more."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest
from fastapi.testclient import TestClient

from mlops_cls.bundle import Bundle
from mlops_cls.predictor import Predictor
from mlops_cls.service.app import create_app
from mlops_cls.service.settings import Settings


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module("fuzz")


def test_odd_requests_or_malformed_pictures_end_in_500_or_show_insides(fuzz: ModuleType, tiny_bundle: Bundle) -> None:
    app = create_app(Predictor.load(tiny_bundle.folder), Settings.checked(fuzz.EVERY))
    with TestClient(app):
        found = fuzz.fuzz(app, cases=220, pictures=300)
    assert found.wrong == []
    assert found.statuses["sound picture 200"] == 8 * 4  # formats, routes
    assert found.statuses["malformed picture 200"] > 20
    assert found.statuses["malformed picture 400"] > 100
    assert found.statuses["malformed picture 413"] > 5
    for route in ("POST /predict", "POST /predict/batch", "GET /samples/{id}/predict", "POST /feedback"):
        assert found.statuses[f"{route} 422"] >= 5, found.statuses


def test_an_inside_that_is_shown_goes_unnoticed(fuzz: ModuleType) -> None:
    found = fuzz.Found()
    for body in (
        b"<_io.BytesIO object at 0x7f3a>",
        b'File "x"',
        b"in /usr/lib",
        b"numpy: bad",
        b"mlops_cls.service.app",
    ):
        found.count("route", 400, body)
    found.count("route", 500, b"fine")
    found.count("route", 404, b"python -m mlops_cls.export RUN --samples 20 makes one")
    assert len(found.wrong) == 6
