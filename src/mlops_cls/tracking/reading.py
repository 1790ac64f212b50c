"""Read back what a W&B run was begun with, and how it ended."""

from typing import Any

import wandb

from mlops_cls.errors import ArtifactError, ConfigError
from mlops_cls.tracking.keys import base_url, find_key
from mlops_cls.tracking.sending import check_access

SPLITS = ("train/", "val/", "test/")
KEYS = ("created", "command", "config", "data", "runtime", "git", "versions", "machine")
PATIENCE = 30  # seconds


def fetch_run(path: str) -> tuple[dict[str, Any], dict[str, float]]:
    """Return provenance and final scores of the W&B run ``entity/project/id``, as they were told when it ran.

    W&B itself leaves out empty mappings (such as model.kwargs={}) and returns 1.0 as 1; both are what the config has
    where nothing is given, or the same number.

    Raises:
        ConfigError: there is no W&B key, or W&B refuses it.
        ArtifactError: no such run, it was not made by mlops_cls, or W&B cannot be reached.
    """
    entity, project, name = _split(path)
    key = find_key()
    if key is None:
        raise ConfigError(f"reading {path} needs a W&B key: set WANDB_API_KEY, or type wandb login")
    try:
        check_access(key)
        api = wandb.Api(overrides={"base_url": base_url()}, api_key=key, timeout=PATIENCE)
        run = api.run(f"{entity}/{project}/{name}")
        config, summary = dict(run.config), dict(run.summary_metrics)
    except ConnectionError as error:
        raise ArtifactError(f"{path} cannot be read: {error}") from error
    except (wandb.errors.Error, ValueError) as error:
        raise ArtifactError(f"{path} is no W&B run that this key may read ({str(error).splitlines()[0]})") from error
    if missing := [key for key in KEYS if key not in config]:
        raise ArtifactError(f"{path} was not made by mlops_cls: {', '.join(missing)} are missing in its config")
    scores = {key: value for key, value in summary.items() if key == "epoch" or key.startswith(SPLITS)}
    return {key: config[key] for key in KEYS}, {key: v for key, v in scores.items() if isinstance(v, int | float)}


def _split(path: str) -> list[str]:
    """Return entity, project and id of a path, or of the address that a browser shows."""
    parts = [part for part in path.partition("://")[2].split("/")[1:] or path.split("/") if part != "runs"]
    if len(parts) != 3 or not all(parts):
        raise ArtifactError(f"{path} is no W&B run: write ENTITY/PROJECT/ID, or the address of the run's page")
    return parts
