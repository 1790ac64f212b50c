"""The files of a raw data set, in a folder or in a zip archive that is read in place and never unpacked.

Reading in place leaves nothing to clean up, and an archive cannot write outside its folder, because it writes nothing.
"""

import stat
import zipfile
from functools import cached_property
from pathlib import Path, PurePosixPath
from threading import local
from typing import Protocol

from mlops_cls.errors import DataError, first_few

MOST_FILES = 2_000_000
LARGEST_FILE = 1 << 30  # bytes, unpacked


class Tree(Protocol):
    """Files by their relative path in posix form; hidden files and those of operating systems are left out."""

    @property
    def root(self) -> Path:
        """The folder or archive itself."""

    @property
    def names(self) -> list[str]:
        """The relative paths, sorted."""

    def read(self, name: str) -> bytes:
        """Return a file's content."""

    def stamp(self, name: str) -> str:
        """Return what changes when the file does, without reading it."""


class FolderTree:
    """The files below a folder; symbolic links to folders are not followed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def names(self) -> list[str]:
        found = (path.relative_to(self.root) for path in self.root.rglob("*") if path.is_file())
        return sorted(path.as_posix() for path in found if _wanted(path.as_posix()))

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def stamp(self, name: str) -> str:
        status = (self.root / name).stat()
        return f"{status.st_size}:{status.st_mtime_ns}"


class ZipTree:
    """The files of a zip archive.

    Raises:
        DataError: damaged, encrypted, with links or paths that lead outside, or beyond the limits on number and size.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._handles = local()

    @cached_property
    def names(self) -> list[str]:
        return sorted(self._members)

    def read(self, name: str) -> bytes:
        try:
            return self._archive.read(name)
        except (zipfile.BadZipFile, OSError, EOFError) as error:
            raise DataError(f"{self.root}: {name} cannot be read ({error}): fetch the archive again") from error

    def stamp(self, name: str) -> str:
        member = self._members[name]
        return f"{member.file_size}:{member.CRC:08x}"

    @property
    def _archive(self) -> zipfile.ZipFile:
        # One handle per thread: a shared one would make the threads that decode wait for each other.
        if not hasattr(self._handles, "archive"):
            self._handles.archive = zipfile.ZipFile(self.root)
        archive: zipfile.ZipFile = self._handles.archive
        return archive

    @cached_property
    def _members(self) -> dict[str, zipfile.ZipInfo]:
        try:
            members = self._archive.infolist()
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError(f"{self.root} is no readable zip archive ({error}): fetch it again") from error
        if len(members) > MOST_FILES:
            raise DataError(f"{self.root} announces {len(members)} files; at most {MOST_FILES} are accepted")
        for member in members:
            _refuse_unsafe(member, self.root)
        return {member.filename: member for member in members if not member.is_dir() and _wanted(member.filename)}


def open_trees(root: Path) -> list[Tree]:
    """Return the places where a data set may lie: the folder itself, then each zip archive in it; or the one archive.

    Raises:
        DataError: there is no such folder or archive.
    """
    if root.is_dir():
        return [FolderTree(root), *(ZipTree(path) for path in sorted(root.glob("*.zip")))]
    if root.is_file() and zipfile.is_zipfile(root):
        return [ZipTree(root)]
    what = "is neither a folder nor a zip archive" if root.exists() else "does not exist"
    raise DataError(f"data.root={root} {what}: give the folder or the .zip of the data set")


def describe(trees: list[Tree]) -> str:
    """Return what lies there, for an error: each place with its number of files and its first folders."""
    return "; ".join(f"{tree.root}: {len(tree.names)} files in {first_few(_folders(tree), 4) or '.'}" for tree in trees)


def _folders(tree: Tree) -> list[str]:
    return list(dict.fromkeys(str(PurePosixPath(name).parent) for name in tree.names))


def _wanted(name: str) -> bool:
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return not hidden and parts[-1].lower() not in ("thumbs.db", "desktop.ini")


def _refuse_unsafe(member: zipfile.ZipInfo, root: Path) -> None:
    path = PurePosixPath(member.filename)
    if path.is_absolute() or ".." in path.parts or "\\" in member.filename:
        raise DataError(f"{root} is refused: its entry {member.filename!r} leads outside the archive")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise DataError(f"{root} is refused: its entry {member.filename!r} is a link")
    if member.file_size > LARGEST_FILE:
        raise DataError(f"{root} is refused: {member.filename!r} unpacks to {member.file_size / 1e9:.1f} GB")
    if member.flag_bits & 0x1:
        raise DataError(f"{root} is refused: it is encrypted; give an archive without a password")
