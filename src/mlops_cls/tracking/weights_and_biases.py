"""A run in Weights & Biases: online, or kept in the run folder until it is sent."""

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import wandb
from PIL import Image
from pytorch_lightning.loggers import WandbLogger

from mlops_cls.card import ModelCard
from mlops_cls.choices import Upload, WandbMode
from mlops_cls.config import LoggerConfig
from mlops_cls.errors import MlopsError
from mlops_cls.tracking.identity import Identity, Model, identify
from mlops_cls.tracking.keys import find_key
from mlops_cls.tracking.models import keep, target_of
from mlops_cls.tracking.sending import check_access, is_unsent, send, settings_of
from mlops_cls.tracking.tracker import Example, Tracker

log = logging.getLogger(__name__)
PROJECT = "mlops_cls"
KEEP_VERSIONS = 2
STEP = "trainer/global_step"
INIT_PATIENCE, FINISH_PATIENCE = 30, 300  # seconds


def open_run(config: LoggerConfig, folder: Path, values: Mapping[str, Any]) -> Tracker:
    """Begin or resume the W&B run of the folder."""
    if os.environ.get("WANDB_MODE") == "disabled" and config.mode is None:
        return Tracker()
    project = config.project or os.environ.get("WANDB_PROJECT", PROJECT)
    identity = identify(folder, project=project, entity=config.entity or os.environ.get("WANDB_ENTITY"))
    key, reason = _online_key(config)
    arguments: dict[str, Any] = {
        "id": identity.id,
        "resume": "allow",
        "project": identity.project,
        "entity": identity.entity,
        "group": config.group,
        "tags": config.tags,
        "name": folder.name,
        "dir": str(folder.absolute()),
        "config": dict(values),
        "reinit": "finish_previous",
    }
    run = _try_online(key, folder, arguments) if key is not None else None
    if run is None:
        run = wandb.init(mode="offline", settings=_settings(None), **arguments)
        log.info("W&B offline%s; to upload this run later: python -m mlops_cls.sync %s", reason, folder)
    else:
        identity = replace(identity, entity=run.entity)
        identity.write(folder)
        log.info("W&B %s", run.url)
    return WandbTracker(config, folder, identity, run)


def _online_key(config: LoggerConfig) -> tuple[str | None, str]:
    """Return the key of a run that is to be online, or None and why it is not."""
    if config.mode is WandbMode.offline or (config.mode is None and os.environ.get("WANDB_MODE") == "offline"):
        return None, ""
    try:
        key = find_key(config.secret)
    except ConnectionError as error:
        log.warning("%s: continuing offline", error)
        return None, ""
    return key, "" if key else " (no key)"


def _try_online(key: str, folder: Path, arguments: Mapping[str, Any]) -> Any:
    """Return the run, or None if W&B cannot be reached, refuses the key, or does not take what was kept before."""
    try:
        check_access(key)
        if is_unsent(folder):
            send(folder, key)  # What was kept offline comes before what is told from now on.
        return wandb.init(mode="online", settings=_settings(key), **arguments)
    except (wandb.errors.Error, ConnectionError, MlopsError) as error:
        log.warning("W&B cannot be used (%s): continuing offline", str(error).splitlines()[0])
        wandb.teardown()  # Else the id stays taken by the run that could not begin.
        return None


def _settings(key: str | None) -> wandb.Settings:
    return settings_of(key, init_timeout=INIT_PATIENCE, finish_timeout=FINISH_PATIENCE, finish_timeout_raises=True)


class _Logger(WandbLogger):
    """Lightning's logger, which lets a run go on where W&B's own process is gone.

    It is where a scheduler tells all processes of a job to end: that one does at once, and the run keeps its last step.
    """

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        with suppress(ConnectionError):
            super().log_metrics(metrics, step)


class WandbTracker(Tracker):
    """A W&B run that was begun."""

    shows_examples = True

    def __init__(self, config: LoggerConfig, folder: Path, identity: Identity, run: Any) -> None:
        self._config, self._folder, self._identity, self._run = config, folder, identity, run
        # As WandbLogger does for runs that it begins itself: curves are drawn over optimiser steps.
        run.define_metric(STEP)
        run.define_metric("*", step_metric=STEP, step_sync=True)
        self.logger = _Logger(experiment=run)

    def show(self, examples: Sequence[Example]) -> None:
        pictures = [Image.fromarray(one.picture.squeeze()) for one in examples]
        captioned = [wandb.Image(picture, caption=str(one)) for picture, one in zip(pictures, examples, strict=True)]
        self._run.log({"val/examples": captioned})

    def summarise(self, scores: Mapping[str, float], pictures: Mapping[str, Path]) -> None:
        self._run.log({name: wandb.Image(str(path)) for name, path in pictures.items()})
        self._run.summary.update(dict(scores))

    def keep_model(self, card: ModelCard, files: Mapping[Upload, Sequence[Path]]) -> None:
        upload = self._config.upload or Upload.best
        if upload is Upload.none:
            return
        chosen = [*files[Upload.best], *(files[Upload.last] if upload is Upload.last else [])]
        model = Model(
            files=[str(file.relative_to(self._folder)) for file in chosen],
            metadata=_about(card),
            registry=target_of(self._config.registry),
            keep_versions=self._config.keep_versions or KEEP_VERSIONS,
        )
        if self._run.offline:
            self._note(model=model)
            return
        try:
            keep(self._run, self._folder, model)
        except (wandb.errors.Error, ValueError) as error:
            self._note(model=model)
            said = str(error).splitlines()[0]
            log.warning("W&B did not keep the model (%s); once more: python -m mlops_cls.sync %s", said, self._folder)

    def preempted(self) -> None:
        with suppress(ConnectionError):
            self._run.mark_preempting()

    def finish(self, *, failed: bool) -> None:
        try:
            self._run.finish(exit_code=int(failed))
        except TimeoutError:
            self._left_over()
        except ConnectionError:
            with suppress(ConnectionError):
                wandb.teardown()  # else it complains at the end of this process
            self._left_over()

    def _left_over(self) -> None:
        self._note(unsent=[*self._identity.unsent, Path(self._run.dir).parent.name])
        log.warning("W&B did not take everything; to send the rest: python -m mlops_cls.sync %s", self._folder)

    def _note(self, **left: Any) -> None:
        """Note in the run folder what is left to send."""
        self._identity = replace(self._identity, **left)
        self._identity.write(self._folder)


def _about(card: ModelCard) -> dict[str, Any]:
    commit = (card.provenance.get("git") or {}).get("commit")
    return {"scores": card.scores, "classes": list(card.classes), "commit": commit}
