"""Any folder of pictures: one sub-folder per class, with or without train, val and test above."""

import hashlib
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from mlops_cls.data.source import Sample
from mlops_cls.errors import DataError, first_few

SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
SYSTEM_FILES = {"thumbs.db", "desktop.ini"}


class FolderSource:
    """``root/class/**/picture`` or ``root/{train,val,test}/class/**/picture``.

    Every file counts as a picture, so that a wrong one is named and not passed over; hidden files and those of the
    operating system are left out.
    """

    name = "folder"
    classes = None
    attributes: Mapping[str, Mapping[str, Any]] = {}

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for sample in self._samples:
            status = (self.root / sample.id).stat()
            digest.update(f"{sample.id}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def samples(self) -> list[Sample]:
        return list(self._samples)

    def picture(self, sample: Sample) -> Path:
        return self.root / sample.id

    @cached_property
    def _samples(self) -> list[Sample]:
        if not self.root.is_dir():
            what = "is a file" if self.root.exists() else "does not exist"
            raise DataError(f"data.root={self.root} {what}: give the folder that holds one sub-folder per class")
        samples = list(self._walk())
        foreign = [ascii(s.id) for s in samples if s.id.encode(errors="ignore").decode() != s.id]
        if foreign:
            raise DataError(f"{self.root} has names that are not UTF-8: {first_few(foreign)}; rename them")
        if not samples:
            raise DataError(f"data.root={self.root} holds no pictures: one sub-folder per class is expected there")
        return samples

    def _walk(self) -> Iterator[Sample]:
        top = _folders(self.root)
        shipped = {folder: SPLIT_NAMES.get(folder.name.lower()) for folder in top}
        if not top:
            raise DataError(f"data.root={self.root} has no sub-folders: one per class is expected there")
        if "train" in shipped.values():
            others = [folder.name for folder, split in shipped.items() if split is None]
            if others:
                raise DataError(
                    f"{self.root} has train and, beside it, {first_few(others)}: splits or classes, not both"
                )
            for folder, split in shipped.items():
                yield from self._classes(folder, split)
        else:
            yield from self._classes(self.root, None)

    def _classes(self, parent: Path, split: str | None) -> Iterator[Sample]:
        loose = [path.name for path in sorted(parent.iterdir()) if path.is_file() and not _hidden(path)]
        if loose:
            raise DataError(
                f"{parent} has files outside the class folders: {first_few(loose)}; move them into one or away"
            )
        for folder in _folders(parent):
            files = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_within_hidden(path, folder))
            if not files:
                raise DataError(f"the class folder {folder} is empty: add pictures or remove it")
            label = unicodedata.normalize("NFC", folder.name)
            for path in files:
                yield Sample(path.relative_to(self.root).as_posix(), label, split)


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir() and not _hidden(path))


def _is_within_hidden(path: Path, folder: Path) -> bool:
    # Jupyter, for one, keeps copies of what was opened in .ipynb_checkpoints.
    return any(_hidden(Path(part)) for part in path.relative_to(folder).parts)


def _hidden(path: Path) -> bool:
    return path.name.startswith(".") or path.name.lower() in SYSTEM_FILES
