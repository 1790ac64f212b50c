"""The forward pass of a `Predictor` from a checkpoint; apart, so that the predictor itself needs no torch."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlops_cls.card import ModelCard
from mlops_cls.choices import Device
from mlops_cls.config import RuntimeConfig
from mlops_cls.errors import ConfigError, unknown_name
from mlops_cls.evaluation.collect import logits_of
from mlops_cls.evaluation.outputs import probabilities_of
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.models.features import inputs_of
from mlops_cls.models.networks import classifier_of
from mlops_cls.pictures import Pixels
from mlops_cls.runtime import Runtime

Answers = tuple[NDArray[np.float32], NDArray[np.float32] | None]


def load_forward(checkpoint: Path, device: str) -> tuple[ModelCard, Callable[[Pixels], Answers]]:
    """Return a checkpoint's card, and its function from uint8[B,C,H,W] to what a predictor's `Answers` hold.

    These are calibrated probabilities float32[B,K] and, of a network with a layer that classifies, what that is given.
    """
    if device not in list(Device):
        raise unknown_name("device", device, list(Device))
    place = Runtime.resolve(RuntimeConfig(device=Device(device))).torch_device
    classifier = ImageClassifier.from_checkpoint(checkpoint).to(place)
    alone = Lock()  # A hook hears what the network is given in any thread.

    def forward(images: Pixels) -> Answers:
        with alone, _embeddings(classifier) as given:
            logits = logits_of(classifier, torch.from_numpy(images).to(place)).numpy()
        probabilities = probabilities_of(logits, classifier.card.calibration.temperature)
        return probabilities, given[-1].flatten(1).float().cpu().numpy() if given else None

    return classifier.card, forward


def _embeddings(classifier: ImageClassifier) -> AbstractContextManager[list[Tensor]]:
    try:
        return inputs_of(classifier_of(classifier.network))
    except ConfigError:
        return nullcontext([])
