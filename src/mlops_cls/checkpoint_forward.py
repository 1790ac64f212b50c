"""The forward pass of a `Predictor` from a checkpoint; apart, so that the predictor itself needs no torch."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mlops_cls.card import ModelCard
from mlops_cls.choices import Device
from mlops_cls.config import RuntimeConfig
from mlops_cls.errors import unknown_name
from mlops_cls.evaluation.collect import logits_of
from mlops_cls.evaluation.outputs import probabilities_of
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.pictures import Pixels
from mlops_cls.runtime import Runtime


def load_forward(checkpoint: Path, device: str) -> tuple[ModelCard, Callable[[Pixels], NDArray[np.float32]]]:
    """Return a checkpoint's card and its function from uint8[B,C,H,W] to calibrated probabilities float32[B,K]."""
    if device not in list(Device):
        raise unknown_name("device", device, list(Device))
    place = Runtime.resolve(RuntimeConfig(device=Device(device))).torch_device
    classifier = ImageClassifier.from_checkpoint(checkpoint).to(place)

    def forward(images: Pixels) -> NDArray[np.float32]:
        logits = logits_of(classifier, torch.from_numpy(images).to(place)).numpy()
        return probabilities_of(logits, classifier.card.calibration.temperature)

    return classifier.card, forward
