"""Bundles as folders of a Google bucket, put there by any copy: ``gcloud storage cp -r bundle gs://BUCKET/FOLDER``."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlops_cls.bucket import LOG_IN, as_os_errors, open_buckets
from mlops_cls.bundle import CARD, Bundle, is_inside
from mlops_cls.card import ModelCard
from mlops_cls.errors import ArtifactError
from mlops_cls.publishing.address import GsAddress
from mlops_cls.publishing.cache import bring_once, place_of


def fetch_from_gs(address: GsAddress) -> Bundle:
    """Return the bundle that lies in the bucket now; one that was brought before is not brought again.

    Its card is read each time, since it names every file by its SHA-256, and so tells whether another model lies there.

    Raises:
        ArtifactError: no such bucket or folder, it may not be read, or what lies there is no whole bundle.
        ConfigError: gcsfs is not installed.
    """
    storage = open_buckets(f"{address}")
    with _explained(address, storage):
        card = storage.cat_file(f"{address}/{CARD}")
    files = _files(card, address)

    def bring(folder: Path) -> None:
        (folder / CARD).write_bytes(card)
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with _explained(address, storage):
            # Lists on both sides: no name is taken for a pattern.
            storage.get([f"{address}/{name}" for name in files], [str(folder / name) for name in files])

    return bring_once(place_of("gs", hashlib.sha256(card).hexdigest()), bring)


def _files(card: bytes, address: GsAddress) -> Sequence[str]:
    try:
        files = [*ModelCard.from_dict(json.loads(card)).export["files"]]
    except (ValueError, LookupError, TypeError) as error:
        raise ArtifactError(f"{address}/{CARD} is no card of a bundle: {error}") from error
    outside = [name for name in files if not is_inside(name)]
    if outside:
        raise ArtifactError(f"{address}/{CARD} names a file outside of its folder: {outside[0]!r}")
    return files


@contextmanager
def _explained(address: GsAddress, storage: Any) -> Iterator[None]:
    try:
        with as_os_errors():
            yield
    except FileNotFoundError as error:
        raise ArtifactError(_missing(address, storage)) from error
    except OSError as error:
        reason = " ".join(str(error).split())[:300]
        raise ArtifactError(
            f"{address} cannot be read ({reason}): is the network there, may you read it? {LOG_IN}"
        ) from error


def _missing(address: GsAddress, storage: Any) -> str:
    with as_os_errors():
        if not storage.exists(address.bucket):
            return f"{address}: there is no bucket {address.bucket}, or you may not see it ({LOG_IN})"
    here = f"gcloud storage ls gs://{address.bucket}/ shows what is there"
    return f"{address} holds no whole bundle: {CARD} or a file that it names is missing; {here}"
