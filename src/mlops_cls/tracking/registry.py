"""Models in a W&B registry: versions of a collection, with aliases that say which one is in use."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import wandb

from mlops_cls.errors import ArtifactError
from mlops_cls.tracking.keys import base_url
from mlops_cls.tracking.models import PATIENCE
from mlops_cls.tracking.sending import settings_of

KIND = "model"


def upload(
    files: Mapping[str, Path], about: Mapping[str, Any], target: str, aliases: Sequence[str], *, key: str, **place: Any
) -> str:
    """Make files the newest version of a registry's collection, give it the aliases, and return its name, such as v3.

    Files that are a version there already get the aliases alone.

    Args:
        files: by their names in the registry.
        about: is kept beside them.
        target: of `models.target_of`.
        aliases: another version that has them loses them.
        key: that W&B takes.
        place: `project` and `entity` of the run that uploads.

    Raises:
        ArtifactError: W&B does not take it; the message ends with what it said.
    """
    with _explained(f"{target} was not published"), tempfile.TemporaryDirectory() as aside:
        artifact = wandb.Artifact(target.rpartition("/")[2], type=KIND, metadata=dict(about))
        for name, file in files.items():
            artifact.add_file(str(file), name=name, policy="immutable")  # Sent from where it lies.
        settings = settings_of(key)
        with wandb.init(job_type="publish", mode="online", dir=aside, settings=settings, **place) as run:
            run.log_artifact(artifact)
            artifact.wait(PATIENCE)
            version: str = run.link_artifact(artifact, target, aliases=list(aliases)).version
    return version


def look_up(target: str, alias: str, *, key: str) -> Any:
    """Return W&B's artifact that an alias, or a version such as v3, means in a collection; None if there is none.

    Raises:
        ArtifactError: W&B does not answer that; the message ends with what it said.
    """
    wandb.setup(settings_of(None))  # else it talks
    with _explained(f"{target} was not looked up"):
        api = wandb.Api(overrides={"base_url": base_url()}, api_key=key)
        try:
            return api.artifact(f"{target}:{alias}", type=KIND)
        except wandb.errors.CommError as error:
            if isinstance(error.exc, ValueError) and "not found" in str(error):
                return None
            raise


def download(artifact: Any, folder: Path) -> None:
    """Fill a folder with an artifact's files.

    Raises:
        ArtifactError: they do not come, or not as they were uploaded.
    """
    with _explained(f"{artifact.name} did not come"):
        artifact.download(root=str(folder), skip_cache=True)


@contextmanager
def _explained(failure: str) -> Iterator[None]:
    try:
        yield
    except (wandb.errors.Error, ValueError) as error:
        raise ArtifactError(f"{failure}: W&B says: {str(error).splitlines()[0]}") from error
