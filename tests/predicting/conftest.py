"""A predictor that needs no training: the brightness of a picture is how sure it is of `light`."""

import numpy as np
import pytest

import mlops_cls as mc
from mlops_cls.card import Architecture, Calibration
from mlops_cls.pictures import Pixels
from mlops_cls.predictor import Predictor


@pytest.fixture
def predictor() -> Predictor:
    card = mc.ModelCard(
        classes=("dark", "light", "neither"),
        preprocess=mc.Preprocess(size=8, mean=(0.5,) * 3, std=(0.5,) * 3),
        architecture=Architecture(name="by hand"),
        attributes={"is_day": {"dark": False, "light": True, "neither": False}},
        calibration=Calibration(threshold=0.7, target=0.9),
    )

    def forward(images: Pixels) -> tuple[np.ndarray, None]:
        bright = images.reshape(len(images), -1).mean(1, dtype=np.float32) / 255
        return np.stack([1 - bright, bright, 0 * bright], axis=1), None

    return Predictor(card, forward)
