"""Fresh pictures of the test split do not alarm, changed ones and those of another domain do: digits, Fashion-MNIST."""

import gzip
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from sklearn.datasets import load_digits

from mlops_cls.monitoring.drift import Sample, find_changes
from mlops_cls.monitoring.reference import Projection, Reference
from mlops_cls.monitoring.statistics import measure
from mlops_cls.pictures import Pixels

DRAWS = 20


@dataclass(frozen=True)
class World:
    """Pictures uint8[N,H,W,1], and those of something else."""

    train: Pixels
    val: Pixels
    test: Pixels
    other: Pixels
    size: int


@pytest.fixture(scope="module", params=["digits", "Fashion-MNIST"])
def world(request: pytest.FixtureRequest) -> World:
    return digits() if request.param == "digits" else clothes(request.getfixturevalue("real_data"))


def digits() -> World:
    pictures = np.round(load_digits().images[..., None] * 255 / 16).astype(np.uint8)
    pictures = np.random.default_rng(0).permutation(pictures)
    gratings = np.random.default_rng(0).integers(0, 256, (100, 1, 8, 1)).astype(np.uint8).repeat(8, 1)
    return World(pictures[:900], pictures[900:1200], pictures[1200:], gratings, 60)


def clothes(folder: Path) -> World:
    train, test = (_idx(folder / "fmnist" / f"{part}-images-idx3-ubyte.gz") for part in ("train", "t10k"))
    train = np.random.default_rng(0).permutation(train)
    return World(train[:2000], train[2000:3000], test, _sonar(folder / "sonar" / "nksid.zip"), 300)


def _idx(path: Path) -> Pixels:
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=16).reshape(-1, 28, 28, 1)


def _sonar(path: Path) -> Pixels:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")][:300]
        tiles = [Image.open(io.BytesIO(archive.read(name))).convert("L").resize((28, 28)) for name in names]
    return np.stack([np.asarray(tile)[..., None] for tile in tiles])


class Network:
    """One random layer and a softmax: what it answers means nothing, and changes when pictures do."""

    def __init__(self, world: World) -> None:
        generator = np.random.default_rng(0)
        inputs = world.train[0].size
        self._hidden, self._last = generator.normal(size=(inputs, 64)) / inputs**0.5, generator.normal(size=(64, 10))
        self.projection = Projection.fit(self._embed(world.train), 16)
        trained, held_out = self.sample(world.train), self.sample(world.val)
        assert held_out.projected is not None
        self.reference = Reference(
            classes=tuple("0123456789"),
            statistics=dict(trained.statistics),
            predicted=held_out.predicted,
            confidence=held_out.confidence,
            projection=self.projection,
            projected=held_out.projected,
        )

    def sample(self, pictures: Pixels) -> Sample:
        embeddings = self._embed(pictures)
        powers = np.exp(embeddings @ self._last)
        probabilities = (powers / powers.sum(1, keepdims=True)).astype(np.float32)
        looks = measure(pictures, [pictures.shape[1:3]] * len(pictures))
        return Sample(looks, probabilities.argmax(1), probabilities.max(1), self.projection(embeddings))

    def alarms(self, pictures: Pixels, size: int, draws: int) -> int:
        samples = (np.random.default_rng(seed).permutation(pictures)[:size] for seed in range(draws))
        return sum(any(each.drift for each in find_changes(self.reference, self.sample(one))) for one in samples)

    def _embed(self, pictures: Pixels) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return np.maximum(pictures.reshape(len(pictures), -1) / 255 @ self._hidden, 0).astype(np.float32)


def blurred(picture: Pixels) -> Pixels:
    image = Image.fromarray(picture[..., 0]).filter(ImageFilter.GaussianBlur(1))
    return np.asarray(image)[..., None]


def noisy(picture: Pixels) -> Pixels:
    noise = np.random.default_rng(picture.ravel()[:64].tolist()).normal(0, 20, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def test_fresh_pictures_alarm_more_often_than_once_in_twenty(world: World) -> None:
    assert Network(world).alarms(world.test, world.size, DRAWS) <= 3  # 1 expected; more come once in 60


@pytest.mark.parametrize("change", [lambda picture: picture // 2, blurred, noisy], ids=["dark", "blurred", "noisy"])
def test_changed_pictures_go_unnoticed(world: World, change: Callable[[Pixels], Pixels]) -> None:
    changed = np.stack([change(picture) for picture in world.test[: 4 * world.size]])
    assert Network(world).alarms(changed, world.size, 5) == 5


def test_pictures_of_another_domain_go_unnoticed(world: World) -> None:
    assert Network(world).alarms(world.other, 60, 5) == 5
