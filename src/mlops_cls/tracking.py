"""Weights & Biases behind one door: the only module that imports wandb."""

import logging
import netrc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

from pytorch_lightning.loggers import WandbLogger

from mlops_cls.choices import LoggerName, WandbMode
from mlops_cls.config import LoggerConfig

log = logging.getLogger(__name__)
PROJECT = "mlops_cls"


class Tracker:
    """A run's place in W&B, or none: `logger` is for the Trainer, the rest does nothing without it."""

    def __init__(self, logger: WandbLogger | None) -> None:
        self.logger = logger

    def summarise(self, scores: Mapping[str, float], pictures: Mapping[str, Path]) -> None:
        """Send the final scores and plots."""
        if self.logger is None:
            return
        import wandb

        self.logger.experiment.log({name: wandb.Image(str(path)) for name, path in pictures.items()})
        self.logger.experiment.summary.update(dict(scores))

    def finish(self, *, failed: bool) -> None:
        """Close the run."""
        if self.logger is not None:
            self.logger.experiment.finish(exit_code=int(failed))


@contextmanager
def tracking(config: LoggerConfig, folder: Path, values: Mapping[str, Any]) -> Iterator[Tracker]:
    """Open a W&B run named like the run folder, and close it as finished, or as failed on an exception.

    Without a key, or when the server cannot be reached, the run is kept offline in `folder`; nothing is ever asked.

    Args:
        config: the logger section; logger=none gives a tracker that does nothing.
        folder: the run folder; W&B's own files go into it.
        values: the run's config and provenance, for W&B's config.
    """
    tracker = Tracker(None if config.name is LoggerName.none else _start(config, folder, values))
    try:
        yield tracker
    except BaseException:
        tracker.finish(failed=True)
        raise
    tracker.finish(failed=False)


def _start(config: LoggerConfig, folder: Path, values: Mapping[str, Any]) -> WandbLogger:
    mode = WandbMode.auto if config.mode is None else config.mode
    online = mode is WandbMode.online or (mode is WandbMode.auto and _has_key())
    run = _init(config, folder, values, mode="online" if online else "offline")
    if run.offline:
        log.info("W&B offline; to upload this run later: wandb sync %s", Path(run.dir).parent)
    else:
        log.info("W&B %s", run.url)
    return WandbLogger(experiment=run)


def _init(config: LoggerConfig, folder: Path, values: Mapping[str, Any], *, mode: Literal["online", "offline"]) -> Any:
    import wandb

    # Silent, because wandb's own lines would bury ours; the run's log is kept by us.
    settings = wandb.Settings(silent=True, console="off", init_timeout=30)
    arguments: dict[str, Any] = {
        "project": config.project or os.environ.get("WANDB_PROJECT", PROJECT),
        "entity": config.entity,
        "group": config.group,
        "tags": config.tags,
        "name": folder.name,
        "dir": str(folder),
        "config": dict(values),
        "reinit": "finish_previous",
        "settings": settings,
    }
    try:
        return wandb.init(mode=mode, **arguments)
    except wandb.errors.CommError as error:
        log.warning("W&B cannot be reached (%s): continuing offline", str(error).splitlines()[0])
        return wandb.init(mode="offline", **arguments)


def _has_key() -> bool:
    """Tell whether W&B would find a key: in the environment, or in the netrc file that `wandb login` writes."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
