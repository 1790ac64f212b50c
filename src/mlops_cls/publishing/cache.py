"""Published models that were brought here once; each is verified whenever it is used."""

import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from mlops_cls.atomic import replacing_folder
from mlops_cls.bundle import Bundle
from mlops_cls.errors import ArtifactError


def place_of(*names: str) -> Path:
    """Return the folder of a model in this user's cache."""
    return user_cache_path("mlops_cls").joinpath("models", *names)


def bring_once(place: Path, bring: Callable[[Path], None]) -> Bundle:
    """Return the bundle at a place of the cache; `bring` fills an empty folder with it, unless it is there and whole.

    Raises:
        ArtifactError: what was brought is no bundle, or not as it was exported.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(place.with_name(f".{place.name}.lock")):
        if Bundle.is_at(place):
            try:
                return Bundle.open(place)
            except ArtifactError:
                shutil.rmtree(place)  # a disk that was full or failed; what was published is whole
        with replacing_folder(place) as folder:
            bring(folder)
            Bundle.open(folder)
        return Bundle.open(place)
