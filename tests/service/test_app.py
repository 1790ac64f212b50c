"""The app within another one, and what the pages say of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from mlops_cls.bundle import Bundle
from mlops_cls.predictor import Predictor
from mlops_cls.service.app import create_app
from mlops_cls.service.settings import Settings, flag, variable

PAGE = Path(__file__).parents[2] / "docs" / "serve.md"


def test_a_service_within_another_app_answers_at_its_own_root_alone(tiny_bundle: Bundle, sample: Path) -> None:
    inner = create_app(Predictor.load(tiny_bundle.folder), Settings.checked({"api_keys": "key", "rate": 100}))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with inner.router.lifespan_context(inner):
            yield

    outer = FastAPI(lifespan=lifespan)
    outer.mount("/digits", inner)
    files = {"file": sample.read_bytes()}
    with TestClient(outer) as client:
        assert client.get("/digits/ready").status_code == 200
        assert client.post("/digits/predict", files=files).status_code == 401
        assert client.post("/digits/predict", files=files, headers={"X-API-Key": "key"}).status_code == 200
        assert client.get("/predict").status_code == 404
        page = client.get("/digits/")
        assert page.status_code == 200
        assert 'src="/' not in page.text
        assert 'href="/' not in page.text


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_setting_is_missing_from_the_page_or_has_another_default_there(name: str) -> None:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and f"`{variable(name)}`" in line]
    default = Settings.model_fields[name].default
    assert len(lines) == 1
    assert name in ("model", "api_keys") or f"`{flag(name)}`" in lines[0]
    if isinstance(default, int | float) or default in ("off", "auto"):
        assert lines[0].split("|")[3].strip() == str(default).lower()
