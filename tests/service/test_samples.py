"""The samples of a bundle: shown as they are, answered as any picture, and never anything else of the disk."""

import io
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from mlops_cls.bundle import Bundle
from mlops_cls.predictor import Predictor
from mlops_cls.service.app import create_app
from mlops_cls.service.settings import Settings

Serve = Callable[..., AbstractContextManager[TestClient]]


def test_samples_are_other_pictures_or_have_other_labels_than_in_the_bundle(
    client: TestClient, tiny_bundle: Bundle
) -> None:
    expected = [{"id": number, "label": sample["label"]} for number, sample in enumerate(tiny_bundle.samples)]
    assert client.get("/samples").json() == {"samples": expected}
    for number, sample in enumerate(tiny_bundle.samples):
        response = client.get("/samples/image", params={"id": number, "size": 64})
        assert response.headers["content-type"] == "image/png"
        assert response.headers["x-label"] == sample["label"]
        assert response.headers["x-label-index"] == str(tiny_bundle.card.classes.index(sample["label"]))
        assert response.headers["x-sample-id"] == str(number)
        with Image.open(io.BytesIO(response.content)) as shown, Image.open(sample["file"]) as file:
            side = 64 // file.width
            np.testing.assert_array_equal(shown, np.kron(file, np.ones((side, side), np.uint8)))


def test_without_an_id_it_is_always_the_same_sample(client: TestClient) -> None:
    asked = [client.get("/samples/image", params={"size": 16}) for _ in range(40)]
    assert {response.headers["x-sample-id"] for response in asked} == {"0", "1", "2"}


def test_a_sample_is_answered_otherwise_than_when_it_is_sent_or_is_collected(
    client: TestClient, tiny_bundle: Bundle
) -> None:
    observed: list[object] = []
    client.app.state.service.observers.append(observed.extend)  # type: ignore[attr-defined]
    for number, sample in enumerate(tiny_bundle.samples):
        body = client.get(f"/samples/{number}/predict").json()
        (found,) = body["predictions"]
        assert (found.pop("true_label"), found.pop("true_label_index")) == (
            sample["label"],
            tiny_bundle.card.classes.index(sample["label"]),
        )
        assert observed == []
        (sent,) = client.post("/predict", files={"file": Path(sample["file"]).read_bytes()}).json()["predictions"]
        assert found | {"id": ""} == sent | {"id": ""}
        assert len(observed) == 1
        observed.clear()


@pytest.mark.parametrize("path", ["/samples/3/predict", "/samples/-1/predict", "/samples/image?id=3"])
def test_a_sample_out_of_range_is_any_other(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert "there are 0 to 2" in response.json()["detail"]


@pytest.mark.parametrize(
    "path", ["/samples/x/predict", "/samples/image?id=-1", "/samples/image?size=9", "/samples/image?size=9999"]
)
def test_what_is_no_sample_or_size_is_guessed(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 422


def test_a_model_without_samples_does_not_say_how_to_get_some(tiny_bundle: Bundle) -> None:
    loaded = Predictor.load(tiny_bundle.folder)
    with TestClient(create_app(Predictor(loaded.card, loaded._forward))) as client:
        for path in ("/samples", "/samples/image", "/samples/0/predict"):
            response = client.get(path)
            assert response.status_code == 404
            assert "python -m mlops_cls.export RUN --samples 20" in response.json()["detail"]


def test_a_service_of_runs_latest_loses_its_samples_when_another_training_begins(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    latest = tmp_path / "latest"
    latest.symlink_to(tiny_bundle.folder.parent, target_is_directory=True)
    with TestClient(create_app(settings=Settings(model=str(latest / tiny_bundle.folder.name)))) as client:
        while client.get("/ready").status_code != 200:
            time.sleep(0.02)
        latest.unlink()
        assert client.get("/info").json()["samples"] == 3
