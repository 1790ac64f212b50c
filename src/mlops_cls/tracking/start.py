"""Begin tracking a run, and end it whatever happens."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mlops_cls.choices import LoggerName, WandbMode
from mlops_cls.config import LoggerConfig
from mlops_cls.errors import ConfigError, Interrupted
from mlops_cls.tracking.keys import find_key
from mlops_cls.tracking.tracker import Tracker

PACKAGES = {LoggerName.tensorboard: "tensorboard", LoggerName.mlflow: "mlflow"}


def check_tracking(config: LoggerConfig) -> None:
    """Refuse what could not be tracked as asked, before anything is written.

    Raises:
        ConfigError: a package is missing, the secret cannot be read, or logger.mode=online has no key.
    """
    package = PACKAGES.get(config.name)
    if package is not None and find_spec(package) is None:
        raise ConfigError(
            f"logger={package} needs the package {package}: pip install 'mlops-cls[{package}]' "
            f"(or uv sync --extra {package})"
        )
    tells_wandb = config.name is LoggerName.wandb and config.mode is not WandbMode.offline
    if "WANDB_SWEEP_ID" in os.environ and not tells_wandb:
        raise ConfigError(
            "this run was started by an agent of a W&B sweep, which would wait for its score in vain: leave "
            "logger=none and logger.mode=offline out of the sweep's command, or search with python -m mlops_cls.sweep"
        )
    if tells_wandb:
        _check_key(config)


def _check_key(config: LoggerConfig) -> None:
    try:
        key = find_key(config.secret)
    except ConnectionError:
        return  # The run stays offline, and says so when it starts.
    if key is None and config.mode is WandbMode.online:
        raise ConfigError(
            "logger.mode=online needs a W&B key: set WANDB_API_KEY, type wandb login, or give "
            "logger.secret=projects/PROJECT/secrets/NAME; without a key: logger.mode=offline"
        )


@contextmanager
def tracking(config: LoggerConfig, folder: Path, values: Mapping[str, Any]) -> Iterator[Tracker]:
    """Track the run of a folder, as the same run each time, and close it as finished, failed or interrupted.

    W&B without a key, or out of reach, keeps the run in `folder` for `mlops_cls.sync`; nothing is ever asked.

    Args:
        config: the logger section; logger=none gives a tracker that does nothing.
        folder: the run folder; files of the service go into it.
        values: the run's config and provenance, for the service's config.
    """
    tracker = _open(config, folder, values)
    try:
        yield tracker
    except BaseException as error:
        if isinstance(error, Interrupted | KeyboardInterrupt):
            tracker.preempted()
        tracker.finish(failed=True)
        raise
    tracker.finish(failed=False)


def _open(config: LoggerConfig, folder: Path, values: Mapping[str, Any]) -> Tracker:
    # Imported only where they are asked for: each of these libraries takes a second or more.
    if config.name is LoggerName.wandb:
        from mlops_cls.tracking.weights_and_biases import open_run

        return open_run(config, folder, values)
    if config.name is LoggerName.tensorboard:
        from mlops_cls.tracking.others import TensorBoardTracker

        return TensorBoardTracker(folder, values)
    if config.name is LoggerName.mlflow:
        from mlops_cls.tracking.others import MLFlowTracker

        return MLFlowTracker(config, folder, values)
    return Tracker()
