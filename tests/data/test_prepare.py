"""The store holds the pictures a straightforward reading gives, is built once, and is whole or absent."""

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlops_cls.data.manifest import Geometry, Manifest, Plan
from mlops_cls.data.prepare import prepare
from mlops_cls.data.source import Source
from mlops_cls.data.sources.digits import DigitsSource
from mlops_cls.data.sources.folder import FolderSource
from mlops_cls.data.sources.table import TableSource
from mlops_cls.data.split import SPLITS
from mlops_cls.data.store import Prepared
from mlops_cls.pictures import fit_picture, read_picture

MakePictures = Callable[..., Path]
StartPython = Callable[..., subprocess.Popen[str]]
COUNTS = {"red": 10, "green": 6, "blue": 4}


@pytest.fixture
def root(tmp_path: Path, make_pictures: MakePictures) -> Path:
    return make_pictures(tmp_path / "raw", COUNTS)


def save(folder: Path, number: int, side: int, mode: str = "RGB") -> None:
    """Write `number` pictures of `side` pixels; their level tells them apart."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(number):
        grey = np.full((side, side + 3), 10 * i + 5, np.uint16 if mode == "I;16" else np.uint8)
        picture = Image.fromarray(grey * 256 if mode == "I;16" else grey)
        (picture if mode == "I;16" else picture.convert(mode)).save(folder / f"{mode.replace(';', '')}{i}.png")


def assert_equal_to_sources(prepared: Prepared, source: Source) -> None:
    samples = {s.id: s for s in source.samples()}
    geometry = asdict(prepared.manifest.geometry)
    for split in SPLITS:
        expected = [fit_picture(read_picture(source.picture(samples[i])), **geometry) for i in prepared.ids(split)]
        np.testing.assert_array_equal(prepared.images(split), np.stack(expected))
        classes = [samples[i].label for i in prepared.ids(split)]
        assert [prepared.manifest.classes[label] for label in prepared.labels(split)] == classes
        assert prepared.labels(split).dtype == np.int64
        assert prepared.manifest.counts[split] == Counter({c: 0 for c in prepared.manifest.classes}) + Counter(classes)


def test_the_store_differs_from_the_digits(digits: Prepared) -> None:
    assert_equal_to_sources(digits, DigitsSource())  # more than are decoded ahead
    found = [i for split in SPLITS for i in digits.ids(split)]
    assert sorted(found) == [s.id for s in DigitsSource().samples()]
    assert digits.images("train").shape == (digits.manifest.size_of("train"), 8, 8, 1)


@pytest.mark.parametrize(
    "plan",
    [
        Plan(size=12),
        Plan(size=20, resize="pad", interpolation="bicubic"),
        Plan(size=7, resize="stretch", channels="grey"),
        Plan(size=9, crop=0.6, channels="rgb", seed=4),
    ],
    ids=str,
)
def test_the_store_differs_from_the_pictures(tmp_path: Path, root: Path, plan: Plan) -> None:
    assert_equal_to_sources(prepare(FolderSource(root), plan, tmp_path / "store"), FolderSource(root))


def test_a_second_run_decodes_again(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare(FolderSource(root), Plan(), tmp_path / "store")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr("mlops_cls.data.builder.load_picture", refuse)
    monkeypatch.setattr("mlops_cls.data.scan.open_picture", refuse)
    second = prepare(FolderSource(root), Plan(), tmp_path / "store")
    assert (second.folder, second.manifest) == (first.folder, first.manifest)
    with pytest.raises(AssertionError, match="decoded again"):
        prepare(FolderSource(root), Plan(seed=1), tmp_path / "store")


@pytest.mark.parametrize("field", [field.name for field in fields(Plan) if field.name != "on_bad"])
def test_another_plan_shares_a_store(tmp_path: Path, root: Path, field: str) -> None:
    other = {
        "size": 12,
        "resize": "pad",
        "crop": 0.9,
        "interpolation": "bicubic",
        "channels": "grey",
        "split": "stratified",
        "val_fraction": 0.2,
        "test_fraction": 0.2,
        "subsample": 0.9,
        "seed": 1,
        "fold": 2,
        "folds": 4,
    }
    usual = Plan(fold=1, folds=3) if field in ("fold", "folds") else Plan()
    plan = replace(usual, **{field: other[field]})
    folders = {prepare(FolderSource(root), p, tmp_path / "store").folder for p in (usual, plan)}
    assert len(folders) == 2
    assert prepare(FolderSource(root), plan, tmp_path / "store").manifest.plan == plan


def test_good_pictures_are_prepared_again_to_skip_none_of_them(tmp_path: Path, root: Path) -> None:
    plans = (Plan(on_bad="skip"), Plan())
    assert len({prepare(FolderSource(root), plan, tmp_path / "store").folder for plan in plans}) == 1


def test_changed_pictures_are_not_prepared_anew(tmp_path: Path, root: Path) -> None:
    before = prepare(FolderSource(root), Plan(), tmp_path / "store")
    (root / "red" / "000.png").write_bytes((root / "blue" / "000.png").read_bytes())
    after = prepare(FolderSource(root), Plan(), tmp_path / "store")
    assert after.folder != before.folder
    assert after.manifest.content != before.manifest.content
    assert after.manifest.split_hash == before.manifest.split_hash


def test_a_copy_of_the_pictures_counts_as_other_data(tmp_path: Path, root: Path) -> None:
    copy = shutil.copytree(root, tmp_path / "elsewhere" / "copy")
    for path in copy.rglob("*.png"):
        os.utime(path, (1, 1))
    first, second = (prepare(FolderSource(r), Plan(), tmp_path / r.name / "store") for r in (root, copy))
    assert first.manifest == second.manifest
    for name in ("train.npy", "val.npy", "test.npy", "samples.parquet", "manifest.json"):
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()


def test_the_content_hash_does_not_cover_labels_or_splits(tmp_path: Path, root: Path) -> None:
    table = tmp_path / "data.csv"
    contents = set()
    for label, split in (("a", "val"), ("b", "val"), ("a", "test")):
        rows = ["a,train", "b,train", f"{label},val", "a,test", f"a,{split}"]
        lines = [f"raw/red/{i:03d}.png,{row}" for i, row in enumerate(rows)]
        table.write_text("\n".join(["path,label,split", *lines]))
        contents.add(prepare(TableSource(table), Plan(), tmp_path / "store").manifest.content)
    assert len(contents) == 3


def test_each_split_numbers_the_classes_for_itself(tmp_path: Path, make_pictures: MakePictures) -> None:
    make_pictures(tmp_path / "raw" / "train", {"2": 3, "10": 3, "1": 3})
    make_pictures(tmp_path / "raw" / "val", {"10": 1})
    make_pictures(tmp_path / "raw" / "test", {"10": 2, "2": 1})
    prepared = prepare(FolderSource(tmp_path / "raw"), Plan(), tmp_path / "store")
    assert prepared.manifest.classes == ("1", "2", "10")
    assert [prepared.labels(split).tolist() for split in SPLITS] == [[0] * 3 + [2] * 3 + [1] * 3, [2], [2, 2, 1]]
    assert prepared.manifest.counts["val"] == {"1": 0, "2": 0, "10": 1}
    assert prepared.manifest.split_by == "shipped"


@pytest.mark.parametrize("channels", ["grey", "rgb"])
def test_mean_and_std_differ_from_numpys(tmp_path: Path, root: Path, channels: str) -> None:
    prepared = prepare(FolderSource(root), Plan(channels=channels), tmp_path / "store")
    scaled = np.asarray(prepared.images("train"), np.float64) / 255
    np.testing.assert_allclose(prepared.manifest.mean, scaled.mean(axis=(0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(prepared.manifest.std, scaled.std(axis=(0, 1, 2)), atol=1e-6)


def test_a_constant_channel_is_divided_by_zero(tmp_path: Path) -> None:
    save(tmp_path / "raw" / "black", 1, 8)
    for i in range(3):
        shutil.copy(tmp_path / "raw" / "black" / "RGB0.png", tmp_path / "raw" / "black" / f"{i}.png")
    manifest = prepare(FolderSource(tmp_path / "raw"), Plan(), tmp_path / "store").manifest
    assert manifest.mean == pytest.approx((5 / 255,) * 3, abs=1e-6)
    assert manifest.std == pytest.approx((1 / 255,) * 3, abs=1e-6)


def test_a_manifest_changes_on_its_way_to_disk(tmp_path: Path, root: Path) -> None:
    written = replace(
        prepare(FolderSource(root), Plan(size=8, val_fraction=0.2), tmp_path / "store").manifest,
        classes=("Größe", "犬"),
        attributes={"is_cancer": {"Größe": True, "犬": False}},
        geometry=Geometry(size=31, resize="pad", crop=0.875, interpolation="bicubic", channels=1),
        skipped={"犬/ä.png": "not a picture"},
        counts={"train": {"Größe": 3, "犬": 4}, "val": {"Größe": 1, "犬": 0}, "test": {"Größe": 0, "犬": 0}},
    )
    written.save(tmp_path)
    read = Manifest.load(tmp_path)
    assert read == written
    assert isinstance(read.classes, tuple)
    assert (read.size_of("train"), read.size_of("val"), read.size_of("test")) == (7, 1, 0)
    assert read.identity()["plan"]["val_fraction"] == 0.2


def test_the_split_hash_is_not_of_ids_and_splits(tmp_path: Path, root: Path) -> None:
    plans = [Plan(), Plan(size=8), Plan(seed=1)]
    hashes = [prepare(FolderSource(root), plan, tmp_path / "store").manifest.split_hash for plan in plans]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(("sides", "size"), [((3, 5), 32), ((40, 41, 200), 64), ((64, 64), 64), ((500, 600), 224)])
def test_the_size_is_not_near_the_median_short_side(tmp_path: Path, sides: tuple[int, ...], size: int) -> None:
    for number, side in enumerate(sides):
        save(tmp_path / "raw" / "x" / str(number), 2, side)
    prepared = prepare(FolderSource(tmp_path / "raw"), Plan(), tmp_path / "store")
    assert prepared.manifest.geometry.size == size
    assert prepared.images("train").shape[1:] == (size, size, 3)


@pytest.mark.parametrize(
    ("modes", "asked", "channels"),
    [
        (("L",), "auto", 1),
        (("L", "1", "I;16", "LA"), "auto", 1),
        (("L", "RGB"), "auto", 3),
        (("P",), "auto", 3),
        (("L", "RGB"), "grey", 1),
        (("L",), "rgb", 3),
    ],
)
def test_colour_is_lost_or_grey_is_stored_three_times(
    tmp_path: Path, modes: tuple[str, ...], asked: str, channels: int
) -> None:
    for mode in modes:
        save(tmp_path / "raw" / "x", 4, 6, mode)
    prepared = prepare(FolderSource(tmp_path / "raw"), Plan(size=6, channels=asked), tmp_path / "store")
    assert prepared.manifest.geometry.channels == channels
    assert prepared.images("train").shape[-1] == channels
    assert prepared.manifest.modes == dict.fromkeys(modes, 4)
    assert_equal_to_sources(prepared, FolderSource(tmp_path / "raw"))


def test_the_store_can_be_written_to_by_a_reader(digits: Prepared) -> None:
    with pytest.raises(ValueError, match="read-only"):
        digits.images("train")[0] = 0
