"""Where the bundle of a service lies: in a bucket, under its version, so that what a revision serves stays the same."""

from mlops_cls.bundle import CARD, FOLDER, Bundle
from mlops_cls.errors import ConfigError
from mlops_cls.google_cloud.spec import BUCKET
from mlops_cls.google_cloud.uploading import put_files
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
        ArtifactError, ConfigError: as `put_files`.
    """
    names = (*bundle.card.export["files"], CARD)
    return put_files({name: bundle.folder / name for name in names}, place, unless=CARD)
