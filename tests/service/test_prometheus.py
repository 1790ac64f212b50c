"""What Prometheus reads is true, has the form that it wants, and does not grow with what strangers ask."""

import io
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_plain

from mlops_cls.bundle import Bundle
from mlops_cls.monitoring.drift import ENOUGH

Serve = Callable[..., Any]
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]
OPENMETRICS = "application/openmetrics-text; version=1.0.0,text/plain;version=0.0.4;q=0.3"
UNITS = ("_seconds", "_bytes", "_ratio", "_pictures", "_total", "_info")
WITHOUT_UNIT = {"ready", "requests_in_flight", "drift", "drift_p_value", "drift_effect", "collection_waiting"}


def read(client: TestClient) -> Series:
    response = client.get("/metrics")
    assert response.status_code == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in read_plain(response.text)
        for sample in family.samples
    }


def value(series: Series, series_name: str, /, **labels: str) -> float:
    return series.get((f"mlops_cls_{series_name}", frozenset(labels.items())), 0)


def classify(client: TestClient, *contents: bytes, path: str = "/predict") -> Any:
    return client.post(path, files=[("file", ("a.png", data, "image/png")) for data in contents])


@pytest.fixture
def served(serve: Serve) -> Iterator[TestClient]:
    with serve() as client:
        yield client


def test_a_count_is_not_what_happened(served: TestClient, sample: Path, tiny_bundle: Bundle) -> None:
    data = sample.read_bytes()
    before = read(served)
    answers = [classify(served, data).json(), classify(served, data, data).json()]
    assert classify(served, b"no picture").status_code == 400
    assert classify(served, data, b"no picture", path="/predict/batch").status_code == 207
    after = read(served)

    def more(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    assert more("requests_total", route="/predict", method="POST", status="200") == 2
    assert more("requests_total", route="/predict", method="POST", status="400") == 1
    assert more("requests_total", route="/predict/batch", method="POST", status="207") == 1
    assert more("requests_total", route="/metrics", method="GET", status="200") == 1
    assert more("problems_total", code="not_a_picture") == 1
    assert more("request_duration_seconds_count", route="/predict") == 3
    said = [each for body in answers for each in body["predictions"]]
    label = said[0]["label"]
    assert {each["label"] for each in said} == {label}
    assert more("predictions_total", **{"class": label}) == len(said) + 1
    others = [name for name in tiny_bundle.card.classes if name != label]
    assert all(("mlops_cls_predictions_total", frozenset({("class", name)})) in before for name in others)
    assert all(more("predictions_total", **{"class": name}) == 0 for name in others)
    assert more("confidence_ratio_count") == len(said) + 1
    assert more("confidence_ratio_sum") == pytest.approx(4 * said[0]["confidence"], rel=1e-4)
    assert more("abstentions_total") == 4 * said[0]["abstains"]
    assert more("decode_seconds_count") == 4
    assert more("batch_pictures_sum") == more("queue_wait_seconds_count") == 4
    assert more("batch_pictures_count") == more("inference_seconds_count") <= 4
    assert (
        0
        < more("inference_seconds_sum")
        < more("request_duration_seconds_sum", route="/predict")
        + more("request_duration_seconds_sum", route="/predict/batch")
    )


def test_how_things_stand_is_told_wrong(served: TestClient, tiny_bundle: Bundle) -> None:
    series = read(served)
    assert value(series, "ready") == 1
    assert value(series, "requests_in_flight") == 1
    assert value(series, "queue_pictures") == 0
    assert value(series, "queue_limit_pictures") == 64
    model = {"name": tiny_bundle.card.architecture.name, "version": tiny_bundle.card.digest, "backend": "onnxruntime"}
    assert value(series, "model_info", **model) == 1
    names = {name for name, _ in series}
    assert {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"} <= names
    assert {"process_start_time_seconds", "python_info", "python_gc_collections_total"} <= names
    assert not any(name.startswith("mlops_cls_collect") for name in names)


def test_strangers_can_make_series(served: TestClient) -> None:
    for ask in range(3):
        served.get(f"/nothing/{ask}")
        served.get(f"/page/{ask}.js")
        served.request(f"METHOD{ask}", "/health")
        served.request(f"METHOD{ask}", f"/nothing/{ask}")
        served.get("/docs/", follow_redirects=False)
    series = read(served)
    routes = {dict(labels)["route"] for name, labels in series if name == "mlops_cls_requests_total"}
    methods = {dict(labels)["method"] for name, labels in series if name == "mlops_cls_requests_total"}
    assert routes <= {"other", "/page/{name}", "/health", "/metrics", "/docs"}
    assert methods == {"GET", "other"}
    assert value(series, "requests_total", route="other", method="GET", status="404") >= 3
    assert value(series, "problems_total", code="not_found") == 9
    assert value(series, "problems_total", code="not_allowed") == 3


def test_a_request_that_a_guard_refuses_is_counted_nowhere(serve: Serve) -> None:
    with serve(api_keys="0123456789abcdef") as client:
        assert classify(client, b"").status_code == 401
        headers = {"Authorization": "Bearer 0123456789abcdef"}
        text = client.get("/metrics", headers=headers).text
    assert 'mlops_cls_requests_total{method="POST",route="/predict",status="401"} 1.0' in text
    assert 'mlops_cls_problems_total{code="no_key"} 1.0' in text


@pytest.mark.parametrize("accept", ["", "text/plain;version=0.0.4", OPENMETRICS, OPENMETRICS.upper()])
def test_the_text_is_not_what_its_type_says(served: TestClient, sample: Path, accept: str) -> None:
    classify(served, sample.read_bytes())
    response = served.get("/metrics", headers={"Accept": accept})
    openmetrics = "openmetrics" in accept.lower()
    media = "application/openmetrics-text; version=1.0.0" if openmetrics else "text/plain; version=0.0.4"
    assert response.headers["content-type"].startswith(f"{media}; charset=utf-8")
    families = [*(read_openmetrics if openmetrics else read_plain)(response.text)]
    assert response.text.endswith("# EOF\n") == openmetrics
    ours = {family.name: family for family in families if family.name.startswith("mlops_cls_")}
    assert len(ours) > 15
    assert all(family.documentation.endswith(".") and family.type != "unknown" for family in ours.values())
    for name, family in ours.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]+", name)
        unit = name.removeprefix("mlops_cls_") in WITHOUT_UNIT or name.endswith(UNITS)
        assert unit or family.type in ("counter", "info"), name
        assert (family.type == "counter") == all(sample.name.endswith("_total") for sample in family.samples)
        assert not any(sample.name.endswith("_created") for sample in family.samples)


def test_an_odd_wish_for_a_format_is_an_error(served: TestClient) -> None:
    for accept in ("application/openmetrics-text; version=abc", "text/plain;version=;escaping=x", "*/*", ";;;,,"):
        assert served.get("/metrics", headers={"Accept": accept}).status_code == 200


def test_two_services_of_one_process_share_counts(serve: Serve, sample: Path) -> None:
    with serve() as one, serve() as other:
        classify(one, sample.read_bytes())
        assert value(read(one), "confidence_ratio_count") == 1
        assert value(read(other), "confidence_ratio_count") == 0


def test_a_label_of_a_class_breaks_the_text(served: TestClient) -> None:
    metrics = served.app.state.metrics  # type: ignore[attr-defined]
    metrics._predictions.labels('an "ankle"\\boot\nnaïve').inc()
    assert value(read(served), "predictions_total", **{"class": 'an "ankle"\\boot\nnaïve'}) == 1
    assert 'naïve"' in served.get("/metrics", headers={"Accept": OPENMETRICS}).text


def test_collecting_goes_on_unseen(serve: Serve, sample: Path, tmp_path: Path, tiny_bundle: Bundle) -> None:
    with serve(collect="metadata", collect_to=str(tmp_path)) as client:
        answer = classify(client, sample.read_bytes()).json()
        told = {"id": answer["predictions"][0]["id"], "label": tiny_bundle.card.classes[0]}
        assert client.post("/feedback", json=told).status_code == 202
        while value(series := read(client), "collection_waiting"):
            pass
    assert value(series, "collected_total", kind="records") == 1
    assert value(series, "collected_total", kind="feedback") == 1
    assert value(series, "collection_failures_total") == 0
    size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert value(series, "collection_bytes") == size
    reasons = [labels for name, labels in series if name == "mlops_cls_collection_dropped_total"]
    assert len(reasons) == 4


def test_drift_is_seen_by_nobody_who_is_on_call(serve: Serve, tmp_path: Path, tiny_bundle: Bundle) -> None:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((32, 32)).save(file, "PNG")
    with serve(window=100, collect="metadata", collect_to=str(tmp_path)) as client:
        assert ("mlops_cls_drift", frozenset()) not in read(client)
        answer = classify(client, file.getvalue()).json()["predictions"][0]
        client.post("/feedback", json={"id": answer["id"], "label": answer["label"]})
        for _ in range(ENOUGH):
            classify(client, file.getvalue())
        while ("mlops_cls_drift", frozenset()) not in (series := read(client)):
            time.sleep(0.05)
        told = client.get("/monitoring").json()
    assert value(series, "drift") == told["drift"] == 1
    assert value(series, "monitoring_pictures") == told["pictures"] >= ENOUGH
    for test in told["tests"]:
        assert value(series, "drift_p_value", test=test["name"]) == pytest.approx(test["p_adjusted"])
        assert value(series, "drift_effect", test=test["name"]) == pytest.approx(test["effect"])
    assert value(series, "feedback_accuracy_ratio") == told["accuracy"]["value"] == 1


def test_the_page_names_a_metric_that_is_not_there_or_forgets_one(
    serve: Serve, sample: Path, tmp_path: Path, tiny_bundle: Bundle
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text()
    named = set(re.findall(r"mlops_cls_[a-z_]+", page))
    with serve(window=100, collect="metadata", collect_to=str(tmp_path)) as client:
        answer = classify(client, sample.read_bytes()).json()["predictions"][0]
        client.post("/feedback", json={"id": answer["id"], "label": answer["label"]})
        for _ in range(ENOUGH):
            classify(client, sample.read_bytes())
        while ("mlops_cls_drift", frozenset()) not in (series := read(client)):
            time.sleep(0.05)
        client.get("/nothing")
        series = read(client)
    there = {name for name, _ in series if name.startswith("mlops_cls_")}
    families = {re.sub("_(bucket|sum|count)$", "", name) for name in there}
    assert named - there - families == set()
    assert families - named == set()
