"""Bundles as folders of models/, which models.dvc tracks."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from mlops_cls.atomic import replacing_folder
from mlops_cls.bundle import CARD, Bundle
from mlops_cls.data.dvc import SETTINGS, tracked
from mlops_cls.errors import ArtifactError, ConfigError, DataError, did_you_mean, first_few
from mlops_cls.publishing.address import DvcAddress
from mlops_cls.publishing.cache import bring_once, place_of

FOLDER, FILE = "models", "models.dvc"


def put_under_dvc(bundle: Bundle, address: DvcAddress, *, push: bool) -> Path:
    """Copy a bundle to models/NAME and track it beside what models.dvc tracks already; return its folder.

    What is tracked need not be here: DVC changes this one folder in its list of all. Without that list, which is in
    DVC's cache or the remote, nothing is done, since a new list would forget the rest.

    Args:
        bundle: what is published.
        address: under which name.
        push: send it to the remote too.

    Raises:
        ArtifactError: something else than a bundle lies there.
        DataError: no DVC repository here, its list cannot be read, or the remote does not take it.
    """
    home = _repository()
    target = home / FOLDER / address.name
    if target.exists() and not Bundle.is_at(target):
        raise ArtifactError(f"{target} is there and no bundle: give another --name, or move it away")
    first = tracked(home / FOLDER) is None
    if not first:
        _listed(home)
    with replacing_folder(target) as folder:
        _copy(bundle, folder)
    _dvc(home, "add", FOLDER if first else f"{FOLDER}/{address.name}")
    if push:
        _dvc(home, "push", f"{FOLDER}/{address.name}")
    return target


def fetch_from_dvc(address: DvcAddress) -> Bundle:
    """Return a bundle as models.dvc names it now, whatever lies in models/, from DVC's cache or the remote.

    Raises:
        ArtifactError: models.dvc tracks none of that name, or what came is not what was tracked.
        DataError: no models.dvc here, or the remote cannot serve it.
    """
    home = _repository()
    found = tracked(home / FOLDER)
    if found is None:
        raise DataError(f"{address}: there is no {home / FILE}; python -m mlops_cls.publish RUN --to dvc makes it")

    def bring(folder: Path) -> None:
        models = _listed(home)
        if address.name not in models:
            hint = did_you_mean(address.name, models) or f", but {first_few(sorted(models))}"
            raise ArtifactError(f"{address}: {found.file} tracks no {address.name}{hint}")
        files = {name: _object(home, md5) for name, md5 in models[address.name].items()}
        if not all(file.is_file() for file in files.values()):
            _dvc(home, "fetch", f"{FOLDER}/{address.name}")
        for name, file in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_verified(home, file), folder / name)

    return bring_once(place_of("dvc", found.md5.removesuffix(".dir"), address.name), bring)


def is_in_dvc(address: DvcAddress) -> bool:
    """Tell whether models.dvc tracks the name.

    Raises:
        DataError: no DVC repository here, or its list cannot be read.
    """
    home = _repository()
    return tracked(home / FOLDER) is not None and address.name in _listed(home)


def _repository() -> Path:
    """Return the folder that DVC was set up in: the nearest, from here upwards."""
    if find_spec("dvc") is None:
        raise ConfigError('this needs DVC: pip install "mlops-cls[dvc]" (in a checkout: uv sync --extra dvc)')
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / ".dvc").is_dir():
            return folder
    raise DataError(f"{here} is in no repository of DVC: go to the one with {FILE}, or make one: dvc init")


def _listed(home: Path) -> dict[str, dict[str, str]]:
    """Return the MD5 of each tracked file, by the model's name and the path within it.

    The list is a file of DVC's own, which models.dvc names by its MD5:
    https://dvc.org/doc/user-guide/project-structure/internal-files#structure-of-the-cache-directory.
    """
    found = tracked(home / FOLDER)
    assert found is not None
    listing = _object(home, found.md5)
    if not listing.is_file():
        # Of a file that there is none of, DVC brings the list alone.
        _dvc(home, "fetch", f"{FOLDER}/.none")
    models: dict[str, dict[str, str]] = {}
    for entry in json.loads(_verified(home, listing).read_bytes()):
        name, _, path = entry["relpath"].partition("/")
        models.setdefault(name, {})[path] = entry["md5"]
    return models


@cache
def _cache(home: Path) -> Path:
    return Path(_dvc(home, "cache", "dir").strip())


def _object(home: Path, md5: str) -> Path:
    return _cache(home) / "files" / "md5" / md5[:2] / md5[2:]


def _verified(home: Path, file: Path) -> Path:
    """Return a file of DVC's cache, which is named by what it holds."""
    if not file.is_file():
        raise DataError(
            f"part of what {home / FILE} names is neither in DVC's cache nor on the remote. Is the remote right (dvc "
            f"remote list), was it pushed there (dvc push)? If nobody needs those models any more: git rm {FILE}"
        )
    with file.open("rb") as content:
        found = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != f"{file.parent.name}{file.stem}":
        raise ArtifactError(f"{file} is damaged: remove it, and it is fetched again")
    return file


def _copy(bundle: Bundle, folder: Path) -> None:
    """Copy what the card names, and nothing that came to lie beside it."""
    for name in (CARD, *bundle.card.export["files"]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.folder / name, folder / name)


def _dvc(home: Path, *words: str) -> str:
    command = [sys.executable, "-m", "dvc", *words, *([] if words[0] == "cache" else ["--quiet"])]
    done = subprocess.run(command, cwd=home, env=SETTINGS | os.environ, text=True, check=False, capture_output=True)
    if done.returncode:
        raise DataError(_failure(home, words[0], done.stderr))
    return done.stdout


def _failure(home: Path, verb: str, said: str) -> str:
    errors = [line.partition("ERROR: ")[2] for line in said.splitlines() if "ERROR: " in line]
    reason = " ".join((errors or [said.strip() or "no reason given"])[0].split())
    cure = f"is the remote right (in {home}: dvc remote list), may you use it?"
    left = "; the model is tracked and not sent" if verb == "push" else ""
    return f"dvc {verb}: {reason}{left}: {cure}"
