"""The maps of what speaks for a class: as large as the picture, the formula's, and at the place that decides."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mlops_cls.card import Architecture, ModelCard, Preprocess
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.models.evidence import find_evidence
from mlops_cls.pictures import Pixels

SMALL_VIT = {"img_size": 32, "patch_size": 4, "embed_dim": 48, "depth": 2, "num_heads": 3}
CORNER = (slice(16, 28), slice(4, 16))  # a seventh of a picture of 32 pixels a side
FAMILIES: dict[str, dict[str, Any]] = {
    "resnet18": {},
    "efficientnet_b0": {},
    "mobilenetv3_small_100": {},
    "convnext_atto": {},
    "vit_tiny_patch16_224": SMALL_VIT,
    "vit_base_patch16_siglip_224": SMALL_VIT | {"img_size": 64},
    "xcit_nano_12_p16_224": {"img_size": 64, "depth": 1},
    "baseline_cnn": {},
    "mini_resnet": {"widths": [8, 16]},
    "two_conv_cnn": {},
}


def make(name: str, size: int, **kwargs: object) -> ImageClassifier:
    torch.manual_seed(0)
    card = ModelCard(
        classes=("across", "down"),
        preprocess=Preprocess(size=size, mean=(0.5,) * 3, std=(0.25,) * 3),
        architecture=Architecture(name=name, kwargs=dict(kwargs)),
    )
    return ImageClassifier(card).eval()


def noise(count: int, size: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_map_of_every_family_has_the_size_of_the_picture(name: str) -> None:
    size = int(FAMILIES[name].get("img_size", 64))
    found = find_evidence(make(name, size, **FAMILIES[name]), noise(3, size), [0, 1, 0])
    assert found.maps.shape == (3, size, size)
    assert np.isfinite(found.maps).all()
    assert (found.maps >= 0).all()


@pytest.mark.parametrize(
    ("name", "kwargs", "method"),
    [
        ("resnet18", {}, "Grad-CAM at layer2"),  # whose 8x8 cells say more than the 2x2 of layer4
        ("vit_tiny_patch16_224", SMALL_VIT, "gradient-weighted attention"),
        ("vit_base_patch16_siglip_224", FAMILIES["vit_base_patch16_siglip_224"], "gradient times input"),
        ("xcit_nano_12_p16_224", FAMILIES["xcit_nano_12_p16_224"], "gradient times input"),
    ],
)
def test_a_network_is_explained_by_what_it_has(name: str, kwargs: dict[str, object], method: str) -> None:
    size = int(str(kwargs.get("img_size", 64)))
    assert find_evidence(make(name, size, **kwargs), noise(1, size), [0]).method == method


def test_grad_cam_is_the_class_activation_map_of_a_network_with_one_linear_layer() -> None:
    """Selvaraju et al. 2017, section 3.1: where a mean over the map goes into one layer, both are the same."""
    classifier, images = make("mini_resnet", 32, widths=[8, 16]), noise(2, 32)
    found = find_evidence(classifier, images, [1, 0])
    network = classifier.network
    blocks, head = network.get_submodule("blocks"), network.get_submodule("head")
    assert isinstance(blocks, nn.Sequential) and isinstance(head, nn.Linear)
    with torch.no_grad():
        given = classifier.normalise(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
        features = blocks[:-1](given)
        weights = head.weight[[1, 0]][:, :, None, None] / features[0, 0].numel()
        expected = F.interpolate((weights * features).sum(1, keepdim=True).relu(), (32, 32), mode="bicubic")
    np.testing.assert_allclose(found.maps, expected[:, 0].clamp(min=0), atol=1e-6)


def test_attention_is_fused_again_after_it_was_looked_at() -> None:
    classifier = make("vit_tiny_patch16_224", 32, **SMALL_VIT)
    fused = [getattr(module, "fused_attn", None) for module in classifier.network.modules()]
    find_evidence(classifier, noise(1, 32), [0])
    assert [getattr(module, "fused_attn", None) for module in classifier.network.modules()] == fused
    assert not any(module._forward_hooks for module in classifier.network.modules())


def test_a_frozen_network_is_explained_too_and_keeps_no_gradients() -> None:
    classifier = make("baseline_cnn", 32, widths=[8, 16]).requires_grad_(False)
    with torch.no_grad():
        assert find_evidence(classifier, noise(1, 32), [0]).maps.shape == (1, 32, 32)
    assert all(weight.grad is None for weight in classifier.parameters())


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("baseline_cnn", {"widths": [16, 32]}),
        ("vit_tiny_patch16_224", SMALL_VIT),
    ],
    ids=["map", "token"],
)
def test_the_map_lies_where_the_class_is_decided(name: str, kwargs: dict[str, object]) -> None:
    """The class is the direction of the stripes in one corner: there the map is three times as high as on average."""
    classifier = make(name, 32, **kwargs)
    draw = _corner_stripes()
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=3e-3)
    classifier.train()
    for step in range(80):
        images, labels = draw(step)
        loss = F.cross_entropy(classifier(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    images, labels = draw(1000)
    maps = find_evidence(classifier, images, labels.tolist()).maps.mean(0)
    assert maps[CORNER].mean() > 3 * maps.mean()


def _corner_stripes() -> Callable[[int], tuple[Pixels, torch.Tensor]]:
    stripes = np.tile([[0], [0], [255], [255]], (3, 12)).astype(np.uint8)

    def draw(seed: int) -> tuple[Pixels, torch.Tensor]:
        images = noise(16, 32, seed) // 8 + 112
        labels = np.random.default_rng(seed).integers(0, 2, 16)
        for image, label in zip(images, labels, strict=True):
            image[CORNER] = (stripes.T if label else stripes)[..., None]
        return images, torch.from_numpy(labels)

    return draw
