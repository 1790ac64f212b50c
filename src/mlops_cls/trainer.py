"""A Lightning Trainer as the config asks for it, with Lightning's own chatter kept down."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from mlops_cls.run import BEST, LAST
from mlops_cls.runtime import Runtime


def make_trainer(config: Config, runtime: Runtime, folder: Path, loggers: Sequence[Logger]) -> pl.Trainer:
    """Return the Trainer of a run; checkpoints go into `folder`."""
    trainer = config.trainer
    return pl.Trainer(
        **runtime.lightning,
        max_epochs=trainer.max_epochs,
        accumulate_grad_batches=trainer.accumulate,
        gradient_clip_val=trainer.clip_norm,
        deterministic=trainer.deterministic,
        limit_train_batches=trainer.limit_batches,
        logger=list(loggers),
        callbacks=_callbacks(trainer, config.model, folder),
        enable_progress_bar=shows_progress(),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        use_distributed_sampler=False,
        default_root_dir=folder,
    )


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep back what Lightning says about things we decided on purpose."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # Lightning 2.6 on torch 2.13.
            warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
            # Reading the memory map in the training process is faster than any number of workers.
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            # The folder was made by the run a moment ago.
            warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
            yield
    finally:
        logger.setLevel(level)


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
