"""Files that are whole or not there, whenever the process is killed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to, whose file then takes the place of `path` in one step; on an error `path` stays.

    There must be one writer at a time. What a killed one left is written over by the next.
    """
    aside = path.with_name(f"{path.name}.partial")
    try:
        yield aside
        _reach_the_disk(aside)
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a whole text file in UTF-8, or leave what was there."""
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill, which then takes the place of `path`; on an error `path` stays.

    There must be one writer at a time. What a killed one left is thrown away by the next.
    """
    aside, before = path.with_name(f".{path.name}.partial"), path.with_name(f".{path.name}.before")
    if before.exists() and not path.exists():
        before.rename(path)  # the last writer was killed between the two steps
    for left in (aside, before):
        shutil.rmtree(left, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        yield aside
        for file in aside.rglob("*"):
            _reach_the_disk(file)
        if path.exists():
            path.rename(before)
        aside.rename(path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(before, ignore_errors=True)


def _reach_the_disk(file: Path) -> None:
    """Write a file through before it gets its name: a machine that goes down may keep one without the other."""
    if file.is_file():
        with file.open("rb+") as written:
            os.fsync(written.fileno())
