"""Classify the pictures of a split again: those that a classifier was trained for, or others of the same classes."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from mlops_cls.backends.choice import open_backend
from mlops_cls.backends.kinds import DEFAULT
from mlops_cls.build import make_plan, make_source
from mlops_cls.bundle import Bundle
from mlops_cls.card import ModelCard
from mlops_cls.choices import CheckPolicy, Device
from mlops_cls.compose import change_data
from mlops_cls.config import RuntimeConfig
from mlops_cls.data.datamodules import ImageDataModule
from mlops_cls.data.manifest import Plan
from mlops_cls.data.split import SPLITS
from mlops_cls.errors import ArtifactError, ConfigError, unknown_name
from mlops_cls.evaluation.collect import BATCH, describe, logits_of
from mlops_cls.evaluation.outputs import Outputs, join
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.models.evidence import find_evidence
from mlops_cls.pictures import Pixels
from mlops_cls.report.gallery import Explain
from mlops_cls.run import find_checkpoint
from mlops_cls.runtime import Runtime

log = logging.getLogger(__name__)
Logits = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Trained:
    """A classifier: its card, and its logits float32[B,K] for pictures uint8[B,H,W,C].

    A checkpoint can also tell what in a picture speaks for a class.
    """

    card: ModelCard
    logits: Callable[[Pixels], Logits]
    explain: Explain | None = None


def open_trained(model: Path, *, device: str = "auto", backend: str = DEFAULT) -> Trained:
    """Open a run folder, a checkpoint or a bundle.

    Raises:
        ArtifactError: there is none, or it is damaged.
        ConfigError: no such device or back end, or not for this.
    """
    if device not in list(Device):
        raise unknown_name("device", device, list(Device))
    if Bundle.is_at(model):
        return _open_bundle(model, device, backend)
    if backend != DEFAULT:
        raise ConfigError(f"backend={backend}: a checkpoint is computed by torch; give a bundle to choose")
    return _open_checkpoint(find_checkpoint(model), Device(device))


def _open_bundle(folder: Path, device: str, backend: str) -> Trained:
    if device not in (Device.auto, Device.cpu):
        raise ConfigError(f"device={device}: a bundle computes on the CPU; give its run folder to use a GPU")
    bundle = Bundle.open(folder)
    compute, temperature = open_backend(bundle, backend), bundle.card.calibration.temperature

    def logits(images: Pixels) -> Logits:
        # Up to a constant per picture, which changes no probability; what float32 has rounded to 0 becomes finite.
        batch = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        probabilities = np.maximum(compute(batch), np.finfo(np.float32).tiny)
        return np.asarray(temperature * np.log(probabilities), np.float32)

    return Trained(bundle.card, logits)


def _open_checkpoint(checkpoint: Path, device: Device) -> Trained:
    place = Runtime.resolve(RuntimeConfig(device=device)).torch_device
    classifier = ImageClassifier.from_checkpoint(checkpoint).to(place)

    def logits(images: Pixels) -> Logits:
        # Copied, for torch warns of pictures that it may not write to; in memory as loaders have them.
        batch = torch.from_numpy(images.copy()).permute(0, 3, 1, 2)
        answers: Logits = logits_of(classifier, batch.to(place)).numpy()
        return answers

    return Trained(classifier.card, logits, partial(find_evidence, classifier))


class Subject:
    """A classifier and the data that it is scored on, which are prepared when they are needed.

    Args:
        trained: the classifier.
        overrides: changed data settings, such as ``data=folder`` and ``data.root=FOLDER``.
    """

    def __init__(self, trained: Trained, overrides: Sequence[str]) -> None:
        self.card, self.logits, self.explain = trained.card, trained.logits, trained.explain
        self._overrides = overrides

    def outputs(self, split: str) -> Outputs:
        """Return the outputs on train, val, test, or all together.

        Raises:
            ArtifactError: the classifier's classes are not the data's.
            ConfigError: an override is wrong.
            DataError: the data cannot be prepared.
        """
        self.card.check_classes(self.data.manifest.classes, whose=f"the data set {self.data.manifest.source}")
        return join([self._outputs(part) for part in _parts(split)])

    def _outputs(self, split: str) -> Outputs:
        images = self.data.prepared.images(split)
        starts = tqdm(range(0, len(images), BATCH), desc=f"classifying {split}", unit=" batches", disable=None)
        logits = [self.logits(images[start : start + BATCH]) for start in starts]
        return describe(self.data.dataset(split), np.concatenate(logits), self.card.classes)

    def pictures(self, split: str) -> Pixels:
        """Return uint8[N,H,W,C] in the order of `outputs`; memory-mapped, but for `all`."""
        parts = [self.data.prepared.images(part) for part in _parts(split)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    @cached_property
    def data(self) -> ImageDataModule:
        return data_for(self.card, self._overrides)


def score_checkpoint(
    checkpoint: Path, split: str, overrides: Sequence[str], *, device: str = "auto"
) -> tuple[ModelCard, Outputs]:
    """Return a checkpoint's card and its outputs on a split; see `Subject`."""
    subject = Subject(open_trained(checkpoint, device=device), overrides)
    return subject.card, subject.outputs(split)


def _parts(split: str) -> tuple[str, ...]:
    return SPLITS if split == "all" else (split,)


def data_for(card: ModelCard, overrides: Sequence[str]) -> ImageDataModule:
    """Return the data in the geometry of the card; as the run prepared it, if nothing of the plan is changed."""
    if "config" not in card.provenance:
        raise ArtifactError("the model card holds no config: this model was not written by a run of mlops_cls")
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
