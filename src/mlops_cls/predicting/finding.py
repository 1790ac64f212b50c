"""Which pictures are meant by paths, folders and patterns."""

from collections.abc import Iterable
from glob import glob, has_magic
from pathlib import Path

from mlops_cls.errors import DataError, first_few
from mlops_cls.pictures import SUFFIXES, is_url


def find_pictures(given: Iterable[str | Path]) -> list[Path]:
    """Return the files named, and those in folders and patterns that have a picture's ending; each once, in order.

    A pattern is one of the shell's, with ** for any number of folders, that the shell has left as it is.

    Raises:
        DataError: a path does not exist, is a URL, or nothing was found.
    """
    wanted = [str(item) for item in given]
    paths = [path for item in wanted for path in _meant_by(item)]
    if not paths:
        endings = " ".join(SUFFIXES)
        raise DataError(f"no pictures in {first_few(wanted)}: files with these endings are looked for: {endings}")
    return list(dict.fromkeys(paths))


def _meant_by(item: str) -> list[Path]:
    path = Path(item)
    if path.is_dir():
        return _below(path)
    if path.exists():
        return [path]
    if is_url(item):
        raise DataError(f"{item} is a URL, and nothing is fetched from one: save the pictures and give their folder")
    if has_magic(item):
        # A Path's own glob takes no pattern that begins with /.
        matches = map(Path, sorted(glob(item, recursive=True)))  # noqa: PTH207
        return [found for match in matches for found in (_below(match) if match.is_dir() else [match]) if _shows(found)]
    raise DataError(f"{item} does not exist: give pictures, folders of pictures, or a pattern such as 'new/*.jpg'")


def _below(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if _shows(file))


def _shows(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
