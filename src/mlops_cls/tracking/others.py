"""TensorBoard and MLflow: config, metrics, final scores and plots."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pytorch_lightning.loggers import MLFlowLogger, TensorBoardLogger

from mlops_cls.config import LoggerConfig
from mlops_cls.tracking.identity import Identity
from mlops_cls.tracking.tracker import Tracker

PROJECT = "mlops_cls"


class TensorBoardTracker(Tracker):
    """Event files in ``tensorboard/`` of the run folder; a run that goes on adds one."""

    logger: TensorBoardLogger

    def __init__(self, folder: Path, values: Mapping[str, Any]) -> None:
        self.logger = TensorBoardLogger(folder, name="tensorboard", version="", default_hp_metric=False)
        self.logger.log_hyperparams(dict(values["config"]))

    def summarise(self, scores: Mapping[str, float], pictures: Mapping[str, Path]) -> None:
        self.logger.log_metrics({f"final/{name}": value for name, value in scores.items()})
        for name, path in pictures.items():
            self.logger.experiment.add_image(name, np.asarray(Image.open(path).convert("RGB")), dataformats="HWC")

    def finish(self, *, failed: bool) -> None:
        self.logger.finalize("failed" if failed else "success")


class MLFlowTracker(Tracker):
    """A run in an MLflow server or store; the same one when the run goes on."""

    logger: MLFlowLogger

    def __init__(self, config: LoggerConfig, folder: Path, values: Mapping[str, Any]) -> None:
        before = Identity.read(folder)
        home = folder.absolute()
        self.logger = MLFlowLogger(
            config.project or PROJECT,
            run_name=folder.name,
            tracking_uri=config.uri or f"sqlite:///{home / 'mlflow.db'}",
            artifact_location=None if config.uri else (home / "mlflow").as_uri(),
            run_id=before.id if before else None,
        )
        self.logger.log_hyperparams(dict(values["config"]))
        Identity(id=str(self.logger.run_id), project=config.project or PROJECT).write(folder)

    def summarise(self, scores: Mapping[str, float], pictures: Mapping[str, Path]) -> None:
        self.logger.log_metrics({f"final/{name}": value for name, value in scores.items()})
        for path in pictures.values():
            self.logger.experiment.log_artifact(self.logger.run_id, str(path))

    def finish(self, *, failed: bool) -> None:
        self.logger.finalize("failed" if failed else "success")
