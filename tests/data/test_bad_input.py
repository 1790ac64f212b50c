"""Bad pictures, full disks and damaged stores are named in words a person can act on, and leave nothing behind."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlops_cls.data.manifest import FORMAT, Plan
from mlops_cls.data.prepare import prepare
from mlops_cls.data.sources.folder import FolderSource
from mlops_cls.data.sources.table import TableSource
from mlops_cls.data.split import SPLITS
from mlops_cls.errors import DataError

MakePictures = Callable[..., Path]
StartPython = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def root(tmp_path: Path, make_pictures: MakePictures) -> Path:
    return make_pictures(tmp_path / "raw", {"cat": 12, "dog": 12})


def spoil(root: Path) -> dict[str, str]:
    """Make four pictures bad in four ways; return what is to be said of each."""
    Image.new("L", (1, 1)).save(root / "cat" / "001.png")
    (root / "cat" / "003.png").write_text("<html>404</html>")
    Image.new("F", (9, 9)).save(root / "dog" / "002.tif")
    whole = (root / "dog" / "004.png").read_bytes()
    (root / "dog" / "004.png").write_bytes(whole[: len(whole) // 2])
    return {
        "cat/001.png": "only 1x1 pixels",
        "cat/003.png": "not a picture",
        "dog/002.tif": "32-bit float pixels have no fixed range: convert to 8 or 16 bit",
        "dog/004.png": "cannot be decoded (image file is truncated)",
    }


def visible(store: Path) -> list[str]:
    return sorted(path.name for path in store.iterdir() if path.suffix != ".lock")


def test_bad_pictures_pass_or_only_the_first_is_named(tmp_path: Path, root: Path) -> None:
    bad = spoil(root)
    store = tmp_path / "store"
    with pytest.raises(DataError, match=r"^4 of 25 files cannot be used .*data\.on_bad=skip$") as refused:
        prepare(FolderSource(root), Plan(), store)
    assert all(f"{name}: {reason}" in str(refused.value) for name, reason in bad.items())
    assert visible(store) == ["bad_pictures.csv"]
    with (store / "bad_pictures.csv").open(encoding="utf-8", newline="") as file:
        assert {row["id"]: row["reason"] for row in csv.DictReader(file)} == bad


def test_hundreds_of_bad_pictures_fill_the_screen(tmp_path: Path, root: Path) -> None:
    for path in root.rglob("*.png"):
        path.write_text("no picture")
    with pytest.raises(DataError, match=r"24 of 24 files cannot be used .*and 19 more") as refused:
        prepare(FolderSource(root), Plan(), tmp_path / "store")
    assert len(str(refused.value)) < 600
    assert len((tmp_path / "store" / "bad_pictures.csv").read_text().splitlines()) == 25


def test_skipped_pictures_are_stored_or_forgotten(tmp_path: Path, root: Path) -> None:
    bad = spoil(root)
    prepared = prepare(FolderSource(root), Plan(on_bad="skip"), tmp_path / "store")
    assert prepared.manifest.skipped == bad
    kept = {s.id for s in FolderSource(root).samples()} - set(bad)
    assert {i for split in SPLITS for i in prepared.ids(split)} == kept
    assert sum(map(prepared.manifest.size_of, SPLITS)) == len(kept)
    for split in SPLITS:
        assert len(prepared.images(split)) == len(prepared.labels(split)) == prepared.manifest.size_of(split)
        assert prepared.rows(split)["row"].to_pylist() == list(range(prepared.manifest.size_of(split)))
    assert visible(tmp_path / "store") == [prepared.folder.name]


def test_a_store_with_skipped_pictures_serves_a_run_that_wants_none_skipped(tmp_path: Path, root: Path) -> None:
    spoil(root)
    prepare(FolderSource(root), Plan(on_bad="skip"), tmp_path / "store")
    with pytest.raises(DataError, match=r"^4 of 25 files cannot be used .*data\.on_bad=skip$"):
        prepare(FolderSource(root), Plan(), tmp_path / "store")


def test_a_class_without_a_readable_training_picture_is_trained(tmp_path: Path, make_pictures: MakePictures) -> None:
    for split in SPLITS:
        make_pictures(tmp_path / "raw" / split, {"cat": 3, "dog": 3})
    for path in (tmp_path / "raw" / "train" / "dog").iterdir():
        path.write_text("no picture")
    with pytest.raises(DataError, match="no readable training picture is left of dog"):
        prepare(FolderSource(tmp_path / "raw"), Plan(on_bad="skip"), tmp_path / "store")
    assert visible(tmp_path / "store") == []


def test_a_split_without_a_readable_picture_is_scored(tmp_path: Path, make_pictures: MakePictures) -> None:
    for split in SPLITS:
        make_pictures(tmp_path / "raw" / split, {"cat": 3, "dog": 3})
    for path in (tmp_path / "raw" / "test").rglob("*.png"):
        path.write_text("no picture")
    with pytest.raises(DataError, match="no readable picture is left in test"):
        prepare(FolderSource(tmp_path / "raw"), Plan(on_bad="skip"), tmp_path / "store")


def test_a_picture_that_a_table_names_is_not_there(tmp_path: Path, root: Path) -> None:
    rows = [f"raw/cat/{i:03d}.png,cat" for i in range(10, 14)]
    (tmp_path / "data.csv").write_text("\n".join(["path,label", *rows]))
    with pytest.raises(DataError, match=r"2 of 4 files .*raw/cat/012\.png: no such file"):
        prepare(TableSource(tmp_path / "data.csv"), Plan(), tmp_path / "store")


def test_bad_pictures_decide_size_and_channels(tmp_path: Path, make_pictures: MakePictures) -> None:
    root = make_pictures(tmp_path / "raw", {"cat": 30}, size=40)
    for path in root.rglob("*.png"):
        Image.open(path).convert("L").save(path)
    for i in range(9):
        (root / "cat" / f"bad{i}.png").write_text("no picture")
    geometry = prepare(FolderSource(root), Plan(on_bad="skip"), tmp_path / "store").manifest.geometry
    assert (geometry.size, geometry.channels) == (64, 1)


def test_a_picture_too_narrow_to_be_padded_stops_the_program(tmp_path: Path, root: Path) -> None:
    Image.new("RGB", (2, 900)).save(root / "cat" / "thin.png")
    with pytest.raises(DataError, match=r"1 of 25 .*cat/thin\.png: 2x900 pixels are too narrow to be padded to 32x32"):
        prepare(FolderSource(root), Plan(resize="pad"), tmp_path / "store")


def test_a_decompression_bomb_is_prepared(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    for side in (18, 40):  # Pillow warns of the first and refuses the second
        Image.new("RGB", (side, side)).save(root / "cat" / f"{side}.png")
    with pytest.raises(DataError, match=r"2 of 26 files .*more than 300 pixels.*more than 300 pixels"):
        prepare(FolderSource(root), Plan(), tmp_path / "store")


def test_too_few_pictures_of_a_class_are_split(tmp_path: Path, make_pictures: MakePictures) -> None:
    root = make_pictures(tmp_path / "raw", {"cat": 9, "rare": 2})
    with pytest.raises(DataError, match="'rare' has 2"):
        prepare(FolderSource(root), Plan(), tmp_path / "store")
    assert visible(tmp_path / "store") == []


# Prepares the table argv[1] in argv[2] at the size argv[3], while no file may grow beyond argv[4] bytes.
FULL = """
import json, resource, signal, sys
from pathlib import Path
from mlops_cls.data.manifest import Plan
from mlops_cls.data.prepare import prepare
from mlops_cls.data.sources.table import TableSource

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
try:
    prepare(TableSource(sys.argv[1]), Plan(size=int(sys.argv[3]), channels="grey"), Path(sys.argv[2]))
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot limit the size of files")
@pytest.mark.parametrize(("size", "limit"), [(64, 10_000), (2, 3_000)], ids=["pictures", "sample table"])
def test_a_full_disk_leaves_half_a_store(
    tmp_path: Path, root: Path, start_python: StartPython, size: int, limit: int
) -> None:
    table, store = tmp_path / "data.csv", tmp_path / "store"
    notes = np.random.default_rng(0).bytes(24 * 200).hex()  # so that the sample table is larger than small pictures
    paths = [path.relative_to(tmp_path) for path in sorted(root.rglob("*.png"))]
    rows = [f"{path},{path.parent.name},{notes[400 * i : 400 * i + 400]}" for i, path in enumerate(paths)]
    table.write_text("\n".join(["path,label,note", *rows]))
    output, error = start_python(FULL, table, store, size, limit).communicate()
    assert error == ""
    assert json.loads(output) == [
        "DataError",
        f"no room left in {store}: free some space or set data.store=FOLDER on another disk",
    ]
    assert visible(store) == []
    prepared = prepare(TableSource(table), Plan(size=size, channels="grey"), store)
    largest = max(path.stat().st_size for path in prepared.folder.iterdir())
    assert largest > limit  # else nothing was put to the test


def test_a_disk_too_small_is_filled_first(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = 24 * 32 * 32 * 3
    usage = type("Usage", (), {"free": needed - 1})
    monkeypatch.setattr("mlops_cls.data.prepare.shutil.disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"need 7\.37e-05 GB and .*store has 7\.37e-05 GB left: free some space, set"):
        prepare(FolderSource(root), Plan(), tmp_path / "store")
    assert visible(tmp_path / "store") == []
    usage.free = needed
    assert prepare(FolderSource(root), Plan(), tmp_path / "store").manifest.size_of("train") == 16


# In a folder with raw/ and a read-only store/; root, whom permissions do not stop, becomes somebody else first.
READ_ONLY = """
import os
from pathlib import Path
from mlops_cls.data.manifest import Plan
from mlops_cls.data.prepare import prepare
from mlops_cls.data.sources.folder import FolderSource

prepare(FolderSource("raw"), Plan(), Path("other"))  # imports what it needs while it still may
if os.geteuid() == 0:
    os.seteuid(65534)
print(prepare(FolderSource("raw"), Plan(seed=1), Path("store")).folder)
try:
    prepare(FolderSource("raw"), Plan(), Path("store"))
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has other permissions")
def test_a_read_only_store_is_a_traceback_or_cannot_be_read(
    tmp_path: Path, root: Path, start_python: StartPython
) -> None:
    there = prepare(FolderSource(root), Plan(seed=1), tmp_path / "store").folder
    (tmp_path / "store" / f".{there.name}.lock").unlink()
    tmp_path.chmod(0o755)
    (tmp_path / "store").chmod(0o555)
    output, error = start_python(READ_ONLY, cwd=tmp_path).communicate()
    (tmp_path / "store").chmod(0o755)
    assert error == ""
    refused = "DataError store cannot be written (Permission denied): set data.store=FOLDER"
    assert output.splitlines() == [f"store/{there.name}", refused]
    assert visible(tmp_path / "store") == [there.name]


@pytest.mark.parametrize("store", ["file", "file/below"])
def test_a_store_that_is_a_file_is_a_traceback(tmp_path: Path, root: Path, store: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=rf"{store} cannot be written \(.*\): set data\.store=FOLDER"):
        prepare(FolderSource(root), Plan(), tmp_path / store)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "manifest cut": lambda folder: os.truncate(folder / "manifest.json", 200),
    "manifest empty": lambda folder: os.truncate(folder / "manifest.json", 0),
    "manifest binary": lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe\x00"),
    "manifest a list": lambda folder: (folder / "manifest.json").write_text("[]"),
    "manifest without keys": lambda folder: (folder / "manifest.json").write_text(f'{{"format": {FORMAT}}}'),
    "pictures gone": lambda folder: (folder / "train.npy").unlink(),
    "pictures cut": lambda folder: os.truncate(folder / "train.npy", 1000),
    "pictures empty": lambda folder: os.truncate(folder / "train.npy", 0),
    "sample table gone": lambda folder: (folder / "samples.parquet").unlink(),
    "sample table cut": lambda folder: os.truncate(folder / "samples.parquet", 100),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_store_is_a_traceback(tmp_path: Path, root: Path, damage: Callable[[Path], object]) -> None:
    folder = prepare(FolderSource(root), Plan(), tmp_path / "store").folder
    damage(folder)
    with pytest.raises(DataError, match=rf"{folder.name} cannot be read \(.*\): delete that folder and run again"):
        read_all(prepare(FolderSource(root), Plan(), tmp_path / "store"))


def read_all(prepared: object) -> None:
    for split in SPLITS:
        prepared.images(split)
        prepared.labels(split)


def test_a_store_of_another_version_is_read(tmp_path: Path, root: Path) -> None:
    folder = prepare(FolderSource(root), Plan(), tmp_path / "store").folder
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace(f'"format": {FORMAT}', '"format": 0'))
    with pytest.raises(DataError, match="was prepared by another version of mlops_cls: delete that folder"):
        prepare(FolderSource(root), Plan(), tmp_path / "store")


def test_a_store_that_was_half_deleted_is_in_the_way(tmp_path: Path, root: Path) -> None:
    folder = prepare(FolderSource(root), Plan(), tmp_path / "store").folder
    (folder / "manifest.json").unlink()
    (folder / "train.npy").unlink()
    read_all(prepare(FolderSource(root), Plan(), tmp_path / "store"))
    assert visible(tmp_path / "store") == [folder.name]
