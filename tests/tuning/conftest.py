"""A small classifier with a batch, and a cache folder of its own for every test."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mlops_cls.card import Architecture, ModelCard, Preprocess
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.tuning.workload import Workload


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("mlops_cls.tuning.cache.user_cache_path", lambda name: tmp_path / name)
    return tmp_path / "mlops_cls"


@pytest.fixture
def make_workload() -> Callable[..., Workload]:
    """Return a function that makes the training step of a network on 16 pictures of noise."""

    def make(name: str = "two_conv_cnn", size: int = 16, **options: bool) -> Workload:
        torch.manual_seed(0)
        preprocess = Preprocess(size=size, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
        card = ModelCard(classes=("a", "b", "c"), preprocess=preprocess, architecture=Architecture(name=name))
        images = torch.randint(0, 256, (16, 3, size, size), dtype=torch.uint8)
        return Workload(ImageClassifier(card), (images, torch.arange(16) % 3), **options)

    return make
