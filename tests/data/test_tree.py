"""Folders and zip archives read as trees: the same files either way, and archives that lie are refused."""

import stat
import zipfile
from pathlib import Path

import pytest

from mlops_cls.data.tree import FolderTree, ZipTree, open_trees
from mlops_cls.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a/1.txt", "b c/ü.txt", ".hidden/x.txt", "__MACOSX/y.txt", "a/Thumbs.db"):
        path = tmp_path / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "raw"


def pack(archive: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return archive


def test_folder_and_zip_of_it_hold_the_same_files(folder: Path, tmp_path: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    packed = pack(tmp_path / "raw.zip", {path.relative_to(folder).as_posix(): path.read_bytes() for path in files})
    unpacked, zipped = FolderTree(folder), ZipTree(packed)
    assert unpacked.names == zipped.names == ["a/1.txt", "b c/ü.txt"]
    assert [unpacked.read(name) for name in unpacked.names] == [zipped.read(name) for name in zipped.names]


def test_stamp_changes_with_the_file(folder: Path, tmp_path: Path) -> None:
    tree = FolderTree(folder)
    before = tree.stamp("a/1.txt")
    (folder / "a" / "1.txt").write_text("something longer")
    assert tree.stamp("a/1.txt") != before
    first, second = (ZipTree(pack(tmp_path / f"{i}.zip", {"a": content})) for i, content in enumerate((b"x", b"y")))
    assert first.stamp("a") != second.stamp("a")


@pytest.mark.parametrize("name", ["../outside.png", "/etc/outside.png", "a/../../outside.png", "a\\..\\outside.png"])
def test_archive_whose_entry_leads_outside_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="leads outside"):
        ZipTree(pack(tmp_path / "bad.zip", {name: b""})).names  # noqa: B018


def test_archive_with_a_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as file:
        file.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="is a link"):
        ZipTree(tmp_path / "bad.zip").names  # noqa: B018


def test_archive_beyond_the_limits_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack(tmp_path / "large.zip", {"a.png": b"x" * 2000, "b.png": b""})
    monkeypatch.setattr("mlops_cls.data.tree.LARGEST_FILE", 1000)
    with pytest.raises(DataError, match=r"a\.png.*unpacks to"):
        ZipTree(packed).names  # noqa: B018
    monkeypatch.setattr("mlops_cls.data.tree.MOST_FILES", 1)
    with pytest.raises(DataError, match="announces 2 files"):
        ZipTree(packed).names  # noqa: B018


def test_damaged_archive_is_named(tmp_path: Path) -> None:
    packed = pack(tmp_path / "raw.zip", {"a.png": b"x" * 5000})
    content = bytearray(packed.read_bytes())
    content[100:200] = b"\0" * 100
    packed.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"raw\.zip: a\.png cannot be read"):
        ZipTree(packed).read("a.png")


@pytest.mark.parametrize(
    ("name", "words"), [("nowhere", "does not exist"), ("notes.txt", "neither a folder nor a zip")]
)
def test_place_without_data_is_named_with_what_to_give(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "notes.txt").write_text("no archive")
    with pytest.raises(DataError, match=f"{words}.*give the folder or the .zip"):
        open_trees(tmp_path / name)
