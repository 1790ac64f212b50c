"""Brings a data set's raw files to this machine, from wherever `data.source` says they are."""

import hashlib
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from mlops_cls.choices import SourceKind
from mlops_cls.config.data import DataConfig
from mlops_cls.data import dvc
from mlops_cls.data.fetch import Origin, fetch, from_url, without_secrets
from mlops_cls.data.remote import fetch_from_kaggle, from_bucket
from mlops_cls.data.synthetic import VERSION, write_synthetic


def root_of(data: DataConfig) -> Path:
    """Return the folder or archive where the raw files lie, or are brought to."""
    return Path(data.root or f"data/{data.name}")


def raw_files(data: DataConfig, *, kaggle: str | None = None) -> Path:
    """Return where the raw files lie, after bringing them there; what is there whole is never fetched again.

    Args:
        data: its `source`, `root`, `url`, `sha256` and `store`.
        kaggle: the data set's place at Kaggle.

    Raises:
        DataError: they cannot be had; the message says why and what to type.
    """
    root = root_of(data)
    match data.source:
        case SourceKind.dvc:
            # A table is of no use without the pictures beside it.
            dvc.pull(root.parent if data.name == "table" else root)
        case SourceKind.download if data.url is not None:
            return _fetch(from_url(data.url), data.url, root, data.sha256)
        case SourceKind.gs if data.url is not None:
            return _fetch(from_bucket(data.url), data.url, root, data.sha256)
        case SourceKind.kaggle if kaggle is not None:
            return fetch_from_kaggle(kaggle, root)
        case SourceKind.synthetic:
            path = Path(data.store) / "synthetic" / f"{data.name}-v{VERSION}.zip"
            return path if path.is_file() else write_synthetic(data.name, path)
    return root


def without_signature(data: DataConfig) -> DataConfig:
    """Return the settings as they may be kept: a query of the URL can hold a signature that opens it for anybody."""
    return replace(data, url=data.url and without_secrets(data.url))


def origin_of(data: DataConfig) -> dict[str, object]:
    """Return where the raw data come from, for a model's provenance: the source, and DVC's MD5 if it tracks them."""
    origin: dict[str, object] = {
        "source": data.source.value,
        "url": data.url and without_secrets(data.url),
        "dvc": None,
    }
    if data.source in (SourceKind.local, SourceKind.dvc) and data.name != "digits":
        found = dvc.tracked(root_of(data))
        origin["dvc"] = found and found.identity()
    return origin


def _fetch(origin: Origin, url: str, root: Path, sha256: str | None) -> Path:
    # Named by us and not by the server; another URL or hash gets a file of its own.
    mark = sha256 or hashlib.sha256(url.encode()).hexdigest()
    name = Path(urlsplit(url).path).name
    return fetch(origin, root / f"{mark[:16].lower()}.zip", name=f"{name} of {without_secrets(url)}", sha256=sha256)
