"""What a trial says while it trains."""

from collections.abc import Callable

import pytorch_lightning as pl


class Pruned(Exception):  # noqa: N818
    """No more is wanted of this trial."""


class Reporter(pl.Callback):
    """Tells the run's folder and, after each epoch, the metric; ends the run where the answer is no.

    Raises:
        Pruned: out of `fit`.
    """

    def __init__(self, metric: str, place: Callable[[str], None], goes_on: Callable[[int, float], bool]) -> None:
        self._metric, self._place, self._goes_on = metric, place, goes_on

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._place(str(trainer.default_root_dir))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        value = trainer.callback_metrics.get(self._metric)
        if value is not None and not self._goes_on(trainer.current_epoch + 1, float(value)):
            raise Pruned
