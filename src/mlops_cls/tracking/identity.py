"""tracking.json: under which id a run folder is tracked, so that the same folder is always the same run there."""

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from mlops_cls.atomic import write_text
from mlops_cls.errors import ArtifactError

TRACKING = "tracking.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """What is to be uploaded as the run's model.

    `files` are relative to the run folder; `registry` is the full name of a collection, if it is to be linked to one.
    """

    files: list[str]
    metadata: dict[str, Any]
    registry: str | None
    keep_versions: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """The run's `id` in the service, where it is there, and what is left to send.

    `unsent` names folders below `wandb/` of which not everything arrived while the run was online.
    """

    id: str
    project: str
    entity: str | None = None
    unsent: list[str] = field(default_factory=list)
    model: Model | None = None

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return what `folder` was tracked as, or None.

        Raises:
            ArtifactError: the file is damaged.
        """
        try:
            values = json.loads((folder / TRACKING).read_text(encoding="utf-8"))
            model = values.pop("model")
            return cls(**values, model=Model(**model) if model else None)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ArtifactError(f"{folder / TRACKING} is damaged ({error}): remove it to track a new run") from error

    def write(self, folder: Path) -> None:
        """Write it in one step."""
        write_text(folder / TRACKING, json.dumps(asdict(self), indent=2) + "\n")


def identify(folder: Path, *, project: str, entity: str | None) -> Identity:
    """Return the identity of a run folder, the same each time; an agent of a sweep names the run by WANDB_RUN_ID.

    It is written before the service hears of the run, so that a run killed a moment later is found again.
    """
    before = Identity.read(folder) or Identity(id=uuid4().hex[:8], project=project)
    wanted = os.environ.get("WANDB_RUN_ID") or before.id
    identity = replace(before, id=wanted, project=project, entity=entity or before.entity)
    identity.write(folder)
    return identity
