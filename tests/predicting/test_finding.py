"""The pictures that are meant are found, once each and in order, and nothing else."""

from pathlib import Path

import pytest

from mlops_cls.errors import DataError
from mlops_cls.predicting.finding import find_pictures


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b.jpg", "a.PNG", "notes.txt", ".hidden.png", "sub dir/c.webp", "sub dir/deep/d.tiff", "[odd].png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


ALL = ["[odd].png", "a.PNG", "b.jpg", "sub dir/c.webp", "sub dir/deep/d.tiff"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["."], ALL),
        (["notes.txt"], ["notes.txt"]),  # named on purpose
        (["*"], ALL),
        (["*.jpg", "a.*"], ["b.jpg", "a.PNG"]),
        (["**/*.tiff"], ["sub dir/deep/d.tiff"]),
        (["sub*"], ["sub dir/c.webp", "sub dir/deep/d.tiff"]),
        (["[odd].png"], ["[odd].png"]),  # a file before it is a pattern
        (["[ab].*"], ["a.PNG", "b.jpg"]),
        (["b.jpg", ".", "b.jpg"], ["b.jpg", *(name for name in ALL if name != "b.jpg")]),
    ],
)
def test_pictures_are_missed_found_twice_or_out_of_order(folder: Path, given: list[str], expected: list[str]) -> None:
    assert [path.as_posix() for path in find_pictures(given)] == expected


def test_a_pattern_from_the_root_finds_nothing(folder: Path) -> None:
    assert find_pictures([f"{folder}/*.jpg"]) == [folder / "b.jpg"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("missing", "missing does not exist: give pictures, folders of pictures, or a pattern"),
        ("missing/*.png", "no pictures in missing/"),
        ("https://example.org/a.png", "is a URL, and nothing is fetched from one"),
    ],
)
def test_nothing_found_ends_without_a_word(folder: Path, given: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        find_pictures([given])
