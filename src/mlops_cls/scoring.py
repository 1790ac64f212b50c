"""Score a checkpoint again: on the data it was trained for, or on other data of the same classes."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlops_cls.build import make_plan, make_source
from mlops_cls.card import ModelCard
from mlops_cls.choices import CheckPolicy, Device
from mlops_cls.compose import change_data
from mlops_cls.conclude import evaluate_split
from mlops_cls.config import RuntimeConfig
from mlops_cls.data.datamodules import ImageDataModule
from mlops_cls.data.manifest import Plan
from mlops_cls.data.split import SPLITS
from mlops_cls.errors import ArtifactError, unknown_name
from mlops_cls.evaluation.outputs import Outputs, join
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.runtime import Runtime

log = logging.getLogger(__name__)


def score_checkpoint(
    checkpoint: Path, split: str, overrides: Sequence[str], *, device: str = "auto"
) -> tuple[ModelCard, Outputs]:
    """Return a checkpoint's card and its outputs on a split.

    Args:
        checkpoint: a .ckpt file of ours.
        split: train, val, test, or all for the three together.
        overrides: changed data settings, such as ``data=folder`` and ``data.root=FOLDER``.
        device: auto, cpu, cuda or mps.

    Raises:
        ArtifactError: not our checkpoint, or its classes are not the data's.
        ConfigError: an override is wrong.
        DataError: the data cannot be prepared.
    """
    if device not in list(Device):
        raise unknown_name("device", device, list(Device))
    runtime = Runtime.resolve(RuntimeConfig(device=Device(device)))
    classifier = ImageClassifier.from_checkpoint(checkpoint)
    data = data_for(classifier.card, overrides)
    parts = [evaluate_split(classifier, data, name, runtime) for name in (SPLITS if split == "all" else (split,))]
    return classifier.card, join(parts)


def data_for(card: ModelCard, overrides: Sequence[str]) -> ImageDataModule:
    """Return the data in the geometry of the card; as the run prepared it, if nothing of the plan is changed."""
    if "config" not in card.provenance:
        raise ArtifactError("the model card holds no config: this checkpoint was not written by a run of mlops_cls")
    values: dict[str, Any] = card.provenance["config"]
    before, after = change_data(values, ()).data, change_data(values, overrides).data
    recorded = Plan(**card.provenance["data"]["plan"])
    same = before == replace(after, store=before.store)
    plan = recorded if same else _in_geometry_of(card, make_plan(after, None))
    # Whether its faults matter was decided when it was trained.
    data = ImageDataModule(make_source(after), plan=plan, store=after.store, check=CheckPolicy.off)
    if same and data.manifest.content != card.provenance["data"]["content"]:
        log.warning("the pictures have changed since training: val and test may hold some that the model has seen")
    return data


def _in_geometry_of(card: ModelCard, plan: Plan) -> Plan:
    wanted = card.preprocess
    return replace(
        plan,
        size=wanted.size,
        resize=wanted.resize,
        crop=wanted.crop,
        interpolation=wanted.interpolation,
        channels="grey" if wanted.channels == 1 else "rgb",
    )
