"""What was collected is read as it was written, whatever happened to the process that wrote it."""

import json
import os
import stat
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta, timezone
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from collected import CLASSES, NOON, RECORD
from mlops_cls.errors import ArtifactError, ConfigError
from mlops_cls.monitoring.collection import FEEDBACK, HEADER, RECORDS, Collection
from mlops_cls.monitoring.records import Feedback, Record
from mlops_cls.monitoring.storage import Bucket, Folder

Make = Callable[..., Path]
DAY = timedelta(days=1)


def told(identity: str, label: str, *, after: timedelta = timedelta(0)) -> bytes:
    return Feedback(id=identity, time=NOON + after, label=label).to_line().encode()


def same(one: Record, other: Record) -> bool:
    return all(np.array_equal(getattr(one, each.name), getattr(other, each.name)) for each in fields(Record))


def test_a_line_loses_something_of_a_record() -> None:
    line = RECORD.to_line()
    assert line.endswith("}\n")
    assert line.count("\n") == 1
    again = Record.from_line(line, CLASSES)
    for before, after in (
        (RECORD.probabilities, again.probabilities),
        (RECORD.embedding, again.embedding),
        (np.float32(RECORD.confidence), np.float32(again.confidence)),
    ):
        np.testing.assert_array_equal(before, after)
    assert {name: np.float32(value) for name, value in again.statistics.items()} == {
        name: np.float32(value) for name, value in RECORD.statistics.items()
    }
    assert again.probabilities.dtype == again.embedding.dtype == np.float32
    assert again.to_line() == line
    assert "0.7," in line  # and not 0.699999988079071
    bare = replace(RECORD, embedding=None, picture="2026-11-20/pictures/a-0.0f.jpg")
    assert Record.from_line(bare.to_line(), CLASSES).embedding is None
    feedback = Feedback(id="a-0", time=NOON, label=CLASSES[1])
    assert Feedback.from_line(feedback.to_line(), CLASSES) == feedback


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"id": "../../etc/passwd"},
        {"id": ""},
        {"id": 7},
        {"time": "2026-11-20T12:00:00"},  # of which place?
        {"time": 12},
        {"index": 3},
        {"index": -1},
        {"index": 1.0},
        {"index": True},
        {"label": "shirt"},
        {"probabilities": [0.5, 0.5]},
        {"probabilities": [0.1, "much", 0.2]},
        {"probabilities": [0.1, None, 0.2]},
        {"confidence": float("nan")},
        {"confidence": "0.9"},
        {"statistics": {}},
        {"statistics": {**RECORD.statistics, "contrast": float("inf")}},
        {"statistics": None},
        {"embedding": 3},
        {"embedding": [float("inf")]},
        {"width": "640"},
        {"abstains": 0},
        {"picture": "2026-11-20/pictures/../../../secret.txt"},
        {"picture": "/etc/passwd"},
        {"picture": 1},
        {"extra": 1},
    ],
    ids=str,
)
def test_a_line_that_no_service_wrote_is_believed(change: dict[str, object]) -> None:
    line = json.dumps(json.loads(RECORD.to_line()) | change)
    with pytest.raises((ValueError, TypeError)):
        Record.from_line(line, CLASSES)


def test_a_killed_process_or_a_damaged_line_takes_others_with_it(make_collection: Make) -> None:
    root = make_collection(NOON, NOON + timedelta(seconds=1))
    (file,) = (root / "2026-11-20").glob("records-*.jsonl")
    first, second = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(first + b'{"format": 1, "id"}\n\xff\xfe\n\n[]\n' + second + second[:200])
    other = Folder(root)
    other.append(f"2026-11-20/{RECORDS}", replace(RECORD, id="other-0").to_line().encode())
    other.append(f"2026-11-20/{FEEDBACK}", told("a-0", "shirt") + told("b-0", "boot") + b'{"format": 1')
    found = Collection.open(root).read()
    assert [record.id for record in found.records] == ["a-0", "other-0", "b-0"]
    assert (found.torn, found.unreadable) == (2, 4)
    assert found.labels == {"a-0": "shirt"}


def test_other_than_the_last_word_counts_or_a_label_goes_to_the_wrong_picture(make_collection: Make) -> None:
    root = make_collection(NOON, NOON, NOON)
    early, late = Folder(root), Folder(root)
    late.append(f"2026-11-22/{FEEDBACK}", told("a-0", "shirt", after=2 * DAY))
    early.append(f"2026-11-20/{FEEDBACK}", told("a-0", "Stiefel") + told("c-0", "shirt") + told("unknown-0", "shirt"))
    # A client that sends the same X-Request-ID again: nobody knows which of both is meant.
    early.append(f"2026-11-20/{RECORDS}", replace(RECORD, id="c-0").to_line().encode())
    found = Collection.open(root).read()
    assert found.labels == {"a-0": "shirt"}
    assert len(found.records) == 4


def test_a_time_reads_other_days_or_misses_what_was_told_later(make_collection: Make) -> None:
    root = make_collection(NOON - DAY, NOON, NOON + timedelta(minutes=1), NOON + DAY)
    writer = Folder(root)
    writer.append(f"2026-11-29/{FEEDBACK}", told("b-0", "shirt", after=9 * DAY))
    (root / "2026-11-19" / "records-0.jsonl").mkdir()  # would be an error if it were opened
    (root / "not a day").mkdir()
    collection = Collection.open(root)
    found = collection.read(since=NOON, until=NOON + timedelta(minutes=1))
    assert [record.id for record in found.records] == ["b-0"]
    assert found.labels == {"b-0": "shirt"}
    assert [record.id for record in collection.read(since=NOON).records] == ["b-0", "c-0", "d-0"]
    # A time of another zone is another day's: 2 at night in Tokyo is the evening before in UTC.
    tokyo = datetime(2026, 11, 21, 2, tzinfo=timezone(timedelta(hours=9)))
    assert [record.id for record in collection.read(since=tokyo, until=None).records] == ["d-0"]
    assert collection.days() == ["2026-11-19", "2026-11-20", "2026-11-21", "2026-11-29"]
    assert date.fromisoformat(collection.days()[0])


def test_a_record_reaches_files_outside_of_its_collection(make_collection: Make) -> None:
    root = make_collection(NOON)
    (root.parent / "secret.jpg").write_bytes(b"secret")
    collection = Collection.open(root)
    name = "2026-11-20/pictures/a-0.0f.jpg"
    collection.storage.write(name, b"picture")
    assert collection.picture(replace(RECORD, picture=name)) == b"picture"
    for wrong in ("2026-11-20/pictures/../../../secret.jpg", "../secret.jpg", str(root.parent / "secret.jpg"), None):
        with pytest.raises(ArtifactError, match="was not kept"):
            collection.picture(replace(RECORD, picture=wrong))
    with pytest.raises(ArtifactError, match=r"gone\.jpg cannot be read"):
        collection.picture(replace(RECORD, picture="2026-11-20/pictures/gone.jpg"))


def test_something_else_is_taken_for_a_collection(make_collection: Make, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"collection\.json is missing .*--collect-to"):
        Collection.open(tmp_path / "nothing")
    root = make_collection(NOON)
    for content, words in (
        ("{", "damaged"),
        ("[]", "damaged"),
        ('{"format": 1}', "damaged"),
        ('{"format": 9}', "format 9; this version of mlops_cls reads 1"),
    ):
        (root / HEADER).write_text(content)
        with pytest.raises(ArtifactError, match=words):
            Collection.open(root)
    with pytest.raises(ConfigError, match="names no bucket"):
        Collection.open("gs://")


def test_others_of_the_machine_can_look_into_a_collection(make_collection: Make) -> None:
    root = make_collection(NOON)
    for path in (root, *root.rglob("*")):
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path


def test_a_write_that_fails_half_way_leaves_half_a_line(make_collection: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_collection(NOON)
    writer = Folder(root)
    writer.append(f"2026-11-20/{RECORDS}", RECORD.to_line().encode())
    write = os.write

    def write_some(file: int, content: bytes) -> int:
        if len(content) < 400:
            raise OSError(28, "No space left on device")
        return write(file, content[:300])

    monkeypatch.setattr(os, "write", write_some)
    with pytest.raises(OSError, match="No space"):
        writer.append(f"2026-11-20/{RECORDS}", 3 * RECORD.to_line().encode())
    with pytest.raises(OSError, match="No space"):
        writer.write(HEADER, b"{}")
    monkeypatch.undo()
    writer.append(f"2026-11-20/{RECORDS}", replace(RECORD, id="next-0").to_line().encode())
    found = Collection.open(root).read()
    assert [record.id for record in found.records] == ["a-0", "next-0", "request-0"]
    assert (found.torn, found.unreadable) == (0, 0)
    assert not list(root.rglob("*.partial"))


def test_a_bucket_differs_from_a_folder(make_collection: Make, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", bucket)
    place = "gs://pictures/of the lab/collected"
    with pytest.raises(ArtifactError, match="no collection"):
        Collection.open(place)
    storage = Bucket(place)
    make_collection(NOON - DAY, NOON, storage=storage)
    root = make_collection(NOON - DAY, NOON)
    storage.append(f"2026-11-20/{FEEDBACK}", told("b-0", "shirt"))
    Folder(root).append(f"2026-11-20/{FEEDBACK}", told("b-0", "shirt"))
    ours, theirs = Collection.open(root), Collection.open(place)
    assert (ours.classes, ours.models, ours.days()) == (theirs.classes, theirs.models, theirs.days())
    for since in (None, NOON):
        near, far = ours.read(since=since), theirs.read(since=since)
        assert all(map(same, near.records, far.records))
        assert len(near.records) == len(far.records) == (2 if since is None else 1)
        assert near.labels == far.labels == {"b-0": "shirt"}
    assert sum(storage.sizes().values()) == sum(Folder(root).sizes().values())
    name = "2026-11-20/pictures/a-0.0f.jpg"
    storage.write(name, b"picture")
    assert theirs.picture(replace(RECORD, picture=name)) == b"picture"
    storage.remove("2026-11-20")
    storage.remove("2026-11-20")
    assert theirs.days() == ["2026-11-19"]


class Forbidden(BaseHTTPRequestHandler):
    """Lets nobody in, as a bucket of someone else's does."""

    def do_GET(self) -> None:
        self.send_error(HTTPStatus.FORBIDDEN)

    def log_message(self, *_: object) -> None: ...


def test_a_bucket_of_someone_else_ends_in_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Forbidden) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(ArtifactError, match=r"gs://pictures/collected cannot be reached \(Forbidden"):
            Collection.open("gs://pictures/collected")
        server.shutdown()


def test_utc_days_are_those_of_another_zone() -> None:
    late = datetime(2026, 11, 20, 23, 30, tzinfo=timezone(timedelta(hours=-5)))
    assert replace(RECORD, time=late).day == "2026-11-21"
    assert replace(RECORD, time=late.astimezone(UTC)).day == "2026-11-21"
