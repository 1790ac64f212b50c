"""True labels that come later find their pictures, and nothing else gets in."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from mlops_cls.bundle import Bundle
from mlops_cls.monitoring.collection import Collection


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("collected")


@pytest.fixture(scope="module")
def collecting(serve: Callable[..., Any], place: Path) -> Iterator[TestClient]:
    with serve(collect="metadata", collect_to=str(place)) as client:
        yield client


def test_feedback_goes_to_another_picture_or_the_first_word_counts(
    serve: Callable[..., Any], tiny_bundle: Bundle, sample: Path, tmp_path: Path
) -> None:
    classes = tiny_bundle.card.classes
    told = []
    with serve(collect="metadata", collect_to=str(tmp_path)) as client:
        client.app.state.service.listeners.append(lambda identity, label: told.append((identity, label)))
        files = [("file", ("a.png", sample.read_bytes(), "image/png"))] * 2
        first, second = (each["id"] for each in client.post("/predict", files=files).json()["predictions"])
        for identity, label in ((first, classes[0]), (second, classes[1]), (first, classes[2])):
            answer = client.post("/feedback", json={"id": identity, "label": label})
            assert answer.status_code == 202
            assert answer.json() == {"id": identity, "label": label}
    assert Collection.open(tmp_path).read().labels == {first: classes[2], second: classes[1]}
    assert told == [(first, classes[0]), (second, classes[1]), (first, classes[2])]


def test_feedback_of_another_process_is_refused(collecting: TestClient, tiny_bundle: Bundle) -> None:
    body = {"id": "of-another-process-0", "label": tiny_bundle.card.classes[0]}
    assert collecting.post("/feedback", json=body).status_code == 202


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"id": "a-0", "label": "zero"}, "label: 'zero' is no class of this model"),
        ({"id": "a-0", "label": "x" * 3000}, f"{'x' * 100!r} is no class"),
        ({"id": "../../etc/passwd", "label": "0"}, "id: String should match pattern"),
        ({"id": "a\n", "label": "0"}, "id: String should match pattern"),
        ({"id": "", "label": "0"}, "id: String should match pattern"),
        ({"id": "a-0"}, "label: Field required"),
        ({"id": "a-0", "label": 0}, "label: Input should be a valid string"),
        ({"id": "a-0", "label": "0", "model": "x"}, "model: Extra inputs are not permitted"),
        (["a-0"], "Input should be a valid dictionary or object"),
        (b"{", "JSON decode error"),
        (b"[" * 60_000, ""),
        (b"", "Field required"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_feedback_that_makes_no_sense_is_kept(collecting: TestClient, body: Any, words: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = collecting.post("/feedback", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["code"] == "wrong_form"
    assert words in answer.json()["detail"]


def test_feedback_of_another_type_is_told_in_riddles(collecting: TestClient) -> None:
    answer = collecting.post("/feedback", data={"id": "a-0", "label": "0"})
    assert (answer.status_code, answer.json()["code"]) == (415, "wrong_type")
    assert "curl -H 'Content-Type: application/json'" in answer.json()["detail"]


def test_a_body_without_end_is_read_to_its_end(collecting: TestClient) -> None:
    answer = collecting.post("/feedback", content=b" " * 70_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_feedback_vanishes_where_nothing_is_collected(client: TestClient, tiny_bundle: Bundle) -> None:
    answer = client.post("/feedback", json={"id": "a-0", "label": tiny_bundle.card.classes[0]})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_collecting")
    assert "--collect metadata" in answer.json()["detail"]


def test_a_near_name_is_not_suggested(collecting: TestClient, tiny_bundle: Bundle) -> None:
    answer = collecting.post("/feedback", json={"id": "a-0", "label": f"{tiny_bundle.card.classes[7]} "})
    assert f"did you mean {tiny_bundle.card.classes[7]!r}?" in answer.json()["detail"]


def test_the_description_knows_another_body(collecting: TestClient) -> None:
    described = collecting.get("/openapi.json").json()["paths"]["/feedback"]["post"]
    reference = described["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    schema = collecting.get("/openapi.json").json()["components"]["schemas"][reference.rpartition("/")[2]]
    assert schema["required"] == ["id", "label"]
    assert schema["additionalProperties"] is False
    assert {"202", "409", "413", "422", "503"} <= described["responses"].keys()
