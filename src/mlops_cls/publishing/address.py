"""How a published model is named: ``dvc:NAME``, ``wandb:COLLECTION:ALIAS`` and ``gs://BUCKET/FOLDER``."""

import re
from dataclasses import dataclass

from mlops_cls.errors import ArtifactError

NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")  # cloud.google.com/storage/docs/buckets#naming
EXAMPLES = "dvc:skin_lesion, wandb:skin_lesion:best, wandb:REGISTRY/skin_lesion:v3, gs://my-bucket/models/skin_lesion"


@dataclass(frozen=True, slots=True)
class DvcAddress:
    """The model `name` that the nearest models.dvc tracks."""

    name: str

    def __str__(self) -> str:
        return f"dvc:{self.name}"


@dataclass(frozen=True, slots=True)
class WandbAddress:
    """What `alias` points to in a collection of a W&B registry; ``v3`` and its like are versions, and stay."""

    registry: str
    collection: str
    alias: str

    @property
    def fixed(self) -> bool:
        """Whether it means the same model for ever."""
        return re.fullmatch(r"v\d+", self.alias) is not None

    def __str__(self) -> str:
        place = self.collection if self.registry == "model" else f"{self.registry}/{self.collection}"
        return f"wandb:{place}:{self.alias}"


@dataclass(frozen=True, slots=True)
class GsAddress:
    """The bundle that lies in a folder of a Google bucket."""

    bucket: str
    folder: str

    def __str__(self) -> str:
        return f"gs://{self.bucket}/{self.folder}"


Named = DvcAddress | WandbAddress
"""What `publish` gives a model to."""
Address = Named | GsAddress


def parse(text: object) -> Address | None:
    """Return what a text like those in `EXAMPLES` names; None for anything else, such as a path.

    Raises:
        ArtifactError: it begins like an address and is none.
    """
    kind, _, rest = text.partition(":") if isinstance(text, str) else ("", "", "")
    if kind == "dvc":
        return DvcAddress(checked(rest, f"{text}"))
    if kind == "gs":
        return _in_bucket(rest, f"{text}")
    if kind == "wandb":
        place, _, alias = rest.partition(":")
        registry, _, collection = place.rpartition("/")
        names = (checked(name, f"{text}") for name in (registry or "model", collection, alias))
        return WandbAddress(*names)
    return None


def _in_bucket(place: str, given: str) -> GsAddress:
    bucket, _, folder = place.removeprefix("//").rstrip("/").partition("/")
    names = folder.split("/")
    if not place.startswith("//") or not BUCKET.fullmatch(bucket) or {"", ".", ".."} & {*names} or "\0" in folder:
        raise ArtifactError(f"{given} is no gs://BUCKET/FOLDER, such as gs://my-bucket/models/skin_lesion")
    return GsAddress(bucket, folder)


def checked(name: str, given: str) -> str:
    """Return a name that may be a folder's.

    Raises:
        ArtifactError: it has other letters than allowed, or none.
    """
    if not NAME.fullmatch(name):
        what = f"{name!r} is no name" if name else "a name is missing"
        raise ArtifactError(f"{given}: {what}; allowed are letters, digits, _ - and ., such as {EXAMPLES}")
    return name
