"""metrics.csv and the line per epoch: one tidy row per epoch, rewritten whole so that it is never half a row."""

import csv
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from mlops_cls.atomic import replacing

log = logging.getLogger(__name__)
SHOWN = ("train/loss", "val/loss", "val/accuracy", "val/balanced_accuracy")


class EpochTable(Logger):
    """A Lightning logger that keeps one row per epoch in `path` and says it in one line; `epochs` is None if open."""

    def __init__(self, path: Path, epochs: int | None) -> None:
        super().__init__()
        self.path, self.epochs = path, epochs
        self.rows: dict[int, dict[str, float]] = {}
        self._started = time.monotonic()

    @property
    def name(self) -> str:
        return "table"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Nothing: the config is kept in the run folder by the run itself."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add to the epoch's row; Lightning sends the val scores first and closes the epoch with the train scores."""
        if "epoch" not in metrics:
            return
        epoch = int(metrics["epoch"])
        row = self.rows.setdefault(epoch, {"epoch": epoch})
        row.update({name: value for name, value in metrics.items() if name != "epoch"})
        if any(name.startswith("train/") for name in metrics):
            row["seconds"] = round(time.monotonic() - self._started, 3)
            self._started = time.monotonic()
            self._write()
            log.info("%s", self._line(row))

    def restore(self, rows: Mapping[int, dict[str, float]]) -> None:
        """Go on after these rows; others that the file has are of epochs that will be trained again."""
        self.rows = {epoch: dict(row) for epoch, row in rows.items()}
        if self.rows or self.path.exists():
            self._write()

    @rank_zero_only
    def _write(self) -> None:
        columns = list(dict.fromkeys(name for row in self.rows.values() for name in row))
        with replacing(self.path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.rows.values())

    def _line(self, row: dict[str, float]) -> str:
        scores = "  ".join(f"{name} {row[name]:.4f}" for name in SHOWN if name in row)
        total = "" if self.epochs is None else f"/{self.epochs}"
        return f"epoch {int(row['epoch']) + 1:>3}{total}  {scores}  {row['seconds']:.1f} s"
