"""Clients of five older services find their routes and fields again, with the bundle of each system behind them."""

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

import mlops_cls as mc
from mlops_cls.bundle import Bundle
from mlops_cls.errors import ConfigError
from mlops_cls.predictor import Prediction, Predictor
from mlops_cls.service.app import create_app
from mlops_cls.service.settings import Settings

Compat = Serve = Callable[..., AbstractContextManager[TestClient]]
PLACES = {"seabed": "/predict/", "fmnist": "/predict/upload", "emotion": "/predict", "dog_breed": "/predict/"}


@pytest.fixture(scope="module")
def bundle_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Bundle]:
    """Return a function that trains a system for an epoch on pictures made up in its own layout, and exports it."""
    from mlops_cls.exporting.write import Wishes, export_checkpoint

    home, made = tmp_path_factory.mktemp("systems"), dict[str, Bundle]()

    def make(name: str) -> Bundle:
        if name not in made:
            own = [f"data={name}", "data.source=synthetic", "data.size=16", "model=baseline_cnn"]
            short = ["trainer.max_epochs=1", "logger=none", "run.report=false"]
            places = [f"data.store={home / 'store'}", f"run.folder={home / 'runs'}"]
            run = mc.fit(mc.load_config(*own, *short, *places))
            made[name] = export_checkpoint(run.checkpoint, home / name, Wishes(samples=4))
        return made[name]

    return make


@pytest.fixture(scope="module")
def compat(bundle_of: Callable[[str], Bundle]) -> Compat:
    """Return a context manager of a client that a system's bundle answers as `compat` says, by default its own."""

    @contextmanager
    def started(system: str, **settings: Any) -> Iterator[TestClient]:
        settings = {"compat": system} | settings
        with TestClient(create_app(Predictor.load(bundle_of(system).folder), Settings.checked(settings))) as client:
            yield client

    return started


def expected(bundle: Bundle) -> Prediction:
    return Predictor.load(bundle.folder)(bundle.samples[0]["file"])


def sent(bundle: Bundle, name: str = "a.png") -> dict[str, Any]:
    return {"files": {"file": (name, Path(bundle.samples[0]["file"]).read_bytes())}}


def test_seabed(compat: Compat, bundle_of: Callable[[str], Bundle]) -> None:
    bundle = bundle_of("seabed")
    found = expected(bundle)
    with compat("seabed") as client:
        answer = client.post("/predict/", **sent(bundle))
        assert answer.status_code == 200
        body = answer.json()
        assert body.pop("prediction_probability") == pytest.approx([*found.probabilities.values()], abs=1e-5)
        assert body == {"label": found.label, "predictions": found.index}
        assert client.post("/predict", **sent(bundle)).json()["predictions"][0]["label"] == found.label


def test_skin_lesion(compat: Compat, bundle_of: Callable[[str], Bundle]) -> None:
    bundle = bundle_of("skin_lesion")
    found = expected(bundle)
    with compat("skin_lesion", max_bytes="1000") as client:
        answer = client.post("/inference", **sent(bundle))
        assert answer.status_code == 200
        body = answer.json()
        assert body.pop("probabilities") == pytest.approx(found.probabilities, abs=1e-5)
        assert body.pop("confidence") == pytest.approx(found.confidence, abs=1e-5)
        assert body == {
            "predicted_class": found.index,
            "diagnosis": found.label,
            "is_cancer": found.label in {"mel", "bcc", "akiec"},
        }
        check_refusals(client, "/inference")
        health = client.get("/health").json()
        assert health == {"status": "ok", "model_loaded": True, "model_version": bundle.card.digest}


def test_fmnist(compat: Compat, bundle_of: Callable[[str], Bundle]) -> None:
    bundle = bundle_of("fmnist")
    found = expected(bundle)
    classes = bundle.card.classes
    with compat("fmnist") as client:
        upload = client.post("/predict/upload", **sent(bundle))
        assert upload.status_code == 200
        assert upload.json() == {
            "prediction": found.label,
            "prediction_index": found.index,
            "confidence": pytest.approx(found.confidence, abs=1e-5),
        }
        true = bundle.samples[0]["label"]
        sample = client.get("/predict/sample/0").json()
        assert sample == upload.json() | {"true_label": true, "true_label_index": classes.index(true)}
        for beyond in (4, -1, 10**30):
            assert client.get(f"/predict/sample/{beyond}").status_code == 404
        for query in ("", "?dataset=train&size=280", "?dataset=val", "?dataset=test&size=64"):
            picture = client.get(f"/sample/image{query}")
            assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
            assert classes[int(picture.headers["x-label-index"])] == picture.headers["x-label"]
            with Image.open(io.BytesIO(picture.content)) as shown:
                assert shown.size == ((64, 64) if "64" in query else (280, 280))
        assert client.get("/sample/image?dataset=other").status_code == 422


def test_emotion(compat: Compat, bundle_of: Callable[[str], Bundle]) -> None:
    bundle = bundle_of("emotion")
    found = expected(bundle)
    with compat("emotion") as client:
        answer = client.post("/predict", **sent(bundle), params={"top": "1"})
        assert answer.status_code == 200
        body = answer.json()
        assert (body["emotion"], body["confidence"]) == (found.label, pytest.approx(found.confidence, abs=1e-5))
        assert body["predictions"][0]["label"] == found.label
        assert [*body["predictions"][0]["probabilities"]] == [found.label]
        assert client.post("/predict", files={"file": b"none"}).status_code == 400
        schema = client.get("/openapi.json").json()["paths"]["/predict"]["post"]
        assert schema["operationId"] == "predict"


def test_dog_breed(compat: Compat, bundle_of: Callable[[str], Bundle]) -> None:
    bundle = bundle_of("dog_breed")
    found = expected(bundle)
    with compat("dog_breed") as client:
        answer = client.post("/predict/", **sent(bundle, "C:\\dogs/../my \u200edog.jpg"))
        assert answer.status_code == 200
        body = answer.json()
        assert (body.pop("filename"), body.pop("predicted_breed")) == ("my dog.jpg", found.label)
        with Image.open(bundle.samples[0]["file"]) as picture:
            grey = np.asarray(picture, np.float64) @ [0.299, 0.587, 0.114]
        numbers = {
            "mean": grey.mean(),
            "std": grey.std(),
            "median": np.median(grey),
            "min": grey.min(),
            "max": grey.max(),
        }
        assert {name: body.pop(name) for name in numbers} == pytest.approx(numbers, abs=1e-3)
        assert 0 < body.pop("entropy") <= 8
        assert 0 <= body.pop("edge_density") <= 1
        assert body == {}
        long = client.post("/predict/", **sent(bundle, "x" * 2000 + ".jpg")).json()["filename"]
        assert long == "x" * 255
        half = Image.fromarray(np.repeat([[0] * 8 + [255] * 8], 16, axis=0).astype(np.uint8))
        file = io.BytesIO()
        half.save(file, "PNG")
        stepped = client.post("/predict/", files={"file": file.getvalue()}).json()
        assert stepped["edge_density"] == 2 / 16  # the two columns beside the step
        assert (stepped["min"], stepped["median"], stepped["max"], stepped["entropy"]) == (0, 127.5, 255, 1)


@pytest.mark.parametrize(("system", "place"), PLACES.items())
def test_an_older_client_is_refused_otherwise_than_others(serve: Serve, system: str, place: str) -> None:
    with serve(compat=system, api_keys="k", max_bytes="1000") as client:
        assert client.post(place, files={"file": b"none"}).json()["code"] == "no_key"
        client.headers["X-API-Key"] = "k"
        check_refusals(client, place)
        assert client.get("/info").json()["compat"] == [system]


def check_refusals(client: TestClient, place: str) -> None:
    refusals = {
        "not_a_picture": {"files": {"file": b"none"}},
        "too_large": {"files": {"file": b"x" * 1001}},
        "wrong_type": {"json": {}},
        "wrong_form": {"files": {"picture": b"none"}},
    }
    for code, request in refusals.items():
        response = client.post(place, **request)  # type: ignore[arg-type]
        assert (response.json()["code"], response.headers["content-type"]) == (code, "application/problem+json")
    if place != "/predict":
        two = [("file", b"one"), ("file", b"two")]
        assert "One picture is expected here, and 2 came" in client.post(place, files=two).json()["detail"]


def test_several_systems_are_not_answered_at_once(serve: Serve, sample: Path) -> None:
    with serve(compat="fmnist, emotion, dog_breed") as client:
        for place in ("/predict/upload", "/predict", "/predict/"):
            assert client.post(place, files={"file": sample.read_bytes()}).status_code == 200
        paths = client.get("/openapi.json").json()["paths"].values()
        operations = [each["operationId"] for path in paths for each in path.values()]
        assert len(operations) == len(set(operations))


def test_two_systems_answer_at_the_same_place() -> None:
    with pytest.raises(ConfigError, match=r"--compat seabed,dog_breed: both answer POST /predict/; give one of them"):
        create_app(settings=Settings(compat="seabed,emotion,dog_breed"))
    with pytest.raises(ConfigError, match=r"--compat=seabde is not known; did you mean 'seabed'\?"):
        create_app(settings=Settings(compat="seabde"))


def test_a_model_that_cannot_tell_cancer_is_served_as_one_that_can(tiny_bundle: Bundle) -> None:
    app = create_app(settings=Settings(model=str(tiny_bundle.folder), compat="skin_lesion"))
    with TestClient(app) as client:
        while app.state.service.failure is None:
            assert client.get("/ready").status_code == 503
        assert "does not tell of each class whether it is_cancer" in str(app.state.service.failure)


def test_without_compat_older_routes_are_there(client: TestClient) -> None:
    for place in ("/inference", "/predict/upload"):
        assert client.post(place).status_code == 404
    assert client.post("/predict/", follow_redirects=False).status_code in (307, 404)
