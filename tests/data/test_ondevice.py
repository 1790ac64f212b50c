"""Batches are augmented on the device as albumentations would augment each picture, given the same parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from mlops_cls.compose import config_folder, load_config
from mlops_cls.data.augment import Augment
from mlops_cls.data.ondevice.chain import OPERATIONS, BatchAugment
from mlops_cls.data.ondevice.uniforms import Uniforms
from mlops_cls.data.sampling import MIRROR
from mlops_cls.errors import ConfigError

Specs = Sequence[Mapping[str, Any]]
SIDE = 32


def scene(channels: int = 3) -> np.ndarray:
    """Return a smooth picture without symmetry, uint8[H,W,C], no pixel of which is black or white."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    blob = 90 * np.exp(-((x - 0.3) ** 2 + (y - 0.6) ** 2) / 0.03)
    shades = [60 + 40 * x + 20 * y + blob, 50 + 60 * y + 0.7 * blob, 80 + 30 * x * y + 0.4 * blob]
    return np.stack(shades[:channels], -1).astype(np.uint8)


def batch_of(picture: np.ndarray, number: int = 1) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1).expand(number, -1, -1, -1)


def by_device(specs: Specs, picture: np.ndarray, seeds: Sequence[int]) -> np.ndarray:
    drawn = BatchAugment(Augment(specs))(batch_of(picture, len(seeds)), torch.tensor(seeds))
    assert drawn.dtype == torch.uint8
    assert drawn.is_contiguous(memory_format=torch.channels_last)
    return drawn.permute(0, 2, 3, 1).numpy()


def difference(specs: Specs, picture: np.ndarray) -> np.ndarray:
    return abs(Augment(specs)(picture, 0).astype(int) - by_device(specs, picture, [0])[0])


def affine(**settings: Any) -> Specs:
    return [{"name": "Affine", "p": 1.0} | settings]


def light(**settings: Any) -> Specs:
    nothing = {"brightness_limit": [0, 0], "contrast_limit": [0, 0]}
    return [{"name": "RandomBrightnessContrast", "p": 1.0} | nothing | settings]


def jitter(**settings: Any) -> Specs:
    nothing = {"brightness": [1, 1], "contrast": [1, 1], "saturation": [1, 1], "hue": [0, 0]}
    return [{"name": "ColorJitter", "p": 1.0} | nothing | settings]


WHOLE = {"hole_height_range": [SIDE, SIDE], "hole_width_range": [SIDE, SIDE]}
EXACT: Mapping[str, Specs] = {
    "left and right": [{"name": "HorizontalFlip", "p": 1.0}],
    "up and down": [{"name": "VerticalFlip", "p": 1.0}],
    "never": [{"name": "HorizontalFlip", "p": 0.0}, {"name": "Affine", "rotate": 90, "p": 0.0}],
    "moved": affine(translate_px={"x": 3, "y": -5}),
    "moved by parts": affine(translate_percent={"x": -0.2, "y": 0.3}, fill=77),
    "quarter turn": affine(rotate=90),
    "whole crop": [{"name": "RandomResizedCrop", "size": [SIDE, SIDE], "scale": [1, 1], "ratio": [1, 1]}],
    "no rim": [{"name": "Pad", "padding": 0}, {"name": "RandomCrop", "height": SIDE, "width": SIDE}],
    "whole hole": [{"name": "CoarseDropout", "fill": 9, "p": 1.0} | WHOLE],
}
NEAR: Mapping[str, Specs] = {
    **{
        f"turned {mode}": affine(
            rotate=33,
            scale={"x": 0.7, "y": 1.3},
            shear={"x": 12, "y": -7},
            translate_percent=0.1,
            border_mode=mode,
            fill=40,
        )
        for mode in (0, 1, 2, 4)
    },
    "small": affine(scale=0.4, border_mode=4),
    "large": affine(scale=[2.5, 2.5], keep_ratio=True),
    "wide crop": [{"name": "RandomResizedCrop", "size": [SIDE, SIDE], "scale": [1, 1], "ratio": [2, 2]}],
    "dark": light(brightness_limit=[-0.31, -0.31], contrast_limit=[0.4, 0.4]),
    "light by mean": light(brightness_limit=[0.3, 0.3], brightness_by_max=False),
    "bright": jitter(brightness=[1.4, 1.4]),
    "flat": jitter(contrast=[0.4, 0.4]),
    "pale": jitter(saturation=[0.2, 0.2]),
    "tinted": jitter(hue=[0.13, 0.13]),
    "tinted back": jitter(hue=[-0.4, -0.4]),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", EXACT)
def test_a_forced_change_differs_from_albumentations(name: str, channels: int) -> None:
    assert difference(EXACT[name], scene(channels)).max() == 0


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NEAR)
def test_an_interpolated_or_coloured_picture_differs_visibly_from_albumentations(name: str, channels: int) -> None:
    apart = difference(NEAR[name], scene(channels))
    assert apart.mean() < 0.6
    assert apart.max() <= 4
    changed = (by_device(NEAR[name], scene(channels), [0])[0] != scene(channels)).mean()
    assert changed == 0 if channels == 1 and name in ("pale", "tinted", "tinted back") else changed > 0.5


@pytest.mark.parametrize("mode", range(5))
@pytest.mark.parametrize(
    "size",
    [
        {"name": "Pad", "padding": 5},
        {"name": "Pad", "padding": [7, 2]},
        {"name": "Pad", "padding": [1, 2, 3, 40]},
        {"name": "PadIfNeeded", "min_height": SIDE + 11, "min_width": SIDE},
        {
            "name": "PadIfNeeded",
            "min_height": None,
            "min_width": None,
            "pad_height_divisor": 7,
            "pad_width_divisor": 16,
        },
    ],
    ids=str,
)
def test_a_rim_differs_from_albumentations(size: dict[str, Any], mode: int) -> None:
    augment = Augment([size | {"border_mode": mode, "fill": 5}])
    ((pad, _),) = BatchAugment(augment).steps
    rimmed = pad(batch_of(scene()), Uniforms(torch.tensor([0])))[0].permute(1, 2, 0)
    np.testing.assert_array_equal(rimmed, augment.transforms[0](image=scene())["image"])


CHAIN: Specs = [
    {"name": "AlternatingFlip"},
    {"name": "Pad", "padding": 4, "border_mode": 4},
    {"name": "RandomCrop", "height": SIDE, "width": SIDE},
    *affine(rotate=[-30, 30], scale=[0.7, 1.3], shear=[-8, 8], translate_percent=[-0.1, 0.1], border_mode=2),
    {"name": "RandomResizedCrop", "size": [SIDE, SIDE], "p": 0.5},
    {"name": "D4", "p": 0.5},
    {"name": "ColorJitter", "p": 0.9},
    {"name": "RandomBrightnessContrast", "p": 0.5},
    {"name": "CoarseDropout", "num_holes_range": [1, 3], "fill": "random", "p": 0.7},
    {"name": "Erasing", "fill": "random_uniform", "p": 0.5},
    {"name": "GaussNoise", "p": 0.5},
]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_draw_depends_on_batch_or_place(channels: int) -> None:
    seeds = [3, 2**32 - 1, 0, 7 + MIRROR, 3, *range(100, 160)]
    whole = by_device(CHAIN, scene(channels), seeds)
    np.testing.assert_array_equal(by_device(CHAIN, scene(channels), seeds[::-1]), whole[::-1])
    alone = [by_device(CHAIN, scene(channels), [seed])[0] for seed in seeds]
    np.testing.assert_array_equal(alone, whole)
    assert len({picture.tobytes() for picture in whole}) == len(seeds) - 1  # one seed is there twice


def test_a_picture_is_mirrored_twice_in_a_row() -> None:
    for draw in (lambda *given: Augment(given[0])(given[1], given[2][0]), lambda *given: by_device(*given)[0]):
        flip = [{"name": "AlternatingFlip"}]
        np.testing.assert_array_equal(draw(flip, scene(), [5]), scene())
        np.testing.assert_array_equal(draw(flip, scene(), [5 + MIRROR]), scene()[:, ::-1])


def test_the_mirror_changes_what_else_is_drawn() -> None:
    one, other = by_device([{"name": "GaussNoise", "p": 1.0}], scene(), [5, 5 + MIRROR])
    np.testing.assert_array_equal(one, other)
    noisy = Augment([{"name": "GaussNoise", "p": 1.0}])
    np.testing.assert_array_equal(noisy(scene(), 5), noisy(scene(), 5 + MIRROR))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "CLAHE"}, "CLAHE can only be drawn by albumentations"),
        ({"name": "OneOf", "transforms": [{"name": "VerticalFlip"}]}, "OneOf can only be drawn"),
        ({"name": "Affine", "border_mode": 3}, "Affine with border_mode=3 can only"),
        ({"name": "Affine", "balanced_scale": True}, "Affine with balanced_scale=True"),
        ({"name": "Affine", "interpolation": 2}, "Affine with interpolation=2"),
        ({"name": "CoarseDropout", "fill": "inpaint_ns"}, "CoarseDropout with fill=inpaint_ns"),
        ({"name": "GaussNoise", "noise_scale_factor": 0.5}, "GaussNoise with noise_scale_factor=0.5"),
        ({"name": "PadIfNeeded", "position": "random"}, "PadIfNeeded with position=random"),
        ({"name": "RandomBrightnessContrast", "ensure_safe_range": True}, "ensure_safe_range=True"),
    ],
    ids=str,
)
def test_a_transform_without_translation_is_left_out(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"{message}.* set augment.where=worker .*{', '.join(OPERATIONS)}"):
        BatchAugment(Augment([{"name": "HorizontalFlip"}, spec]))


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ([{"name": "Pad", "padding": 2}], r"turn \[32, 32\] into \[36, 36\]; only such that keep the size"),
        ([{"name": "RandomCrop", "height": 40, "width": 9}], "cannot take 40x9 out of 32x32: put {name: Pad"),
        ([{"name": "RandomCrop", "height": 9, "width": 9, "p": 0.5}], "it needs p: 1.0"),
    ],
)
def test_the_network_gets_pictures_of_another_size(specs: Specs, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        by_device(specs, scene(), [0, 1])


POLICIES = sorted(path.stem for path in (config_folder() / "augment").glob("*.yaml") if path.stem != "none")


@pytest.mark.parametrize("policy", POLICIES)
def test_a_shipped_policy_loses_its_translation(policy: str) -> None:
    augment = Augment(load_config(f"augment={policy}").augment.transforms)
    if policy in ("dog_breed", "randaugment"):  # for OneOf and SomeOf
        with pytest.raises(ConfigError, match=r"(OneOf|SomeOf) can only be drawn by albumentations"):
            BatchAugment(augment)
    else:
        assert len(BatchAugment(augment).steps) == len(augment.transforms)
