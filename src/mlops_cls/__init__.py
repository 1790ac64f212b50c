"""Train, measure and keep image classifiers.

    import mlops_cls as mc

    run = mc.fit(mc.load_config("experiment=quickstart"))
    clf = mc.Predictor.load(run.checkpoint)
    clf("boot.jpg").top(3)

Names are loaded when they are first used, so importing the package costs nothing and needs neither torch nor Hydra.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops_cls.build import make_card
    from mlops_cls.bundle import Bundle
    from mlops_cls.card import ModelCard, Preprocess
    from mlops_cls.comparing import compare_runs
    from mlops_cls.compose import load_config
    from mlops_cls.config import Config
    from mlops_cls.data.datamodules import (
        DigitsDataModule,
        DogBreedDataModule,
        EmotionDataModule,
        FashionMNISTDataModule,
        FolderDataModule,
        ImageDataModule,
        SeabedDataModule,
        SkinLesionDataModule,
        TableDataModule,
    )
    from mlops_cls.data.manifest import Plan
    from mlops_cls.data.source import Sample
    from mlops_cls.errors import ArtifactError, ConfigError, DataError, MlopsError
    from mlops_cls.exporting.write import export_run
    from mlops_cls.folds import CrossValidation, cross_validate
    from mlops_cls.measuring import evaluate_run
    from mlops_cls.models.classifier import ImageClassifier
    from mlops_cls.predictor import Prediction, Predictor
    from mlops_cls.reproducing import reproduce_run
    from mlops_cls.reproduction import Reproduction
    from mlops_cls.run import Run
    from mlops_cls.training import fit

__version__ = "0.1.0"
__all__ = [
    "ArtifactError",
    "Bundle",
    "Config",
    "ConfigError",
    "CrossValidation",
    "DataError",
    "DigitsDataModule",
    "DogBreedDataModule",
    "EmotionDataModule",
    "FashionMNISTDataModule",
    "FolderDataModule",
    "ImageClassifier",
    "ImageDataModule",
    "MlopsError",
    "ModelCard",
    "Plan",
    "Prediction",
    "Predictor",
    "Preprocess",
    "Reproduction",
    "Run",
    "Sample",
    "SeabedDataModule",
    "SkinLesionDataModule",
    "TableDataModule",
    "compare_runs",
    "cross_validate",
    "evaluate_run",
    "export_run",
    "fit",
    "load_config",
    "make_card",
    "reproduce_run",
]

_HOMES = {
    "build": ("make_card",),
    "bundle": ("Bundle",),
    "card": ("ModelCard", "Preprocess"),
    "comparing": ("compare_runs",),
    "compose": ("load_config",),
    "config": ("Config",),
    "data.datamodules": (
        "DigitsDataModule",
        "DogBreedDataModule",
        "EmotionDataModule",
        "FashionMNISTDataModule",
        "FolderDataModule",
        "ImageDataModule",
        "SeabedDataModule",
        "SkinLesionDataModule",
        "TableDataModule",
    ),
    "data.manifest": ("Plan",),
    "data.source": ("Sample",),
    "errors": ("ArtifactError", "ConfigError", "DataError", "MlopsError"),
    "exporting.write": ("export_run",),
    "folds": ("CrossValidation", "cross_validate"),
    "measuring": ("evaluate_run",),
    "models.classifier": ("ImageClassifier",),
    "predictor": ("Prediction", "Predictor"),
    "reproducing": ("reproduce_run",),
    "reproduction": ("Reproduction",),
    "run": ("Run",),
    "training": ("fit",),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"mlops_cls.{home}"), name)
    raise AttributeError(f"module 'mlops_cls' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
