"""Score a trained classifier again: by the outputs that it kept, or by its answers for other data."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
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
from mlops_cls.evaluation.answers import Answers
from mlops_cls.evaluation.collect import BATCH, describe, logits_of, training_scores
from mlops_cls.evaluation.outputs import Outputs, join
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.models.rates import Floats
from mlops_cls.pictures import Pixels
from mlops_cls.run import BEST, Run, find_checkpoint
from mlops_cls.runtime import Runtime

log = logging.getLogger(__name__)
Forward = Callable[[Pixels], NDArray[np.float32]]
ALL = "all"


@dataclass(frozen=True, slots=True)
class Trained:
    """A classifier: its card, its logits float32[B,K] for uint8[B,C,H,W], and what it has kept of each split."""

    card: ModelCard
    logits: Forward
    kept: dict[str, Path]


def open_trained(path: Path, *, device: str = "auto", backend: str = DEFAULT) -> Trained:
    """Open a run folder, a checkpoint or a bundle.

    Raises:
        ArtifactError: there is none, or it is damaged.
        ConfigError: no such device or back end, or not for this.
    """
    if device not in list(Device):
        raise unknown_name("device", device, list(Device))
    if Bundle.is_at(path):
        return _open_bundle(path, device, backend)
    if backend != DEFAULT:
        raise ConfigError(f"backend={backend}: a checkpoint is computed by torch; give a bundle to choose")
    return _open_checkpoint(find_checkpoint(path), Device(device))


def _open_bundle(path: Path, device: str, backend: str) -> Trained:
    if device not in (Device.auto, Device.cpu):
        raise ConfigError(f"device={device}: a bundle computes on the CPU; give its run folder to use a GPU")
    bundle = Bundle.open(path)
    compute, temperature = open_backend(bundle, backend), bundle.card.calibration.temperature

    def logits(images: Pixels) -> NDArray[np.float32]:
        # Up to a constant per picture, which changes no probability; what float32 has rounded to 0 becomes finite.
        probabilities = np.maximum(compute(images), np.finfo(np.float32).tiny)
        return np.asarray(temperature * np.log(probabilities), np.float32)

    # Another back end may answer otherwise.
    kept = {"test": bundle.outputs} if bundle.outputs and backend == DEFAULT else {}
    return Trained(bundle.card, logits, kept)


def _open_checkpoint(checkpoint: Path, device: Device) -> Trained:
    place = Runtime.resolve(RuntimeConfig(device=device)).torch_device
    classifier = ImageClassifier.from_checkpoint(checkpoint).to(place)
    home = checkpoint.parent.parent
    run = Run(home, classifier.card, {})
    found = {split: run.outputs(split) for split in SPLITS if checkpoint == home / BEST}

    def logits(images: Pixels) -> NDArray[np.float32]:
        return logits_of(classifier, torch.from_numpy(images).to(place)).numpy()

    return Trained(classifier.card, logits, {split: path for split, path in found.items() if path.is_file()})


class Scorer:
    """A trained classifier and the data that it is scored on, which are opened when they are needed.

    Args:
        model: a run folder, a .ckpt file of ours or a bundle.
        overrides: changed data settings, such as ``data=folder`` and ``data.root=FOLDER``.
        device: of a checkpoint: auto, cpu, cuda or mps.
        backend: of a bundle, see `backends.kinds.KINDS`.

    Raises:
        ArtifactError: no model of ours; later, where its classes are not the data's.
        ConfigError: later, where an override is wrong.
        DataError: later, where the data cannot be prepared.
    """

    def __init__(
        self, model: Path, overrides: Sequence[str] = (), *, device: str = "auto", backend: str = DEFAULT
    ) -> None:
        self._trained, self._overrides = open_trained(model, device=device, backend=backend), overrides

    @property
    def card(self) -> ModelCard:
        return self._trained.card

    def outputs(self, split: str) -> Outputs:
        """Return the outputs on train, val or test, or on all together; those kept from training where nothing changed.

        Whether kept outputs are this checkpoint's is told by its loss on them, which its card holds.
        """
        kept = None if self._overrides else self._trained.kept.get(split)
        if kept is None:
            return self.infer(split)
        outputs = Outputs.load(kept)
        if not _are_of(self.card, outputs, split):
            log.warning("%s is not of this checkpoint: the pictures are classified again", kept)
            return self.infer(split)
        return outputs

    def infer(self, split: str) -> Outputs:
        """Return the outputs on a split after classifying all its pictures."""
        self.card.check_classes(self.data.manifest.classes, whose=f"the data set {self.data.manifest.source}")
        return join([self._infer(part) for part in _parts(split)])

    def _infer(self, split: str) -> Outputs:
        images = self.data.prepared.images(split)
        starts = tqdm(range(0, len(images), BATCH), desc=f"classifying {split}", unit=" batches", disable=None)
        logits = [self._trained.logits(_channels_first(images[start : start + BATCH])) for start in starts]
        return describe(self.data.dataset(split), np.concatenate(logits), self.card.classes)

    def pictures(self, split: str) -> Pixels:
        """Return uint8[N,H,W,C] in the order of `outputs`; memory-mapped, but for `all`."""
        parts = [self.data.prepared.images(part) for part in _parts(split)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def log_probabilities(self, images: Pixels) -> Floats:
        """Return float64[B,K], calibrated, for uint8[B,C,H,W]."""
        labels = np.zeros(len(images), np.int64)
        outputs = Outputs([], labels, self._trained.logits(images), self.card.classes)
        return Answers.of(outputs, self.card.calibration.temperature).log_probabilities

    @cached_property
    def data(self) -> ImageDataModule:
        return data_for(self.card, self._overrides)


def score_checkpoint(
    checkpoint: Path, split: str, overrides: Sequence[str], *, device: str = "auto"
) -> tuple[ModelCard, Outputs]:
    """Return a checkpoint's card and its outputs on a split, whose pictures it has classified now; see `Scorer`."""
    scorer = Scorer(checkpoint, overrides, device=device)
    return scorer.card, scorer.infer(split)


def _are_of(card: ModelCard, outputs: Outputs, split: str) -> bool:
    told = card.scores.get(f"{split}/loss")
    if told is None or outputs.classes != card.classes:
        return False
    return bool(np.isclose(training_scores(outputs)["loss"], told, rtol=1e-5, atol=1e-9, equal_nan=True))


def _parts(split: str) -> tuple[str, ...]:
    return SPLITS if split == ALL else (split,)


def _channels_first(images: Pixels) -> Pixels:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


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
