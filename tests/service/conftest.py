"""A service in this process, and pictures to send it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from visiting import address, pictures, served  # noqa: F401 (fixtures)

from browser import chromium, visit  # noqa: F401 (fixtures)
from mlops_cls.bundle import Bundle
from mlops_cls.predictor import Predictor
from mlops_cls.service.app import create_app
from mlops_cls.service.settings import Settings

Serve = Callable[..., AbstractContextManager[TestClient]]


@pytest.fixture(scope="session")
def serve(tiny_bundle: Bundle) -> Serve:
    """Return a context manager of a client to a running service, with settings by name."""

    @contextmanager
    def started(**settings: Any) -> Iterator[TestClient]:
        app = create_app(Predictor.load(tiny_bundle.folder), Settings.checked(settings))
        with TestClient(app, raise_server_exceptions=False) as client:
            yield client

    return started


@pytest.fixture(scope="module")
def client(serve: Serve) -> Iterator[TestClient]:
    """Return a client to a service as it is by default."""
    with serve() as started:
        yield started


@pytest.fixture(scope="session")
def sample(tiny_bundle: Bundle) -> Path:
    """Return a picture that the service is made for."""
    return Path(tiny_bundle.samples[0]["file"])
