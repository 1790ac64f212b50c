"""What a client gets that sends pictures."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from mlops_cls.bundle import Bundle
from mlops_cls.predictor import Predictor


def files(*contents: bytes) -> list[tuple[str, tuple[str, bytes, str]]]:
    return [("file", (f"{number}.png", content, "image/png")) for number, content in enumerate(contents)]


def test_the_service_says_what_the_predictor_says(client: TestClient, tiny_bundle: Bundle, sample: Path) -> None:
    expected = Predictor.load(tiny_bundle.folder)(sample)
    response = client.post("/predict", files=files(sample.read_bytes()))
    body = response.json()
    (found,) = body["predictions"]
    assert response.status_code == 200
    assert body["request_id"] == response.headers["x-request-id"]
    assert body["model_version"] == tiny_bundle.card.digest
    assert (found["label"], found["index"], found["abstains"]) == (expected.label, expected.index, expected.abstains)
    assert found["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5)
    assert [*found["probabilities"]] == [name for name, _ in expected.top(10)]
    assert found["id"] == f"{body['request_id']}-0"


def test_pictures_of_a_request_are_answered_in_their_order(client: TestClient, tiny_bundle: Bundle) -> None:
    samples = [Path(sample["file"]) for sample in tiny_bundle.samples]
    body = client.post("/predict", files=files(*(path.read_bytes() for path in samples))).json()
    expected = [each.label for each in Predictor.load(tiny_bundle.folder).batch(samples)]
    assert [each["label"] for each in body["predictions"]] == expected


def test_one_bad_picture_refuses_a_request_and_is_named(client: TestClient, sample: Path) -> None:
    response = client.post("/predict", files=files(sample.read_bytes(), b"no picture"))
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["code"] == "not_a_picture"
    assert problem["detail"].startswith("Picture 2 of 2 ")
    assert problem["request_id"] == response.headers["x-request-id"]


def test_a_batch_answers_the_good_pictures_and_says_what_is_wrong_with_the_others(
    client: TestClient, sample: Path
) -> None:
    response = client.post("/predict/batch", files=files(b"no picture", sample.read_bytes()))
    refused, answered = response.json()["predictions"]
    assert response.status_code == 207
    assert refused["problem"]["code"] == "not_a_picture"
    assert answered["label"]
    assert client.post("/predict/batch", files=files(sample.read_bytes())).status_code == 200


@pytest.mark.parametrize("where", ["query", "form"])
def test_top_and_threshold_are_taken_from_query_and_form(client: TestClient, sample: Path, where: str) -> None:
    options = {"top": "2", "threshold": "1"}
    given = {"params": options} if where == "query" else {"data": options}
    (found,) = client.post("/predict", files=files(sample.read_bytes()), **given).json()["predictions"]
    assert len(found["probabilities"]) == 2
    assert found["abstains"]


@pytest.mark.parametrize("options", [{"top": "0"}, {"threshold": "2"}, {"threshold": "nan"}, {"treshold": "0.5"}])
@pytest.mark.parametrize("where", ["params", "data"])
def test_an_option_that_is_not_allowed_is_refused_by_its_name(
    client: TestClient, sample: Path, options: dict[str, str], where: str
) -> None:
    response = client.post("/predict", files=files(sample.read_bytes()), **{where: options})
    assert response.status_code == 422
    assert next(iter(options)) in response.json()["detail"]


def test_a_request_id_of_the_clients_own_comes_back_unless_it_is_indecent(client: TestClient) -> None:
    assert client.get("/health", headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert client.get("/health", headers={"X-Request-ID": "a b\x7f"}).headers["x-request-id"] != "a b\x7f"
