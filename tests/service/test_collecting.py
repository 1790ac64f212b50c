"""What a service collects is what it saw and answered, on time, within its limits, and never in a client's way."""

import io
import json
import shutil
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from verb import Verb, wait_until

from google_storage import google_storage
from mlops_cls.bundle import Bundle
from mlops_cls.errors import ConfigError
from mlops_cls.monitoring.collection import HEADER, Collection, header
from mlops_cls.monitoring.reference import Reference
from mlops_cls.monitoring.statistics import measure
from mlops_cls.pictures import read_picture
from mlops_cls.predictor import Predictor
from mlops_cls.service import collecting, keeping
from mlops_cls.service.app import create_app
from mlops_cls.service.collecting import CROWDED, FULL, Collector, make_collector
from mlops_cls.service.settings import Settings

Serve = Callable[..., Any]


def post(client: Any, *contents: bytes, name: str = "x.png", **headers: str) -> dict[str, Any]:
    response = client.post(
        "/predict", files=[("file", (name, data, "image/png")) for data in contents], headers=headers
    )
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def collector_of(client: TestClient) -> Collector:
    collector: Collector = client.app.state.collector  # type: ignore[attr-defined]
    return collector


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def test_a_record_is_of_something_else_than_was_seen_and_answered(
    serve: Serve, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    samples = [Path(each["file"]).read_bytes() for each in tiny_bundle.samples]
    before = datetime.now(UTC)
    with serve(collect="metadata", collect_to=str(tmp_path / "deep" / "kept")) as client:
        answers = [post(client, *samples), post(client, samples[0])]
    collection = Collection.open(tmp_path / "deep" / "kept")
    tiny_bundle.card.check_classes(collection.classes, whose="the collection")
    assert collection.models == (tiny_bundle.card.digest,)
    records = {record.id: record for record in collection.read().records}
    predictor = Predictor.load(tiny_bundle.folder)
    reference = Reference.load(tiny_bundle.reference or Path())
    assert len(records) == len(samples) + 1
    for body in answers:
        for sample, said in zip(samples, body["predictions"], strict=False):
            record, loaded = records[said["id"]], predictor.read(sample)
            assert (record.request_id, record.model) == (body["request_id"], body["model_version"])
            assert before <= record.time <= datetime.now(UTC)
            assert (record.label, record.index, record.abstains) == (said["label"], said["index"], said["abstains"])
            assert record.confidence == pytest.approx(said["confidence"], rel=1e-6)
            expected = [said["probabilities"][name] for name in collection.classes]
            np.testing.assert_allclose(record.probabilities, expected, rtol=1e-6)
            assert (record.width, record.height) == loaded.sides
            measured = measure(loaded.pixels[None], [loaded.sides])
            assert {name: np.float32(value) for name, value in record.statistics.items()} == {
                name: values[0] for name, values in measured.items()
            }
            np.testing.assert_allclose(record.embedding, reference.projection(predictor.embed([sample]))[0], atol=1e-3)
            assert record.picture is None
    assert not list(tmp_path.rglob("pictures"))


def test_kept_pictures_are_others_or_tell_their_file_names(serve: Serve, sample: Path, tmp_path: Path) -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "Ada Lovelace"
    Image.new("RGB", (40, 30), (220, 30, 30)).save(file, "JPEG", exif=exif)
    photo = file.getvalue()
    with serve(collect="pictures", collect_to=str(tmp_path)) as client:
        post(client, sample.read_bytes(), photo, name="../../ada's mole.jpg", **{"X-Request-ID": "..", "a": "b"})
        post(client, photo, **{"X-Request-ID": ".."})
    collection = Collection.open(tmp_path)
    found = collection.read()
    assert sorted(record.id for record in found.records) == ["..-0", "..-0", "..-1"]
    kept = [collection.picture(record) for record in found.records]
    assert len({record.picture for record in found.records}) == 3
    assert sample.read_bytes() in kept
    turned = [read_picture(data) for data in kept if data.startswith(b"\xff\xd8")]
    assert [picture.size for picture in turned] == [(30, 40)] * 2
    np.testing.assert_array_equal(np.asarray(turned[0]), np.asarray(read_picture(photo)))
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"mole" not in everything
    assert b"Lovelace" not in everything
    assert not any("mole" in name for name in names(tmp_path))
    assert not list(tmp_path.parent.glob("*mole*"))


def test_something_is_kept_that_nobody_asked_for(
    client: TestClient, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    post(client, sample.read_bytes())
    assert client.app.state.collector is None  # type: ignore[attr-defined]
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"collect": "pictures"}, "--collect pictures: where to?"),
        ({"collect_to": "there"}, "nothing is collected; add --collect metadata"),
        ({"collect": "metadata", "collect_to": "gs://"}, "names no bucket"),
    ],
    ids=["no place", "nothing to keep", "no bucket"],
)
def test_a_careless_setting_is_found_out_by_the_first_request(settings: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        create_app(settings=Settings.checked(settings))


def test_folders_with_other_things_are_written_to_and_tidied(serve: Serve, tmp_path: Path) -> None:
    holiday = tmp_path / "photos" / "2009-08-01"
    holiday.mkdir(parents=True)
    (tmp_path / "file").write_text("")
    collection = tmp_path / "of others"
    collection.mkdir()
    (collection / HEADER).write_bytes(header(["cat", "dog"], ["0123456789ab"]))
    for place, words in (
        (tmp_path / "photos", "is not empty, and no collection"),
        (tmp_path / "file" / "in it", "cannot be used"),
        (collection, "the model was trained on other classes than the collection"),
    ):
        with serve(collect="metadata", collect_to=str(place)) as client:
            assert client.get("/ready").status_code == 503
            assert words in str(client.app.state.service.failure)
    assert holiday.is_dir()


def test_a_share_cuts_requests_in_pieces_or_differs_between_processes(
    serve: Serve, sample: Path, tmp_path: Path
) -> None:
    kept = []
    for name in ("one", "other"):
        with serve(collect="metadata", collect_to=str(tmp_path / name), collect_share=0.4) as client:
            for number in range(40):
                post(client, sample.read_bytes(), sample.read_bytes(), **{"X-Request-ID": f"r{number}"})
        records = Collection.open(tmp_path / name).read().records
        kept.append({record.id for record in records})
    assert kept[0] == kept[1]
    assert 8 * 2 <= len(kept[0]) <= 24 * 2
    requests = {identity.partition("-")[0] for identity in kept[0]}
    assert kept[0] == {f"{request}-{number}" for request in requests for number in (0, 1)}


def test_two_services_spoil_each_others_lines(serve: Serve, sample: Path, tmp_path: Path) -> None:
    settings = {"collect": "metadata", "collect_to": str(tmp_path)}
    with serve(**settings) as one, serve(**settings) as other:
        for number in range(20):
            post((one, other)[number % 2], sample.read_bytes(), **{"X-Request-ID": f"r{number}"})
    found = Collection.open(tmp_path).read()
    assert len(found.records) == 20
    assert (found.torn, found.unreadable) == (0, 0)
    assert len(list(tmp_path.glob("*/records-*.jsonl"))) in (2, 3, 4)  # 3 or 4 where a day ended meanwhile


def test_a_storage_that_is_away_stops_the_service_or_loses_records(
    serve: Serve, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(collecting, "FIRST_RETRY", 0.01)
    monkeypatch.setattr(collecting, "LAST_RETRY", 0.02)
    place = tmp_path / "kept"
    with serve(collect="metadata", collect_to=str(place)) as client:
        wait_until(place.is_dir)
        shutil.move(place, tmp_path / "away")
        place.write_text("in the way")
        for number in range(5):
            post(client, sample.read_bytes(), **{"X-Request-ID": f"r{number}"})
        collector = collector_of(client)
        wait_until(lambda: collector.failures > 2)
        assert collector.waiting == 5
        assert "cannot be written" in caplog.text
        place.unlink()
        shutil.move(tmp_path / "away", place)
        wait_until(lambda: collector.waiting == 0)
        assert collector.written["records"] == 5
    assert sorted(record.id for record in Collection.open(place).read().records) == [f"r{n}-0" for n in range(5)]


def test_what_cannot_be_written_at_the_end_holds_the_service_or_is_not_said(
    serve: Serve, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(collecting, "CLOSE_SECONDS", 0.5)
    place = tmp_path / "kept"
    with serve(collect="metadata", collect_to=str(place)) as client:
        shutil.rmtree(place)
        place.write_text("in the way")
        post(client, sample.read_bytes())
    assert "lost 1 records and feedback" in caplog.text


def test_more_waits_than_memory_has_room_for(
    serve: Serve, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(collecting, "MOST_WAITING", 10)
    with serve(collect="pictures", collect_to=str(tmp_path)) as client:
        for _ in range(3):
            post(client, sample.read_bytes())
        assert collector_of(client).dropped[CROWDED] == 3
        answer = client.post("/feedback", json={"id": "a-0", "label": client.get("/info").json()["classes"][0]})
        assert (answer.status_code, answer.json()["code"]) == (503, "busy")
        assert answer.headers["retry-after"] == "1"
    assert Collection.open(tmp_path).read().records == []


def a_day(root: Path, age: int, size: int) -> str:
    day = (datetime.now(UTC) - timedelta(days=age)).date().isoformat()
    (root / day / "pictures").mkdir(parents=True)
    (root / day / "pictures" / "a.jpg").write_bytes(bytes(size))
    return day


@pytest.fixture
def collection(tiny_bundle: Bundle, tmp_path: Path) -> Iterator[Path]:
    (tmp_path / HEADER).write_bytes(header(tiny_bundle.card.classes, []))
    yield tmp_path


def test_days_are_kept_for_too_long_or_too_short(serve: Serve, sample: Path, collection: Path) -> None:
    days = [a_day(collection, age, 10) for age in (0, 1, 7, 8, 400)]
    (collection / "notes").mkdir()
    with serve(collect="metadata", collect_to=str(collection), collect_days=7) as client:
        wait_until(lambda: not (collection / days[-1]).is_dir())
        post(client, sample.read_bytes())
    assert Collection.open(collection).days() == sorted(days[:3])
    assert (collection / "notes").is_dir()


def test_a_full_collection_takes_more_or_throws_away_the_newest(
    serve: Serve, sample: Path, collection: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "SAY_SECONDS", 0)
    days = [a_day(collection, age, 4000) for age in (3, 2, 1)]
    with serve(collect="metadata", collect_to=str(collection), collect_bytes=10_000) as client:
        post(client, sample.read_bytes())
        wait_until(lambda: collector_of(client).written["records"] == 1)
        assert [day for day in days if (collection / day).is_dir()] == days[1:]
        for _ in range(30):
            post(client, sample.read_bytes())
        wait_until(lambda: collector_of(client).waiting == 0)
        assert not any((collection / day).is_dir() for day in days)
        assert collector_of(client).dropped[FULL] > 0
        assert collector_of(client).used == sum((collection / name).stat().st_size for name in names(collection))
        assert "because today alone fills --collect-bytes" in caplog.text
    assert sum((collection / name).stat().st_size for name in names(collection)) <= 10_000


def test_files_of_another_process_are_never_counted(collection: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.checked({"collect": "metadata", "collect_to": str(collection), "collect_bytes": 10_000})
    collector = make_collector(settings)
    assert collector is not None
    space = collector._space
    assert space.make(1000)
    a_day(collection, 0, 9500)
    assert space.make(1000)
    monkeypatch.setattr(keeping, "RECOUNT_SECONDS", 0)
    assert not space.make(1000)


def test_records_are_lost_when_the_service_is_told_to_end(tiny_bundle: Bundle, sample: Path, tmp_path: Path) -> None:
    with google_storage(tmp_path / "gcs") as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", address)
        place = "gs://pictures/kept"
        with Verb(tiny_bundle.folder, "--collect", "pictures", "--collect-to", place) as service:
            answers = [post(service.client, sample.read_bytes()) for _ in range(10)]
            feedback = {"id": answers[3]["predictions"][0]["id"], "label": tiny_bundle.card.classes[0]}
            assert service.client.post("/feedback", json=feedback).status_code == 202
            said = service.end(signal.SIGTERM)
            assert service.process.returncode == 0, said
        collection = Collection.open(place)
        found = collection.read()
        assert sorted(record.request_id for record in found.records) == sorted(each["request_id"] for each in answers)
        assert found.labels == {feedback["id"]: feedback["label"]}
        assert {collection.picture(record) for record in found.records} == {sample.read_bytes()}
        assert "Traceback" not in said


def test_a_killed_service_leaves_a_folder_that_cannot_be_read(
    tiny_bundle: Bundle, sample: Path, tmp_path: Path
) -> None:
    with Verb(tiny_bundle.folder, "--collect", "pictures", "--collect-to", tmp_path / "kept") as service:
        answers = [post(service.client, sample.read_bytes())["request_id"] for _ in range(30)]
        wait_until(lambda: len(list(tmp_path.glob("kept/*/records-*.jsonl"))) == 1)
        service.end(signal.SIGKILL)
    collection = Collection.open(tmp_path / "kept")
    found = collection.read()
    assert {record.request_id for record in found.records} <= set(answers)
    assert len(found.records) > 0
    assert {collection.picture(record) for record in found.records} == {sample.read_bytes()}
    assert found.unreadable == 0
    assert json.loads((tmp_path / "kept" / HEADER).read_text())["models"] == [tiny_bundle.card.digest]
