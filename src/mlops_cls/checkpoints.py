"""The last checkpoint of a run: all it takes to go on with the very next batch as if nothing had happened."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import CheckpointIO
from pytorch_lightning.callbacks import ModelCheckpoint, WeightAveraging

from mlops_cls.atomic import replacing
from mlops_cls.errors import ArtifactError, Interrupted
from mlops_cls.interruption import Interruption
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.models.weights import read_checkpoint
from mlops_cls.processes import anywhere, how_many
from mlops_cls.table import EpochTable

KEY, TRAIN_SCORES = "LastCheckpoint", "train_scores"


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a run has come; plain values, kept in its last checkpoint."""

    epoch: int = 0
    """Epochs that are over."""
    drawn: int = 0
    """Pictures trained on in the epoch after them, by all processes together."""
    finished: int | None = None
    """`trainer.max_epochs` of the training that is over."""
    spent: float = 0.0
    """Seconds that went into the run, for `trainer.budget`."""
    rows: Mapping[int, dict[str, float]] = field(default_factory=dict)
    """The epochs' scores."""
    plan: dict[str, float] | None = None
    """`Deadline.plan` of a run with a budget."""

    @classmethod
    def read(cls, checkpoint: Path) -> "Progress":
        """Return what a checkpoint tells; without the file, nothing has been done yet.

        Raises:
            ArtifactError: damaged, or not the last checkpoint of a run.
        """
        if not checkpoint.exists():
            return cls()
        kept = read_checkpoint(checkpoint).get("callbacks", {}).get(KEY)
        if kept is None:
            raise ArtifactError(f"{checkpoint} does not say how far its run has come: begin anew with run.resume=never")
        return cls(**kept)

    def is_over(self, epochs: int) -> bool:
        """Tell whether a training of so many epochs has ended, early or not."""
        return self.finished is not None and self.finished >= epochs


class AtomicCheckpoints(CheckpointIO):
    """Reads and writes checkpoint files so that at any moment the old one or the new one is there, and whole."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        try:
            with replacing(Path(path)) as aside:
                torch.save(checkpoint, aside)
        except (OSError, RuntimeError) as error:  # torch makes a RuntimeError of a full disk
            raise ArtifactError(
                f"{path} cannot be written ({error}): the one before is whole; make room, then the same command goes on"
            ) from error

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        return read_checkpoint(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


class BestCheckpoint(ModelCheckpoint):
    """Keeps the best weights by validation, alone: without optimiser state the file is a third of the size."""

    def __init__(self, path: Path, *, monitor: str, mode: str) -> None:
        super().__init__(
            path.parent, path.stem, monitor=monitor, mode=mode, save_weights_only=True, enable_version_counter=False
        )
        self._path = path

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        # Where the folder was moved, Lightning would forget the best score, and keep a worse checkpoint instead.
        here = str(self._path.resolve())
        scores = dict.fromkeys([here], state_dict["best_model_score"]) if state_dict["best_k_models"] else {}
        paths = {"best_model_path": here, "kth_best_model_path": here, "last_model_path": ""} if scores else {}
        super().load_state_dict(state_dict | {"dirpath": self.dirpath, "best_k_models": scores} | paths)


class LastCheckpoint(pl.Callback):
    """Keeps the last checkpoint at the end of each epoch, and lets a Trainer go on from it at any picture of an epoch.

    An epoch that was cut is begun again with the pictures that are left of it. So Lightning's loops are kept as they
    are between two epochs, the only place where they can be relied on to go on.

    Args:
        path: of the checkpoint.
        table: the rows of the epochs, which are kept with it: the two cannot contradict each other.
        before: where this process goes on.
        pictures: of a batch, over all
        epochs: `trainer.max_epochs`.
        began: when this process began, on the clock of `time.monotonic`.
        plan: of a run with a budget.
    """

    state_key = KEY

    def __init__(
        self,
        path: Path,
        table: EpochTable,
        before: Progress,
        *,
        pictures: int,
        epochs: int,
        began: float,
        plan: dict[str, float] | None = None,
    ) -> None:
        self.path, self.table, self.before = path, table, before
        self.pictures, self.epochs, self.began, self.plan = pictures, epochs, began, plan
        self.saved = time.monotonic()
        self._progress = before

    def save(self, trainer: pl.Trainer, **progress: Any) -> None:
        """Write the checkpoint; `progress` are facts of `Progress` beside the epoch, the time and the rows."""
        spent = self.before.spent + time.monotonic() - self.began
        epoch, rows = trainer.current_epoch, self.table.rows
        self._progress = Progress(epoch=epoch, spent=spent, rows=rows, plan=self.plan, **progress)
        trainer.save_checkpoint(self.path)
        self.saved = time.monotonic()

    def save_within_epoch(self, trainer: pl.Trainer) -> None:
        """Write the checkpoint between two steps of an epoch, or before its end."""
        batches = trainer.fit_loop.epoch_loop.batch_progress.current.processed  # type: ignore[attr-defined]
        self.save(trainer, drawn=self._drawn_before(trainer) + batches * self.pictures)

    def state_dict(self) -> dict[str, Any]:
        return asdict(self._progress)

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.current_epoch > self.before.epoch:
            trainer.val_check_batch = trainer.num_training_batches
            self.save(trainer)
        elif self.before.drawn:
            self._begin_within(trainer)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.save(trainer, finished=self.epochs)

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        assert isinstance(module, ImageClassifier)
        _as_between_epochs(checkpoint["loops"]["fit_loop"], self._progress.epoch, trainer.global_step)
        if self._progress.drawn:
            checkpoint[TRAIN_SCORES] = module.train_scores.so_far()

    def on_load_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        assert isinstance(module, ImageClassifier)
        if TRAIN_SCORES in checkpoint:
            module.train_scores.go_on(checkpoint[TRAIN_SCORES], here=trainer.is_global_zero)

    def _drawn_before(self, trainer: pl.Trainer) -> int:
        return self.before.drawn if trainer.current_epoch == self.before.epoch else 0

    def _begin_within(self, trainer: pl.Trainer) -> None:
        done, fetcher = self.before.drawn // self.pictures, trainer.fit_loop._data_fetcher
        left = int(trainer.num_training_batches) - done
        assert fetcher is not None
        # Which is how the loop knows the last batch, and the one to validate after.
        fetcher.fetched += done
        trainer.val_check_batch = left
        if left == 0:
            # All that remains is to validate, which the loop does after a batch only.
            trainer.validating = True
            trainer.fit_loop.epoch_loop.val_loop.run()
            trainer.training = True


class StepGuard(pl.Callback):
    """Keeps the last checkpoint within an epoch: when it is time, and when a signal ends the run; then it does.

    It belongs after all callbacks that change weights at the end of a step. Processes decide together, since to keep
    a checkpoint takes them all.

    Args:
        last: writes the checkpoint.
        interruption: knows of signals.
        every: seconds between two checkpoints.
    """

    def __init__(self, last: LastCheckpoint, interruption: Interruption, *, every: float) -> None:
        self.last, self.interruption, self.every = last, interruption, every

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.interruption.listen()

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0 or trainer.is_last_batch:
            self._decide(trainer)

    def on_validation_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        # Several processes have unequal numbers of batches to score, so none can ask the others here.
        if self.interruption.received is None or how_many() > 1:
            return
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, WeightAveraging):
                callback.on_validation_epoch_end(trainer, module)  # takes the average out of the weights again
        self._end(trainer)

    def _decide(self, trainer: pl.Trainer) -> None:
        stop, due = self.interruption.received is not None, time.monotonic() - self.last.saved >= self.every
        if not anywhere(stop or due):
            return
        if anywhere(stop):
            self._end(trainer)
        self.last.save_within_epoch(trainer)

    def _end(self, trainer: pl.Trainer) -> None:
        self.last.save_within_epoch(trainer)
        kept = f"kept after step {trainer.global_step}, in epoch {trainer.current_epoch + 1}"
        raise Interrupted(f"{kept}: the same command goes on from there")


def _as_between_epochs(fit_loop: dict[str, Any], epochs: int, steps: int) -> None:
    for counts in (fit_loop["epoch_progress"]["total"], fit_loop["epoch_progress"]["current"]):
        counts.update(dict.fromkeys(counts, epochs))
    fit_loop["epoch_loop.state_dict"]["_batches_that_stepped"] = steps
