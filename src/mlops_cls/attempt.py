"""Training with what was tuned; if memory runs out all the same, once more with fewer pictures at a time."""

import gc
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger

from mlops_cls.build import same_each_epoch
from mlops_cls.checkpoints import LastCheckpoint, Progress, StepGuard
from mlops_cls.config import Config
from mlops_cls.console import quiet_lightning
from mlops_cls.data.datamodules import ImageDataModule
from mlops_cls.data.sampling import Position
from mlops_cls.errors import Interrupted, MlopsError
from mlops_cls.interruption import Interruption
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.models.features import frozen_features
from mlops_cls.parallel import trainer_arguments
from mlops_cls.processes import anywhere, how_many, rank, share
from mlops_cls.run import LAST
from mlops_cls.table import EpochTable
from mlops_cls.trainer import make_trainer
from mlops_cls.tuning.budget import Deadline, fit_into, measure
from mlops_cls.tuning.memory import ran_out_of_memory
from mlops_cls.tuning.tune import Tuned

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Training:
    """All that an attempt to train needs, apart from what was tuned.

    `make_classifier` returns the same untrained classifier each time; `data` is prepared and gets its batch size here;
    `began` is when the run began to take time, on the clock of `time.monotonic`.
    """

    config: Config
    data: ImageDataModule
    make_classifier: Callable[[Tuned], ImageClassifier]
    folder: Path
    table: EpochTable
    loggers: Sequence[Logger]
    callbacks: Sequence[pl.Callback]
    interruption: Interruption
    began: float

    def run(self, tuned: Tuned) -> None:
        """Train; out of memory, go on from the last epoch with half the pictures at a time or fewer, in equal steps."""
        while True:
            try:
                with quiet_lightning(), self.interruption.held():
                    self._attempt(tuned)
                    # All processes, or one would conclude and wait for others that have ended.
                    if anywhere(self.interruption.received is not None):
                        raise Interrupted("trained to the end: the same command scores the run")
                    return
            except RuntimeError as error:
                smaller = tuned.batching.smaller()
                if smaller is None or not ran_out_of_memory(error):
                    raise
                if how_many() > 1:
                    raise _for_all(tuned.batching.size, smaller.size) from error
            # Only here, after the error and all that it held, is the memory free again.
            log.warning("out of memory with %d pictures at once: trying %d", tuned.batching.size, smaller.size)
            tuned = replace(tuned, batching=smaller)
            if self.config.trainer.budget is not None:
                # A plan for the time that is left begins at the beginning.
                (self.folder / LAST).unlink(missing_ok=True)
            _free_memory()

    def _attempt(self, tuned: Tuned) -> None:
        path, batching = self.folder / LAST, tuned.batching
        before = Progress.read(path)
        self.table.restore(before.rows)
        if before.is_over(self.config.trainer.max_epochs):
            return
        if before.rows or before.drawn:
            log.info("trained before: %d epochs, and %d pictures of the next", before.epoch, before.drawn)
        classifier = self.make_classifier(tuned)
        self.data.batch_size, self.data.parts = batching.size, batching.parts
        self.data.begin = Position(before.epoch, before.drawn)
        features = frozen_features(classifier, self.data) if same_each_epoch(self.config) else None
        batches, accumulate = features or self.data, self.config.trainer.accumulate * batching.parts
        deadline = self._deadline(tuned, classifier, batches, accumulate, before)
        trainer = self._trainer(tuned, before, accumulate, deadline)
        trainer.fit(classifier, datamodule=batches, ckpt_path=path if path.exists() else None)

    def _trainer(self, tuned: Tuned, before: Progress, accumulate: int, deadline: Deadline | None) -> pl.Trainer:
        last = LastCheckpoint(
            self.folder / LAST,
            self.table,
            before,
            pictures=tuned.batching.size * how_many(),
            epochs=self.config.trainer.max_epochs,
            began=self.began,
            plan=None if deadline is None else deadline.plan,
        )
        return make_trainer(
            self.config,
            tuned.runtime,
            self.folder,
            [self.table, *self.loggers],
            last,
            StepGuard(last, self.interruption, every=self.config.trainer.save_seconds),
            accumulate=accumulate,
            deadline=deadline,
            callbacks=self.callbacks,
        )

    def _deadline(
        self,
        tuned: Tuned,
        classifier: ImageClassifier,
        batches: pl.LightningDataModule,
        accumulate: int,
        before: Progress,
    ) -> Deadline | None:
        budget = self.config.trainer.budget_seconds
        if budget is None:
            return None
        end = self.began + budget - before.spent
        if before.plan is None:
            deadline = self._plan(tuned, classifier, batches, accumulate, end)
        else:
            deadline = Deadline.planned(before.plan, end, accumulate)
        classifier.total_steps = deadline.schedule.batches // accumulate
        return deadline

    def _plan(
        self, tuned: Tuned, classifier: ImageClassifier, batches: pl.LightningDataModule, accumulate: int, end: float
    ) -> Deadline:
        pictures = {split: self.data.manifest.size_of(split) for split in ("val", "test")}
        model = self.config.model
        arguments = trainer_arguments(tuned.runtime, self.config.trainer, frozen=model.freeze)
        speed = measure(classifier, tuned.runtime, batches, pictures, frozen=model.head_only, arguments=arguments)
        per_epoch, left = len(self.data.train_dataloader()), share(end - time.monotonic())
        schedule = fit_into(left, speed, per_epoch=per_epoch, parts=accumulate)
        log.info(
            "trainer.budget=%s: %.0f s are left, which is %d steps or %.1f epochs at %.1f pictures/s, val and test",
            self.config.trainer.budget,
            left,
            schedule.batches // accumulate,
            schedule.batches / per_epoch,
            how_many() * tuned.batching.size / speed.batch,
        )
        return Deadline(end - speed.scoring, speed, schedule, accumulate)


def _for_all(size: int, smaller: int) -> MlopsError:
    """Return the error that ends all processes: the others, in the middle of the same step, cannot begin anew alone."""
    return MlopsError(
        f"process {rank()} of {how_many()} ran out of memory with {size} pictures at "
        f"once: set runtime.batch_size={smaller} or auto, which changes no result, and start again"
    )


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
