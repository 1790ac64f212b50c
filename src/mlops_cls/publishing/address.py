"""How a published model is named: ``dvc:NAME`` and ``wandb:COLLECTION:ALIAS``."""

import re
from dataclasses import dataclass

from mlops_cls.errors import ArtifactError

NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
EXAMPLES = "dvc:skin_lesion, wandb:skin_lesion:best, wandb:REGISTRY/skin_lesion:v3"


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


Address = DvcAddress | WandbAddress


def parse(text: object) -> Address | None:
    """Return what a text like those in `EXAMPLES` names; None for anything else, such as a path.

    Raises:
        ArtifactError: it begins like an address and is none.
    """
    kind, _, rest = text.partition(":") if isinstance(text, str) else ("", "", "")
    if kind == "dvc":
        return DvcAddress(checked(rest, f"{text}"))
    if kind == "wandb":
        place, _, alias = rest.partition(":")
        registry, _, collection = place.rpartition("/")
        names = (checked(name, f"{text}") for name in (registry or "model", collection, alias))
        return WandbAddress(*names)
    return None


def checked(name: str, given: str) -> str:
    """Return a name that may be a folder's.

    Raises:
        ArtifactError: it has other letters than allowed, or none.
    """
    if not NAME.fullmatch(name):
        what = f"{name!r} is no name" if name else "a name is missing"
        raise ArtifactError(f"{given}: {what}; allowed are letters, digits, _ - and ., such as {EXAMPLES}")
    return name
