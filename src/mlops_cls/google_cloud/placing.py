"""Where the bundle of a service lies: in a bucket, under its version, so that what a revision serves stays the same."""

import warnings
from pathlib import Path

from mlops_cls.bucket import LOG_IN, as_os_errors, open_buckets
from mlops_cls.bundle import CARD, FOLDER, Bundle
from mlops_cls.errors import ArtifactError, ConfigError
from mlops_cls.google_cloud.spec import BUCKET
from mlops_cls.publishing.address import GsAddress, parse
from mlops_cls.publishing.fetch import fetch, local


def find_bundle(model: str, to: str | None, *, dry: bool) -> tuple[str, Bundle | None]:
    """Return the ``gs://BUCKET/FOLDER`` that is to be served, and its bundle, verified; None where it was not read.

    Args:
        model: a bundle in a bucket or, with `to`, one of anywhere else.
        to: folder of a bucket that a bundle of elsewhere is put in, under its version.
        dry: do not read buckets.

    Raises:
        ArtifactError: there is no whole bundle.
        ConfigError: it is not in a bucket, and `to` does not say where to put it.
    """
    address = parse(model)
    if isinstance(address, GsAddress):
        if to is not None:
            raise ConfigError(f"--to {to} would not be used: {model} is in a bucket already")
        return f"{address}", None if dry else fetch(address)
    if to is None:
        raise ConfigError(
            f"{model} is not in a bucket, from which Cloud Run could read it: add --to gs://BUCKET/FOLDER, which puts "
            f"it there under its version (by hand: gcloud storage cp -r {model} gs://BUCKET/FOLDER)"
        )
    if not BUCKET.fullmatch(to.rstrip("/")):
        raise ConfigError(f"--to {to} is no folder of a bucket, such as gs://BUCKET/served")
    folder = local(model)
    inside = folder / FOLDER
    bundle = Bundle.open(inside if Bundle.is_at(inside) else folder)
    return f"{to.rstrip('/')}/{bundle.card.digest}", bundle


def put_bundle(bundle: Bundle, place: str) -> bool:
    """Put a bundle into a bucket; return whether it was not there yet.

    Its card goes last: a folder without one is no bundle, and is filled again.

    Raises:
        ArtifactError: the bucket cannot be written.
        ConfigError: gcsfs is not installed.
    """
    storage, address = open_buckets(f"--to {place}"), place.removeprefix("gs://")
    files = [bundle.folder / name for name in (*bundle.card.export["files"], CARD)]
    try:
        # aiohttp warns of the large bodies that gcsfs gives it.
        with as_os_errors(), warnings.catch_warnings(action="ignore", category=ResourceWarning):
            if storage.exists(f"{address}/{CARD}"):
                return False
            for file in files:
                storage.put_file(str(file), f"{address}/{_name(bundle, file)}")
    except OSError as error:
        reason = " ".join(str(error).split())[:300]
        raise ArtifactError(
            f"{place} cannot be written ({reason}): is the bucket there (python -m mlops_cls.cloud bucket), may you "
            f"write it? {LOG_IN}"
        ) from error
    return True


def _name(bundle: Bundle, file: Path) -> str:
    return file.relative_to(bundle.folder).as_posix()
