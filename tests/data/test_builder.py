"""Threads decode ahead of the writer: in order, within bounds, and no further once something has failed."""

import threading
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlops_cls.card import Architecture, ModelCard, Preprocess
from mlops_cls.data import builder
from mlops_cls.data.builder import Builder
from mlops_cls.data.manifest import Geometry, Plan
from mlops_cls.data.prepare import prepare
from mlops_cls.data.source import Sample
from mlops_cls.data.sources.folder import FolderSource
from mlops_cls.data.store import ArrayWriter
from mlops_cls.pictures import Pixels, load_picture
from mlops_cls.predictor import Predictor

NUMBER = 200
GEOMETRY = Geometry(size=2, resize="stretch", crop=1.0, interpolation="bilinear", channels=1)
SAMPLES = [Sample(str(i), "a", "train") for i in range(NUMBER)]


class Numbers:
    """Pictures whose level is their number; every seventh takes a while, every fiftieth is none."""

    name = "numbers"

    def __init__(self) -> None:
        self.asked = 0
        self._lock = threading.Lock()

    def picture(self, sample: Sample) -> Pixels | bytes:
        number = int(sample.id)
        with self._lock:
            self.asked += 1
        if number % 7 == 0:
            time.sleep(0.002)
        return b"" if number % 50 == 0 else np.full((2, 2), number, np.uint8)


@pytest.fixture
def decoding(tmp_path: Path) -> Builder:
    return Builder(Numbers(), GEOMETRY, tmp_path)


def test_pictures_are_stored_in_the_order_in_which_threads_finish(decoding: Builder, tmp_path: Path) -> None:
    decoding.write_all(SAMPLES)
    assert [s.id for s in decoding.kept] == [str(i) for i in range(NUMBER) if i % 50]
    assert decoding.rows == list(range(len(decoding.kept)))
    assert np.load(tmp_path / "train.npy")[:, 0, 0, 0].tolist() == [int(s.id) for s in decoding.kept]
    assert decoding.bad == dict.fromkeys(("0", "50", "100", "150"), "not a picture")


def test_decoding_runs_ahead_until_memory_is_full(decoding: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "RUN", 4)
    monkeypatch.setattr(builder, "AHEAD", 3)
    ahead: list[int] = []
    extend = ArrayWriter.extend

    def slowly(self: ArrayWriter, pictures: list[Pixels]) -> None:
        time.sleep(0.005)
        extend(self, pictures)
        ahead.append(decoding.source.asked - len(decoding.kept) - len(decoding.bad))

    monkeypatch.setattr(ArrayWriter, "extend", slowly)
    decoding.write_all(SAMPLES)
    assert 4 <= max(ahead) <= 4 * 3  # decoded while others were written


def test_everything_is_decoded_after_the_disk_is_full(decoding: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(builder, "RUN", 1)
    monkeypatch.setattr(ArrayWriter, "extend", full)
    before = threading.active_count()
    with pytest.raises(OSError, match="No space"):
        decoding.write_all(SAMPLES)
    assert threading.active_count() == before
    assert decoding.source.asked <= builder.AHEAD + 1


def test_a_predictor_sees_a_large_photograph_otherwise_than_the_store_holds_it(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "raw" / name).mkdir(parents=True)
        for i in range(4):
            coarse = Image.fromarray(generator.integers(0, 256, (20, 30, 3)).astype(np.uint8))
            coarse.resize((480, 320)).save(tmp_path / "raw" / name / f"{i}.jpg")
    prepared = prepare(FolderSource(tmp_path / "raw"), Plan(size=24, crop=0.95), tmp_path / "store")
    preprocess = Preprocess(size=24, crop=0.95, mean=prepared.manifest.mean, std=prepared.manifest.std)
    card = ModelCard(classes=("a", "b"), preprocess=preprocess, architecture=Architecture(name="resnet18"))
    predictor = Predictor(card, lambda _: np.zeros((1, 2), np.float32))
    for i, stored in zip(prepared.ids("train"), prepared.images("train"), strict=True):
        path = tmp_path / "raw" / i
        assert load_picture(path, **asdict(prepared.manifest.geometry))[0].size == (120, 80)
        for source in (path, path.read_bytes()):
            np.testing.assert_array_equal(predictor.fit(source), stored)
