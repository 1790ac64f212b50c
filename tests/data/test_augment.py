"""Augmentation is what was asked for, the same for the same seed, and for training pictures only."""

import pickle
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from mlops_cls.compose import config_folder, load_config
from mlops_cls.data.augment import Augment
from mlops_cls.data.datamodules import DigitsDataModule
from mlops_cls.data.manifest import Plan
from mlops_cls.data.sampling import MIRROR
from mlops_cls.errors import ConfigError
from mlops_cls.pictures import Pixels

MOVED = {"name": "Affine", "translate_percent": [-0.2, 0.2], "rotate": [-30, 30], "scale": [0.8, 1.2], "p": 1.0}
NOISY = {"name": "GaussNoise", "p": 1.0}
LEFT_RIGHT = {"name": "HorizontalFlip", "p": 1.0}
UP_DOWN = {"name": "VerticalFlip", "p": 1.0}


def noise(channels: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (28, 28, channels)).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_flip_is_no_flip(channels: int) -> None:
    picture = noise(channels)
    np.testing.assert_array_equal(Augment([LEFT_RIGHT])(picture, 0), picture[:, ::-1])
    np.testing.assert_array_equal(Augment([LEFT_RIGHT, UP_DOWN])(picture, 0), picture[::-1, ::-1])
    np.testing.assert_array_equal(Augment([LEFT_RIGHT | {"p": 0.0}])(picture, 0), picture)
    np.testing.assert_array_equal(picture, noise(channels))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "transforms",
    [
        [MOVED],
        [NOISY],
        [LEFT_RIGHT, MOVED, {"name": "RandomBrightnessContrast", "brightness_limit": 0.2, "p": 1.0}],
        [{"name": "CoarseDropout", "p": 1.0}, {"name": "GaussianBlur", "p": 1.0}],
        [{"name": "OneOf", "transforms": [MOVED, NOISY], "p": 1.0}],
    ],
    ids=["moved", "noisy", "chain", "holes and blur", "one of"],
)
def test_a_draw_changes_shape_type_or_between_calls(transforms: Sequence[Mapping[str, Any]], channels: int) -> None:
    augment, another = Augment(transforms), Augment(transforms)
    picture = noise(channels)
    draws = [augment(picture, seed) for seed in range(8)]
    assert {(draw.shape, draw.dtype.name) for draw in draws} == {(picture.shape, "uint8")}
    assert len({draw.tobytes() for draw in draws}) == 8
    for seed in (5, 0):  # in another order, and from another chain
        np.testing.assert_array_equal(another(picture, seed), draws[seed])


POLICIES = sorted(path.stem for path in (config_folder() / "augment").glob("*.yaml") if path.stem != "none")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("policy", POLICIES)
def test_shipped_policy_breaks_on_grey_or_repeats_itself(policy: str, channels: int) -> None:
    augment = Augment(load_config(f"augment={policy}").augment.transforms)
    picture = noise(channels)
    draws = [augment(picture, seed) for seed in range(20)]
    assert {(draw.shape, draw.dtype.name) for draw in draws} == {(picture.shape, "uint8")}
    assert len({draw.tobytes() for draw in draws}) > 10
    np.testing.assert_array_equal(augment(picture, 3), draws[3])


def test_one_of_applies_both_or_always_the_same() -> None:
    augment = Augment([{"name": "OneOf", "transforms": [LEFT_RIGHT, UP_DOWN], "p": 1.0}])
    picture = noise(3)
    choices = {picture[:, ::-1].tobytes(), picture[::-1].tobytes()}
    assert {augment(picture, seed).tobytes() for seed in range(20)} == choices


def test_nesting_stops_at_the_second_level() -> None:
    both = {"name": "Sequential", "transforms": [LEFT_RIGHT, UP_DOWN], "p": 1.0}
    augment = Augment([{"name": "OneOf", "transforms": [both], "p": 1.0}])
    picture = noise(1)
    np.testing.assert_array_equal(augment(picture, 0), picture[::-1, ::-1])
    some = Augment([{"name": "SomeOf", "transforms": [LEFT_RIGHT, UP_DOWN], "n": 2, "p": 1.0}])
    np.testing.assert_array_equal(some(picture, 0), picture[::-1, ::-1])


def test_the_callers_settings_are_changed() -> None:
    transforms = [{"name": "OneOf", "transforms": [dict(MOVED)], "p": 1.0}]
    Augment(transforms)
    assert transforms == [{"name": "OneOf", "transforms": [dict(MOVED)], "p": 1.0}]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "HorizontalFlp"}, "HorizontalFlp is not in albumentations; did you mean 'HorizontalFlip'"),
        ({"name": "Compression"}, "Compression is not in albumentations"),
        ({"name": "os"}, "name=os is not in albumentations"),
        ({"p": 0.5}, "name=None is not in albumentations"),
        (MOVED | {"rotat": 3}, r"Affine has no rotat; did you mean 'rotate'\? \(Affine has: .*translate_percent"),
        ({"name": "HorizontalFlip", "prob": 1}, r"HorizontalFlip has no prob \(HorizontalFlip has: p\)"),
        ({"name": "OneOf", "transforms": [LEFT_RIGHT | {"q": 1}]}, "HorizontalFlip has no q"),
        ({"name": "OneOf", "transforms": [{"name": "VertcalFlip"}]}, "did you mean 'VerticalFlip'"),
        ({"name": "OneOf", "transforms": ["VerticalFlip"]}, "'VerticalFlip' is no mapping; write {name: VerticalFlip}"),
        ({"name": "OneOf"}, "OneOf refuses"),
        ({"name": "AlternatingFlip", "p": 0.5}, r"AlternatingFlip has no p \(AlternatingFlip has: no arguments"),
        ({"name": "OneOf", "transforms": [{"name": "AlternatingFlip"}]}, "is inside OneOf: it belongs at the top"),
        ({"name": "HorizontalFlip", "p": 2.0}, "HorizontalFlip refuses"),
        ({"name": "Affine", "scale": "large"}, "Affine refuses"),
    ],
    ids=str,
)
def test_a_misspelt_transform_or_argument_is_left_out(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"augment\.transforms: .*{message}"):
        Augment([spec])


@pytest.mark.parametrize(
    ("spec", "became"),
    [
        ({"name": "Normalize"}, r"float32\[28, 28, 3\]"),
        ({"name": "Resize", "height": 9, "width": 9}, r"uint8\[9, 9, 3\]"),
    ],
)
def test_a_transform_feeds_the_network_another_size_or_type(spec: dict[str, Any], became: str) -> None:
    with pytest.raises(ConfigError, match=rf"turn uint8\[28, 28, 3\] into {became}; only transforms that keep"):
        Augment([spec])(noise(3), 0)


def test_a_chain_draws_otherwise_in_another_process() -> None:
    augment = Augment([{"name": "AlternatingFlip"}, MOVED, NOISY])
    copy = pickle.loads(pickle.dumps(augment))
    for seed in (7, 7 + MIRROR):
        np.testing.assert_array_equal(copy(noise(3), seed), augment(noise(3), seed))


def test_pictures_to_be_scored_are_augmented(tmp_path: Path) -> None:
    options = {"plan": Plan(size=8, subsample=0.1), "store": tmp_path, "workers": 0, "batch_size": 20}
    data = DigitsDataModule(augment=[NOISY], **options)
    for split, loader in (("val", data.val_dataloader()), ("test", data.test_dataloader())):
        pixels = np.concatenate([images.permute(0, 2, 3, 1).numpy() for images, _ in loader])
        np.testing.assert_array_equal(pixels, data.prepared.images(split))
    stored = {picture.tobytes() for picture in data.prepared.images("train")}
    drawn = [picture.numpy().tobytes() for images, _ in data.train_dataloader() for picture in images]
    assert len(drawn) > 100
    assert not stored & set(drawn)


def test_two_transforms_of_equal_probability_always_act_together() -> None:
    augment = Augment(({"name": "HorizontalFlip", "p": 0.5}, {"name": "VerticalFlip", "p": 0.5}))
    picture = np.arange(4, dtype=np.uint8).reshape(2, 2, 1)
    drawn = Counter(augment(picture, seed).tobytes() for seed in range(4000))
    assert len(drawn) == 4
    assert chisquare(list(drawn.values())).pvalue > 1e-4


def test_neighbouring_seeds_draw_alike() -> None:
    augment = Augment(({"name": "GaussNoise", "std_range": [0.2, 0.2], "p": 1.0},))
    grey = np.full((8, 8, 1), 128, np.uint8)
    # Not the first pixel, to which OpenCV's generator gives no noise.
    first = np.array([augment(grey, seed)[-1, -1, 0] for seed in range(2000)], np.float64)
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.1
    assert kstest((first - 128) / first.std(), "norm").statistic < 0.05
