"""What is drawn on the device has the distribution of what albumentations draws."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, ks_2samp, kstest

from mlops_cls.data.augment import Augment
from mlops_cls.data.ondevice.chain import BatchAugment
from mlops_cls.data.ondevice.uniforms import GOLDEN, Uniforms, _signed, _splitmix

SIDE, DRAWS = 24, 500
LEAST = 1e-3
"""Below this p the two samples differ; all are fixed by seeds, so a test that passes once always does."""


def spot() -> np.ndarray:
    """Return a blob off the middle on grey, coloured, uint8[H,W,3]."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    blob = np.exp(-((x - 0.4) ** 2 + (y - 0.55) ** 2) / 0.02)[..., None]
    return (60 + blob * [150, 90, 40]).astype(np.uint8)


def drawn(spec: Mapping[str, object]) -> tuple[np.ndarray, np.ndarray]:
    """Return as many draws by albumentations and on the device, uint8[N,H,W,C] each."""
    augment = Augment([spec])
    batch = torch.from_numpy(spot()).permute(2, 0, 1).expand(DRAWS, -1, -1, -1)
    device = BatchAugment(augment)(batch, torch.arange(DRAWS)).permute(0, 2, 3, 1).contiguous().numpy()
    return np.stack([augment(spot(), seed) for seed in range(DRAWS)]), device


def along(axis: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that finds the middle of what is bright, in pixels along an axis."""

    def middle(pictures: np.ndarray) -> np.ndarray:
        weights = pictures.sum((3, 3 - axis), dtype=float)
        weights -= weights.min(1, keepdims=True) - 1
        return weights @ np.arange(SIDE) / weights.sum(1)

    return middle


MEASURES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "light": lambda pictures: pictures.mean((1, 2, 3)),
    "contrast": lambda pictures: pictures.std((1, 2, 3)),
    "red": lambda pictures: pictures[..., 0].mean((1, 2)) - pictures[..., 1].mean((1, 2)),
    "blue": lambda pictures: pictures[..., 2].mean((1, 2)) - pictures[..., 1].mean((1, 2)),
    "across": along(2),
    "down": along(1),
    # Not the first: there the noise of albumentations is not normal, for OpenCV's generator starts badly.
    "corner": lambda pictures: pictures[:, -1, -1].mean(1),
    "dark": lambda pictures: (pictures.max(3) < 40).mean((1, 2)),
    "noise": lambda pictures: abs(np.diff(pictures.astype(int), axis=2)).mean((1, 2, 3)),
}
SPECS = [
    {"name": "HorizontalFlip", "p": 0.3},
    {"name": "D4", "p": 0.8},
    {"name": "Affine", "translate_percent": [-0.3, 0.2], "p": 0.7},
    {"name": "Affine", "translate_px": {"x": [-2, 4], "y": [0, 1]}, "p": 1.0},
    {"name": "Affine", "rotate": [-60, 20], "p": 1.0},
    {"name": "Affine", "scale": [0.5, 1.8], "border_mode": 4, "p": 1.0},
    {"name": "Affine", "scale": [0.5, 1.8], "keep_ratio": True, "p": 1.0},
    {"name": "Affine", "scale": {"x": [0.5, 1.0], "y": [1.0, 1.5]}, "shear": {"x": [-30, 5], "y": [0, 9]}, "p": 1.0},
    {"name": "Affine", "shear": [-20, 40], "border_mode": 1, "p": 1.0},
    {"name": "RandomResizedCrop", "size": [SIDE, SIDE], "p": 0.9},
    {"name": "RandomResizedCrop", "size": [SIDE, SIDE], "scale": [0.7, 1.0], "ratio": [0.3, 3.0]},
    {"name": "RandomBrightnessContrast", "p": 0.5},
    {"name": "RandomBrightnessContrast", "brightness_limit": [0.1, 0.3], "contrast_limit": 0.7, "p": 1.0},
    {"name": "ColorJitter", "p": 0.6},
    {"name": "ColorJitter", "brightness": [0.2, 3], "contrast": 0.9, "saturation": [0, 3], "hue": [0, 0], "p": 1.0},
    {"name": "CoarseDropout", "p": 0.5},
    {"name": "CoarseDropout", "num_holes_range": [1, 4], "hole_height_range": [2, 9], "hole_width_range": [1, 5]},
    {"name": "CoarseDropout", "hole_height_range": [0.2, 0.5], "fill": "random", "p": 1.0},
    {"name": "CoarseDropout", "fill": "random_uniform", "p": 1.0},
    {"name": "Erasing", "p": 0.7},
    {"name": "Erasing", "scale": [0.05, 0.9], "ratio": [0.2, 1.5], "p": 1.0},
    {"name": "GaussNoise", "p": 0.5},
    {"name": "GaussNoise", "std_range": [0.05, 0.3], "mean_range": [-0.2, 0.1], "per_channel": False, "p": 1.0},
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_device_and_worker_draw_from_other_distributions(spec: Mapping[str, object]) -> None:
    worker, device = drawn(spec)
    for name, measure in MEASURES.items():
        found = ks_2samp(measure(worker).round(6), measure(device).round(6), method="asymp")
        assert found.pvalue > LEAST, (name, found)
    untouched = [int((pictures == spot()).all((1, 2, 3)).sum()) for pictures in (worker, device)]
    assert abs(untouched[0] - untouched[1]) <= 4 * np.sqrt(DRAWS / 2)  # four standard deviations of a difference


def test_a_symmetry_of_the_square_comes_more_often_than_another() -> None:
    _, device = drawn({"name": "D4", "p": 1.0})
    often = np.unique(device.reshape(DRAWS, -1), axis=0, return_counts=True)[1]
    assert len(often) == 8
    assert chisquare(often).pvalue > LEAST


def test_the_test_of_distributions_overlooks_a_wrong_range() -> None:
    worker, _ = drawn({"name": "Affine", "rotate": [-60, 20], "p": 1.0})
    _, device = drawn({"name": "Affine", "rotate": [-20, 60], "p": 1.0})
    assert min(ks_2samp(measure(worker), measure(device)).pvalue for measure in MEASURES.values()) < 1e-9


def test_the_hash_is_not_splitmix() -> None:
    # The first numbers of splitmix64 from seed 1234567, as on rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64.
    states = 1234567 + torch.arange(1, 6) * _signed(GOLDEN)
    expected = (
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    )
    assert [number % 2**64 for number in _splitmix(states).tolist()] == list(expected)


def test_uniforms_of_neighbouring_seeds_or_places_are_alike() -> None:
    numbers = Uniforms(torch.arange(2000)).take(20).numpy()
    assert 0 <= numbers.min() < 1e-3 < 1 - 1e-3 < numbers.max() < 1
    assert kstest(numbers.ravel(), "uniform").pvalue > LEAST
    by_place, by_seed = np.corrcoef(numbers.T), np.corrcoef(numbers[:100])
    assert abs(by_place - np.eye(20)).max() < 0.1
    assert abs(by_seed - np.eye(100)).mean() < 0.25
    assert len(np.unique(numbers)) > 0.99 * numbers.size


def test_whole_numbers_leave_their_range_or_miss_its_ends() -> None:
    uniforms = Uniforms(torch.arange(4000))
    often = np.bincount(uniforms.whole(3, 7).numpy())
    assert len(often) == 8
    assert chisquare(often[3:]).pvalue > LEAST
    assert set(uniforms.whole(0, torch.arange(4000) % 2).tolist()) == {0, 1}


def test_normal_numbers_are_not_normal() -> None:
    numbers = Uniforms(torch.arange(500)).normal(7).numpy()
    assert numbers.shape == (500, 7)
    assert kstest(numbers.ravel(), "norm").pvalue > LEAST
