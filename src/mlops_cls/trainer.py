"""A Lightning Trainer as the config asks for it."""

from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, EMAWeightAveraging, TQDMProgressBar
from pytorch_lightning.loggers import Logger

from mlops_cls.build import make_callback
from mlops_cls.checkpoints import AtomicCheckpoints, BestCheckpoint, LastCheckpoint, StepGuard
from mlops_cls.choices import Monitor
from mlops_cls.config import Config, ModelConfig, TrainerConfig
from mlops_cls.console import shows_progress
from mlops_cls.models.finetune import FreezeBackbone
from mlops_cls.models.progressive import ProgressiveSize
from mlops_cls.models.seeds import StepSeeds
from mlops_cls.parallel import Concert, trainer_arguments
from mlops_cls.run import BEST, PROFILE
from mlops_cls.runtime import Runtime
from mlops_cls.tuning.budget import Deadline
from mlops_cls.tuning.profile import StepProfile


def make_trainer(
    config: Config,
    runtime: Runtime,
    folder: Path,
    loggers: Sequence[Logger],
    last: LastCheckpoint,
    guard: StepGuard,
    *,
    accumulate: int,
    deadline: Deadline | None = None,
    callbacks: Sequence[pl.Callback] = (),
) -> pl.Trainer:
    """Return the Trainer of a run; checkpoints go into `folder`.

    `accumulate` batches make an optimiser step, and `deadline` may end the run before `trainer.max_epochs` or after.
    """
    trainer = config.trainer
    arguments = trainer_arguments(runtime, trainer, frozen=config.model.freeze)
    plugins = [AtomicCheckpoints(), *arguments.pop("plugins", [])]
    return pl.Trainer(
        **arguments,
        max_epochs=deadline.schedule.epochs if deadline else trainer.max_epochs,
        accumulate_grad_batches=accumulate,
        gradient_clip_val=trainer.clip_norm,
        deterministic=trainer.deterministic,
        logger=list(loggers),
        # The last checkpoint before the average of the weights takes their place at the end of training, and the guard
        # after it was updated at the end of a step; the caller's callbacks while it is what is validated.
        callbacks=[
            StepSeeds(config.seed),
            last,
            *callbacks,
            *_callbacks(trainer, config.model, folder, deadline),
            guard,
        ],
        plugins=plugins,
        enable_progress_bar=shows_progress(),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        use_distributed_sampler=False,
        default_root_dir=folder,
    )


def _callbacks(
    trainer: TrainerConfig, model: ModelConfig, folder: Path, deadline: Deadline | None
) -> list[pl.Callback]:
    monitor, mode = f"val/{trainer.monitor.value}", "min" if trainer.monitor is Monitor.loss else "max"
    callbacks: list[pl.Callback] = [BestCheckpoint(folder / BEST, monitor=monitor, mode=mode)]
    if deadline is not None:
        callbacks.append(deadline)
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
    if trainer.profile:
        callbacks.append(StepProfile(folder / PROFILE))
    return callbacks + [make_callback(spec) for spec in trainer.callbacks]
