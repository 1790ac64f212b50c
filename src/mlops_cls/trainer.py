"""A Lightning Trainer as the config asks for it."""

from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import Logger

from mlops_cls.build import make_callback
from mlops_cls.choices import Monitor
from mlops_cls.config import Config, ModelConfig, TrainerConfig
from mlops_cls.console import shows_progress
from mlops_cls.models.finetune import FreezeBackbone
from mlops_cls.models.progressive import ProgressiveSize
from mlops_cls.parallel import Concert, trainer_arguments
from mlops_cls.run import BEST, LAST
from mlops_cls.runtime import Runtime
from mlops_cls.tuning.budget import Deadline


def make_trainer(
    config: Config,
    runtime: Runtime,
    folder: Path,
    loggers: Sequence[Logger],
    *,
    accumulate: int,
    deadline: Deadline | None = None,
    callbacks: Sequence[pl.Callback] = (),
) -> pl.Trainer:
    """Return the Trainer of a run; checkpoints go into `folder`.

    `accumulate` batches make an optimiser step, and `deadline` may end the run before `trainer.max_epochs` or after.
    """
    trainer = config.trainer
    return pl.Trainer(
        **trainer_arguments(runtime, trainer, frozen=config.model.freeze),
        max_epochs=deadline.schedule.epochs if deadline else trainer.max_epochs,
        accumulate_grad_batches=accumulate,
        gradient_clip_val=trainer.clip_norm,
        deterministic=trainer.deterministic,
        limit_train_batches=trainer.limit_batches,
        logger=list(loggers),
        callbacks=[*([deadline] if deadline else []), *_callbacks(trainer, config.model, folder), *callbacks],
        enable_progress_bar=shows_progress(),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        use_distributed_sampler=False,
        default_root_dir=folder,
    )


def _callbacks(trainer: TrainerConfig, model: ModelConfig, folder: Path) -> list[pl.Callback]:
    monitor, mode = f"val/{trainer.monitor.value}", "min" if trainer.monitor is Monitor.loss else "max"
    callbacks = [_best(folder, monitor, mode), _last(folder)]
    if shows_progress():
        callbacks.append(TQDMProgressBar(leave=False))
    if trainer.patience is not None:
        callbacks.append(EarlyStopping(monitor, patience=trainer.patience, mode=mode))
    if model.freeze:
        callbacks.append(FreezeBackbone(model.unfreeze_epoch))
    if trainer.progressive:
        callbacks.append(ProgressiveSize())
    if trainer.ema is not None:
        callbacks.append(EMAWeightAveraging(decay=trainer.ema))
    # After the average, whose buffers are then those that scoring uses.
    callbacks.append(Concert())
    return callbacks + [make_callback(spec) for spec in trainer.callbacks]


def _best(folder: Path, monitor: str, mode: str) -> pl.Callback:
    """Keep the best weights by validation, alone: without optimiser state the file is a third of the size."""
    path = folder / BEST
    return ModelCheckpoint(
        path.parent,
        path.stem,
        monitor=monitor,
        mode=mode,
        save_weights_only=True,
        enable_version_counter=False,
    )


def _last(folder: Path) -> pl.Callback:
    path = folder / LAST
    return ModelCheckpoint(path.parent, path.stem, enable_version_counter=False, save_on_train_epoch_end=True)
