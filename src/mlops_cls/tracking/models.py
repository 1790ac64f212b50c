"""A run's model in W&B: a version of its own collection, perhaps linked to a registry, and not more than asked for."""

from pathlib import Path
from typing import Any

import wandb

from mlops_cls.tracking.identity import Model

REGISTRY = "wandb-registry-"
PATIENCE = 300  # seconds


def target_of(registry: str | None) -> str | None:
    """Return the full name of a registry's collection: of W&B's model registry unless another is given."""
    if registry is None:
        return None
    name, _, collection = registry.rpartition("/")
    return f"{REGISTRY}{name.removeprefix(REGISTRY) or 'model'}/{collection}"


def keep(run: Any, folder: Path, model: Model) -> None:
    """Upload the model as the newest version of the run's, link it, and delete versions that nothing points to.

    Raises:
        wandb.errors.Error: no such registry, no permission, or not uploaded in time.
    """
    # Named as Lightning's own logger does it. One collection for each run: no run deletes what another made.
    artifact = wandb.Artifact(f"model-{run.id}", type="model", metadata=model.metadata)
    for name in model.files:
        artifact.add_file(str((folder / name).absolute()), policy="immutable")  # Sent from where it lies.
    run.log_artifact(artifact, aliases=["best"])
    artifact.wait(PATIENCE)
    if model.registry is not None:
        run.link_artifact(artifact, model.registry)
    api = wandb.Api(overrides={"base_url": run.settings.base_url}, api_key=run.settings.api_key)
    newest_first: list[Any] = list(api.artifacts("model", f"{run.entity}/{run.project}/model-{run.id}"))
    for version in newest_first[model.keep_versions :]:
        if not version.aliases and not version.linked_artifacts:
            version.delete()
