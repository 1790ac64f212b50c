"""Digits and folders are read in an order that is the same everywhere, and what is wrong is named."""

import os
import shutil
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from mlops_cls.data.source import class_order
from mlops_cls.data.sources.digits import DigitsSource
from mlops_cls.data.sources.folder import FolderSource
from mlops_cls.errors import DataError
from mlops_cls.pictures import read_picture

MakePictures = Callable[..., Path]


def copies(picture: Path, paths: Iterable[Path]) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, path)


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("one") / "picture.png"
    Image.new("RGB", (4, 4), "red").save(path)
    return path


def test_digits_differ_from_scikit_learns() -> None:
    source = DigitsSource()
    samples = source.samples()
    digits = load_digits()
    assert len(samples) == 1797
    assert [s.label for s in samples] == [str(label) for label in digits.target]
    assert source.classes == tuple("0123456789")
    pixels = np.stack([source.picture(s) for s in samples])
    assert (pixels.min(), pixels.max(), pixels.dtype) == (0, 255, np.uint8)
    np.testing.assert_array_equal(np.round(pixels * (16 / 255)), digits.images)
    assert source.fingerprint() == DigitsSource().fingerprint()


def test_a_folder_of_classes_is_read_otherwise(tmp_path: Path, make_pictures: MakePictures) -> None:
    root = make_pictures(tmp_path, {"cat": 3, "dog": 2})
    source = FolderSource(root)
    samples = source.samples()
    assert [s.id for s in samples] == ["cat/000.png", "cat/001.png", "cat/002.png", "dog/000.png", "dog/001.png"]
    assert [s.label for s in samples] == ["cat"] * 3 + ["dog"] * 2
    assert {(s.split, s.group) for s in samples} == {(None, None)}
    assert source.picture(samples[4]) == root / "dog" / "001.png"


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "valid", "testing"), ("TRAIN", "Validation")])
def test_shipped_folders_of_splits_become_classes(
    tmp_path: Path, make_pictures: MakePictures, names: tuple[str, ...]
) -> None:
    for name in names:
        make_pictures(tmp_path / name, {"cat": 2, "dog": 1})
    samples = FolderSource(tmp_path).samples()
    expected = dict(zip(names, ("train", "val", "test"), strict=False))
    assert {(s.id.split("/")[0], s.split) for s in samples} == set(expected.items())
    assert Counter(s.label for s in samples) == {"cat": 2 * len(names), "dog": len(names)}


def test_pictures_in_deeper_folders_are_lost(tmp_path: Path, picture: Path) -> None:
    copies(picture, [tmp_path / "cat" / "2021" / "may" / "a.png", tmp_path / "cat" / "b.png", tmp_path / "dog/x/c.png"])
    samples = FolderSource(tmp_path).samples()
    assert {(s.id, s.label) for s in samples} == {
        ("cat/2021/may/a.png", "cat"),
        ("cat/b.png", "cat"),
        ("dog/x/c.png", "dog"),
    }


def test_names_beyond_ascii_are_misread(tmp_path: Path, picture: Path) -> None:
    names = ["grüne Äpfel/ein Bild #1.png", "犬/写真 (2).png", "it's 100%/ä,b;c.png"]
    copies(picture, [tmp_path / name for name in names])
    source = FolderSource(tmp_path)
    assert {s.id for s in source.samples()} == set(names)
    assert all(read_picture(source.picture(s)).size == (4, 4) for s in source.samples())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such file names")
def test_a_name_that_is_not_utf_8_is_a_traceback(tmp_path: Path, picture: Path) -> None:
    copies(picture, [tmp_path / "cat" / "a.png"])
    (tmp_path / "cat" / "a.png").rename(os.fsdecode(os.fsencode(tmp_path) + b"/cat/caf\xe9.png"))
    with pytest.raises(DataError, match=r"names that are not UTF-8: 'cat/caf.udce9\.png'; rename them"):
        FolderSource(tmp_path).fingerprint()


def test_the_same_name_in_another_unicode_form_is_another_class(tmp_path: Path, picture: Path) -> None:
    forms = [unicodedata.normalize(form, "Äpfel") for form in ("NFC", "NFD")]
    assert forms[0] != forms[1]
    # macOS writes the second form, Linux and Windows the first.
    copies(picture, [tmp_path / "train" / forms[0] / "1.png", tmp_path / "test" / forms[1] / "2.png"])
    source = FolderSource(tmp_path)
    assert {s.label for s in source.samples()} == {forms[0]}
    assert all(source.picture(s).is_file() for s in source.samples())


def test_numbered_classes_are_sorted_as_text(tmp_path: Path, make_pictures: MakePictures) -> None:
    root = make_pictures(tmp_path, {"10": 1, "2": 1, "-1": 1, "1": 1})
    assert class_order([s.label for s in FolderSource(root).samples()], None) == ("-1", "1", "2", "10")


def test_the_class_order_depends_on_what_was_found_first() -> None:
    assert class_order(["b", "a", "C", "b"], None) == ("C", "a", "b")
    assert class_order(["01", "1", "2"], None) == ("01", "1", "2")
    assert class_order(["10", "9", "x"], None) == ("10", "9", "x")
    assert class_order(["--5", "1"], None) == ("--5", "1")
    assert class_order(["new", "b", "a"], ["b", "gone", "a"]) == ("b", "a", "new")


def test_hidden_and_system_files_count_as_pictures(tmp_path: Path, picture: Path) -> None:
    hidden = ["cat/.DS_Store", "cat/Thumbs.db", ".git/x.png", ".loose", "cat/.ipynb_checkpoints/a.png"]
    copies(picture, [tmp_path / name for name in ["cat/a.png", "dog/b.png", "dog/x/.y/c.png", *hidden]])
    assert [s.id for s in FolderSource(tmp_path).samples()] == ["cat/a.png", "dog/b.png"]


def test_an_empty_class_folder_is_passed_over(tmp_path: Path, make_pictures: MakePictures) -> None:
    make_pictures(tmp_path, {"cat": 2})
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / ".DS_Store").touch()
    with pytest.raises(DataError, match=r"class folder .*dog is empty: add pictures or remove it"):
        FolderSource(tmp_path).samples()


@pytest.mark.parametrize("parent", [".", "train"])
def test_files_outside_the_classes_are_passed_over(tmp_path: Path, picture: Path, parent: str) -> None:
    copies(picture, [tmp_path / parent / "cat" / "a.png", tmp_path / parent / "lost.png"])
    with pytest.raises(DataError, match=r"files outside the class folders: lost\.png"):
        FolderSource(tmp_path).samples()


def test_splits_and_classes_side_by_side_are_guessed_at(tmp_path: Path, make_pictures: MakePictures) -> None:
    make_pictures(tmp_path / "train", {"cat": 1})
    make_pictures(tmp_path, {"dog": 1})
    with pytest.raises(DataError, match="has train and, beside it, dog: splits or classes, not both"):
        FolderSource(tmp_path).samples()


def test_a_wrong_root_is_a_traceback(tmp_path: Path, picture: Path) -> None:
    with pytest.raises(DataError, match=r"data\.root=.*gone does not exist: give the folder"):
        FolderSource(tmp_path / "gone").fingerprint()
    with pytest.raises(DataError, match=r"picture\.png is a file: give the folder"):
        FolderSource(picture).fingerprint()
    with pytest.raises(DataError, match="no sub-folders: one per class is expected"):
        FolderSource(tmp_path).fingerprint()
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        FolderSource(tmp_path).fingerprint()


@pytest.mark.parametrize("change", ["add", "remove", "rename", "rewrite", "touch"])
def test_a_changed_folder_goes_unnoticed(tmp_path: Path, make_pictures: MakePictures, change: str) -> None:
    root = make_pictures(tmp_path, {"cat": 3})
    before = FolderSource(root).fingerprint()
    assert FolderSource(root).fingerprint() == before
    path = root / "cat" / "001.png"
    match change:
        case "add":
            shutil.copy(path, root / "cat" / "new.png")
        case "remove":
            path.unlink()
        case "rename":
            path.rename(root / "cat" / "other.png")
        case "rewrite":
            path.write_bytes(path.read_bytes()[:-1])
        case "touch":
            os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000))
    assert FolderSource(root).fingerprint() != before
