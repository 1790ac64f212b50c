"""What is measured of a picture, against the same by other libraries, and by what each number should answer to."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter
from scipy.stats import entropy

from mlops_cls.monitoring import statistics
from mlops_cls.monitoring.statistics import LOOKS, SIZES, measure
from mlops_cls.pictures import Pixels


def scene(size: int = 48, *, seed: int = 0) -> Pixels:
    """Return a picture with edges and areas, uint8[size,size,3]."""
    blocks = np.random.default_rng(seed).integers(0, 256, (size // 8, size // 8, 3)).astype(np.uint8)
    return np.kron(blocks, np.ones((8, 8, 1), np.uint8))


def of_one(picture: Pixels) -> dict[str, float]:
    return {name: float(values[0]) for name, values in measure(picture[None], [(1, 1)]).items()}


def of_image(image: Image.Image) -> dict[str, float]:
    return of_one(np.asarray(image))


@pytest.mark.parametrize("channels", [1, 3])
def test_numbers_are_not_those_that_other_libraries_give(channels: int) -> None:
    picture = scene()[..., :channels]
    exact = picture[..., 0].astype(float) if channels == 1 else picture @ np.array([0.299, 0.587, 0.114])
    found = of_one(picture)
    assert found["brightness"] == pytest.approx(exact.mean(), rel=1e-5)
    assert found["contrast"] == pytest.approx(exact.std(), rel=1e-5)
    # OpenCV's Laplacian has the same four neighbours, and the same picture beyond the edge by BORDER_REPLICATE.
    laplacian = cv2.Laplacian(exact, cv2.CV_64F, ksize=1, borderType=cv2.BORDER_REPLICATE)
    assert found["sharpness"] == pytest.approx(laplacian.var(), rel=1e-4)
    histogram = np.bincount(np.rint(exact).astype(int).ravel(), minlength=256)
    assert found["entropy"] == pytest.approx(entropy(histogram, base=2), abs=1e-4)


def test_a_batch_is_measured_otherwise_than_picture_by_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = np.stack([scene(seed=seed) for seed in range(7)])
    sizes = np.array([(10 + i, 20 + i) for i in range(7)])
    monkeypatch.setattr(statistics, "AT_ONCE", 3 * 48 * 48)
    together = measure(pictures, sizes)
    for i in range(7):
        alone = measure(pictures[i : i + 1], sizes[i : i + 1])
        assert {name: values[i] for name, values in together.items()} == {name: v[0] for name, v in alone.items()}
    assert list(together) == [*LOOKS, *SIZES]
    assert together["height"].tolist() == list(range(20, 27))


def test_each_number_answers_to_something_else_than_its_name() -> None:
    picture = Image.fromarray(scene())
    before = of_image(picture)
    darker = of_image(ImageEnhance.Brightness(picture).enhance(0.5))
    assert darker["brightness"] == pytest.approx(before["brightness"] / 2, rel=0.02)
    flatter = of_image(ImageEnhance.Contrast(picture).enhance(0.5))
    assert flatter["contrast"] == pytest.approx(before["contrast"] / 2, rel=0.02)
    assert flatter["brightness"] == pytest.approx(before["brightness"], rel=0.02)
    assert of_image(picture.filter(ImageFilter.GaussianBlur(2)))["sharpness"] < before["sharpness"] / 10
    even = of_one(np.full((16, 16, 3), 77, np.uint8))
    assert even == {"brightness": 77, "contrast": 0, "sharpness": 0, "entropy": 0, "width": 1, "height": 1}


def test_pictures_seen_channels_first_are_refused_or_measured_otherwise() -> None:
    pictures = np.stack([scene(seed=seed) for seed in range(3)])
    turned = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)  # the service's batch
    for ours, theirs in zip(
        measure(pictures, [(1, 1)] * 3).values(), measure(turned, [(1, 1)] * 3).values(), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_no_pictures_break_it() -> None:
    assert {
        name: len(values) for name, values in measure(np.zeros((0, 8, 8, 3), np.uint8), []).items()
    } == dict.fromkeys((*LOOKS, *SIZES), 0)
