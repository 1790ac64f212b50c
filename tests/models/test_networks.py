"""Networks by name: ours for any size of picture, timm's with their own wishes, and names that do not exist."""

import re
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import timm
import torch
from timm.models import group_parameters
from torch import nn

from mlops_cls.card import Architecture
from mlops_cls.errors import ConfigError
from mlops_cls.models.finetune import set_frozen
from mlops_cls.models.networks import (
    OURS,
    check_name,
    check_published,
    fit_to_size,
    make_network,
    pretrained_preprocess,
)

# A transformer that is small enough for a test.
TINY_VIT = Architecture(name="vit_tiny_patch16_224", kwargs={"embed_dim": 24, "depth": 2, "num_heads": 2})
ours = pytest.mark.parametrize("name", ["baseline_cnn", "mini_resnet", "two_conv_cnn"])


def build(name: str, *, channels: int = 1, **settings: Any) -> nn.Module:
    return make_network(Architecture(name=name, **settings), num_classes=5, channels=channels)


@ours
def test_our_networks_are_found_by_timm_like_its_own(name: str) -> None:
    assert name in timm.list_models()
    assert name in OURS
    assert isinstance(timm.create_model(name, num_classes=4, in_chans=1), nn.Module)


@ours
@pytest.mark.parametrize("channels", [1, 3])
def test_our_networks_take_pictures_of_any_size(name: str, channels: int) -> None:
    network = build(name, channels=channels)
    for size in (1, 7, 28, 32, 65):
        logits = network(torch.rand(2, channels, size, size))
        assert logits.shape == (2, 5)
        assert torch.isfinite(logits).all(), size


@ours
def test_our_networks_take_pictures_that_are_not_square(name: str) -> None:
    assert build(name)(torch.rand(2, 1, 9, 33)).shape == (2, 5)


@ours
def test_gradient_reaches_every_parameter_of_our_networks(name: str) -> None:
    network = build(name)
    network(torch.rand(4, 1, 16, 16)).square().sum().backward()
    without = [key for key, parameter in network.named_parameters() if parameter.grad is None]
    assert without == []


@ours
def test_head_of_our_networks_can_be_replaced_and_taken_off(name: str) -> None:
    network, images = build(name), torch.rand(2, 1, 16, 16)
    network.reset_classifier(9)
    assert network(images).shape == (2, 9)
    assert network.num_classes == network.get_classifier().out_features == 9
    network.reset_classifier(0)
    assert network(images).shape == (2, network.num_features)


@ours
def test_features_and_head_of_our_networks_together_are_the_network(name: str) -> None:
    network, images = build(name).eval(), torch.rand(2, 1, 16, 16)
    features = network.forward_features(images)
    torch.testing.assert_close(network.forward_head(features), network(images))
    assert network.forward_head(features, pre_logits=True).shape == (2, network.num_features)


@ours
def test_layers_of_our_networks_hold_every_parameter_once_in_the_order_of_the_forward_pass(name: str) -> None:
    network = build(name)
    layers = group_parameters(network, network.group_matcher())
    names = [key for layer in layers.values() for key in layer]
    assert names == [key for key, _ in network.named_parameters()]
    assert list(layers.values())[-1] == ["head.weight", "head.bias"]
    assert all(re.match(r"blocks\.\d+\.", key) for key in names[:-2])


@ours
def test_published_facts_of_our_networks_name_layers_that_exist(name: str) -> None:
    network = build(name)
    facts = network.pretrained_cfg
    assert isinstance(network.get_submodule(facts["first_conv"]), nn.Conv2d)
    assert network.get_submodule(facts["classifier"]) is network.get_classifier()


@pytest.mark.parametrize("name", [*OURS, "resnet10t"])
def test_dropout_before_the_last_layer_is_as_strong_as_asked(name: str) -> None:
    network = build(name, drop_rate=0.5).train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    images = torch.rand(1, 1, 32, 32)
    assert not torch.equal(network(images), network(images))
    assert torch.equal(network.eval()(images), network(images))


@pytest.mark.parametrize("channels", [1, 3])
def test_network_of_timm_has_the_classes_and_channels_of_the_data(channels: int) -> None:
    network = build("resnet10t", channels=channels)
    assert network(torch.rand(2, channels, 32, 32)).shape == (2, 5)


@pytest.mark.parametrize("size", [16, 28, 64])
def test_transformer_is_built_for_the_size_of_the_data(size: int) -> None:
    architecture = fit_to_size(TINY_VIT, size)
    assert architecture.kwargs == {**TINY_VIT.kwargs, "img_size": size}
    network = make_network(architecture, num_classes=5, channels=1)
    assert network(torch.rand(2, 1, size, size)).shape == (2, 5)


def test_size_that_was_asked_for_is_kept() -> None:
    asked = Architecture(name="vit_tiny_patch16_224", kwargs={"img_size": 32})
    assert fit_to_size(asked, 64) == asked


@pytest.mark.parametrize("name", [*OURS, "resnet10t"])
def test_network_for_any_size_is_told_none(name: str) -> None:
    assert fit_to_size(Architecture(name=name), 64) == Architecture(name=name)


def test_small_stem_keeps_every_pixel_that_the_usual_stem_skips() -> None:
    tiny = {"layers": [1, 1, 1, 1], "channels": [8, 16, 32, 64]}
    usual, small = (build("resnet18", kwargs=tiny, small_stem=stem).eval() for stem in (False, True))
    images = torch.rand(2, 1, 28, 28)
    assert usual.conv1(images).shape[-2:] == (14, 14)
    assert small.conv1(images).shape == (2, 64, 28, 28)
    assert small(images).shape == (2, 5)


@pytest.mark.parametrize("name", ["baseline_cnn", "resnet10t", "mobilenetv3_small_050"])
def test_small_stem_is_refused_for_a_network_without_a_stem_to_shrink(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"model\.small_stem=true: {name} has no"):
        build(name, small_stem=True)


def test_widths_of_our_networks_cannot_be_changed() -> None:
    network = build("baseline_cnn", kwargs={"widths": [4, 8, 12]})
    assert network.get_classifier().in_features == 12
    assert len(network.blocks) == 4


@pytest.mark.parametrize("name", ["resnet10t", "efficientnet_lite0", "convnext_atto", "baseline_cnn"])
def test_head_of_two_layers_is_what_freezing_leaves_to_train(name: str) -> None:
    network = build(name, head_width=7)
    linear, act, last = network.get_classifier()
    assert (linear.out_features, type(act), last.in_features, last.out_features) == (7, nn.ReLU, 7, 5)
    set_frozen(network, True)
    trained = {key for key, value in network.named_parameters() if value.requires_grad}
    assert trained == {
        f"{network.default_cfg['classifier']}.{key}" for key in ("0.weight", "0.bias", "2.weight", "2.bias")
    }
    assert network.eval()(torch.rand(2, 1, 32, 32)).shape == (2, 5)


def test_head_width_is_refused_where_there_is_no_single_linear_layer() -> None:
    with pytest.raises(ConfigError, match=r"model\.head_width=8: levit_128s has no single linear"):
        build("levit_128s", channels=3, head_width=8)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("resnet81", "resnet18"), ("baselin_cnn", "baseline_cnn"), ("resnet10t.c3_in2k", "resnet10t.c3_in1k")],
)
def test_unknown_network_is_refused_with_the_nearest_names(name: str, nearest: str) -> None:
    for refuse in (check_name, pretrained_preprocess, build):
        with pytest.raises(ConfigError, match=rf"model\.name={re.escape(name)} is not known; did you mean") as refusal:
            refuse(name)
        assert f"'{nearest}'" in str(refusal.value)


@pytest.mark.parametrize("name", ["resnet10t", "resnet10t.c3_in1k", "baseline_cnn", "baseline_cnn.untrained"])
def test_network_is_known_with_and_without_the_tag_of_its_weights(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("kwargs", [{"drop_pathrate": 0.1}, {"output_stride": 7}, {"block": "basic"}])
def test_argument_that_a_network_does_not_take_is_refused(kwargs: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"model\.kwargs: resnet10t refuses an argument: .+"):
        build("resnet10t", kwargs=kwargs)


@pytest.mark.parametrize(
    "key",
    ["num_classes", "in_chans", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path"],
)
def test_argument_that_would_contradict_the_data_or_load_a_file_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"model\.kwargs cannot set {key}:"):
        build("resnet10t", kwargs={key: 1})


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave the hub unreachable, and nothing of it in the cache."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # The hub's client reads the environment once, when it is imported.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", ["resnet10t", "resnet10t.c3_in1k", "baseline_cnn"])
def test_published_weights_that_cannot_be_had_are_refused_with_another_way(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"published weights of {name} could not be had.*model\.weights=FILE"):
        make_network(Architecture(name=name), num_classes=5, channels=3, pretrained=True)


@pytest.mark.parametrize("name", ["baseline_cnn", "cspresnet50d"])
def test_network_whose_weights_were_never_published_is_refused_before_the_run(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"no published weights of {name}; use model\.weights=FILE"):
        check_published(name)


@pytest.mark.parametrize("name", ["resnet10t", "resnet10t.c3_in1k"])
def test_network_whose_weights_were_published_is_not_refused(name: str) -> None:
    check_published(name)


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050", "vit_tiny_patch16_224", *OURS])
def test_pictures_for_published_weights_are_prepared_as_timm_says(name: str) -> None:
    ours, theirs = pretrained_preprocess(name), timm.data.resolve_model_data_config(timm.create_model(name))
    assert (ours.channels, ours.size, ours.size) == theirs["input_size"]
    assert (ours.crop, ours.interpolation) == (theirs["crop_pct"], theirs["interpolation"])
    assert (ours.mean, ours.std) == (theirs["mean"], theirs["std"])


def test_interpolation_is_that_of_the_published_weights() -> None:
    assert pretrained_preprocess("resnet10t").interpolation == "bicubic"
    assert pretrained_preprocess("resnet18.tv_in1k").interpolation == "bilinear"
