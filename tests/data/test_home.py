"""Wherever pictures lie and whatever augments them, batches are the same; and it is the machine that decides."""

import copy
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from mlops_cls import ImageClassifier, make_card
from mlops_cls.build import check
from mlops_cls.choices import Home, Where
from mlops_cls.compose import load_config
from mlops_cls.data import home as home_module
from mlops_cls.data import reading
from mlops_cls.data.augment import Augment
from mlops_cls.data.datamodules import DigitsDataModule
from mlops_cls.data.home import choose
from mlops_cls.data.loader import Batch, StoreDataset, Unfinished, make_loader
from mlops_cls.data.manifest import Plan
from mlops_cls.data.reading import FileRows
from mlops_cls.data.store import Prepared
from mlops_cls.errors import ConfigError, DataError

FLIP = {"name": "AlternatingFlip"}
MOVED = {"name": "Affine", "translate_percent": [-0.2, 0.2], "rotate": [-30, 30], "p": 0.8}
NOISY = {"name": "GaussNoise", "p": 0.5}
BLURRED = {"name": "GaussianBlur"}
CUDA, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.fixture
def make(digits: Prepared) -> Callable[..., DigitsDataModule]:
    """Return a function that makes a DataModule over the prepared digits."""

    def build(**options: Any) -> DigitsDataModule:
        settings = {"plan": Plan(size=8), "store": digits.folder.parent, "batch_size": 64, "workers": 0, "seed": 5}
        return DigitsDataModule(**settings | options)

    return build


def batches_of(data: DigitsDataModule, split: str = "train", epoch: int = 0) -> Iterator[Batch]:
    """Yield an epoch's batches as a Trainer would hand them to the model."""
    loader = getattr(data, f"{split}_dataloader")()
    loader.sampler.set_epoch(epoch)
    for batch in loader:
        yield data.on_after_batch_transfer(batch, 0)


def assert_same(first: Iterator[Batch], second: Iterator[Batch]) -> None:
    for (images, labels), (others, their_labels) in zip(first, second, strict=True):
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(images, others)
        assert torch.equal(labels, their_labels)


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("augment", [(), (FLIP, MOVED, NOISY)], ids=["plain", "augmented"])
@pytest.mark.parametrize("home", ["memory", "device"])
def test_another_home_gives_other_batches(
    make: Callable[..., DigitsDataModule], home: str, augment: tuple[Any, ...], split: str
) -> None:
    plain, fast = (make(augment=augment, where="device", home=name) for name in ("disk", home))
    for epoch in (0, 1, 7):
        assert_same(batches_of(plain, split, epoch), batches_of(fast, split, epoch))


@pytest.mark.parametrize("home", ["disk", "memory"])
@pytest.mark.parametrize("where", ["worker", "device"])
def test_workers_change_what_is_read_or_augmented(make: Callable[..., DigitsDataModule], home: str, where: str) -> None:
    alone, helped = (make(augment=(FLIP, NOISY), where=where, home=home, workers=number) for number in (0, 2))
    assert_same(batches_of(alone, epoch=1), batches_of(helped, epoch=1))


@pytest.mark.parametrize("split", ["val", "test"])
def test_pictures_to_be_scored_are_augmented_on_the_device(make: Callable[..., DigitsDataModule], split: str) -> None:
    data = make(augment=(MOVED,), where="device", home="device")
    pictures = torch.cat([images for images, _ in batches_of(data, split)]).permute(0, 2, 3, 1)
    np.testing.assert_array_equal(pictures, data.prepared.images(split))


@pytest.mark.parametrize("where", ["worker", "device"])
def test_an_alternating_flip_repeats_a_side(make: Callable[..., DigitsDataModule], where: str) -> None:
    data = make(augment=(FLIP,), where=where)
    stored = data.prepared.images("train")
    sides: dict[bytes, list[bool]] = {picture.tobytes(): [] for picture in stored}
    mirrors = {np.ascontiguousarray(picture[:, ::-1]).tobytes(): picture.tobytes() for picture in stored}
    for epoch in range(2):
        for images, _ in batches_of(data, epoch=epoch):
            for picture in images.permute(0, 2, 3, 1).contiguous().numpy():
                plain = picture.tobytes() in sides
                sides[picture.tobytes() if plain else mirrors[picture.tobytes()]].append(plain)
    drawn_twice = [tuple(seen) for seen in sides.values() if len(seen) == 2]
    assert set(drawn_twice) == {(True, False), (False, True)}


def trainer(epochs: int = 2) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_training_from_the_device_gives_other_weights(make: Callable[..., DigitsDataModule]) -> None:
    weights = []
    for home in ("disk", "device"):
        pl.seed_everything(1, verbose=False)
        data = make(augment=(MOVED, NOISY), where="device", home=home)
        classifier = ImageClassifier(make_card(data.manifest, "two_conv_cnn"))
        before = copy.deepcopy(classifier.state_dict())
        trainer().fit(classifier, data)
        assert data._arrivals is None  # the device has its memory back
        weights.append(classifier.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert any(not torch.equal(weights[0][name], before[name]) for name in before)


# How pictures are read.


@pytest.fixture
def row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAPPED", 0)


@pytest.mark.usefixtures("row_by_row")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_large_split_is_read_wrong_row_by_row(digits: Prepared, workers: int) -> None:
    dataset = StoreDataset(digits, "train")
    assert isinstance(dataset.images, FileRows)
    assert len(dataset.images) == len(dataset)
    loader = make_loader(pickle.loads(pickle.dumps(dataset)), batch_size=64, shuffle=True, workers=workers)
    draws = list(loader.sampler)
    for draw, (images, _) in zip(draws, loader, strict=True):
        np.testing.assert_array_equal(images.permute(0, 2, 3, 1), digits.images("train")[draw.rows])


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_memory_grows_with_the_pictures_read(tmp_path: Path) -> None:
    pixels = np.lib.format.open_memmap(tmp_path / "large.npy", "w+", np.uint8, (3000, 224, 224, 1))
    pixels[:] = 7
    pixels.flush()
    del pixels
    mapped: np.memmap = np.load(tmp_path / "large.npy", mmap_mode="r")
    read, before = reading.from_disk(mapped), resident_megabytes()
    for start in range(0, 3000, 50):
        assert (read[np.arange(start, start + 50)] == 7).all()
    assert mapped.nbytes > 2**27
    assert resident_megabytes() - before < 20


def resident_megabytes() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


@pytest.mark.usefixtures("row_by_row")
def test_a_file_that_was_cut_off_gives_pictures_of_nothing(tmp_path: Path) -> None:
    np.save(tmp_path / "split.npy", np.ones((4, 2, 2, 1), np.uint8))
    read = reading.from_disk(np.load(tmp_path / "split.npy", mmap_mode="r"))
    with (tmp_path / "split.npy").open("r+b") as file:
        file.truncate(128 + 9)
    with pytest.raises(DataError, match="has been cut off: delete its folder"):
        read[np.array([2])]


def test_every_worker_reads_the_split_into_memory_again(digits: Prepared) -> None:
    dataset = StoreDataset(digits, "train", None, Home.memory)
    images = dataset.images
    assert dataset._images is images  # before there are workers
    assert not isinstance(images, np.memmap)
    np.testing.assert_array_equal(images, digits.images("train"))
    assert isinstance(pickle.loads(pickle.dumps(dataset)).images, np.memmap)  # what a spawned worker gets


# Who decides.


@pytest.fixture
def gigabyte_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home_module, "free_memory", lambda device: 1e9)


@pytest.mark.usefixtures("gigabyte_free")
@pytest.mark.parametrize(
    ("settings", "transforms", "device", "home", "on_arrival"),
    [
        (("auto", "auto"), (), CUDA, "device", False),
        (("auto", "auto"), (MOVED,), CUDA, "device", True),
        (("auto", "auto"), (MOVED, BLURRED), CUDA, "disk", False),
        (("auto", "worker"), (MOVED,), CUDA, "disk", False),
        (("disk", "auto"), (MOVED,), CUDA, "disk", True),
        (("memory", "worker"), (MOVED,), CUDA, "memory", False),
        (("auto", "auto"), (MOVED,), CPU, "disk", False),
        (("auto", "device"), (MOVED,), CPU, "disk", True),
        (("device", "auto"), (MOVED,), CPU, "device", True),
        (("device", "auto"), (), CPU, "device", False),
    ],
)
def test_pictures_lie_or_are_augmented_where_it_is_slower(
    settings: tuple[str, str], transforms: tuple[Any, ...], device: torch.device, home: str, on_arrival: bool
) -> None:
    augment = Augment(transforms) if transforms else None
    route = choose(Home(settings[0]), Where(settings[1]), augment, device, 200_000_000, picture=home_module.SMALL + 1)
    assert (route.home, route.augment is not None) == (home, on_arrival)


@pytest.mark.usefixtures("gigabyte_free")
def test_small_pictures_are_augmented_one_by_one_on_a_cpu() -> None:
    def on_arrival(where: Where, transforms: tuple[Any, ...], workers: int | None = None) -> bool:
        route = choose(Home.auto, where, Augment(transforms), CPU, 1000, picture=home_module.SMALL, workers=workers)
        assert route.home is Home.disk
        return route.augment is not None

    assert on_arrival(Where.auto, (MOVED,))
    assert on_arrival(Where.auto, (MOVED,), workers=2)  # else their number would change what is drawn
    assert not on_arrival(Where.worker, (MOVED,))
    assert not on_arrival(Where.auto, (MOVED, BLURRED))


@pytest.mark.usefixtures("gigabyte_free")
def test_pictures_leave_no_memory_to_the_network() -> None:
    assert choose(Home.auto, Where.auto, None, CUDA, 260_000_000, picture=1).home is Home.disk
    assert choose(Home.auto, Where.auto, None, CUDA, 200_000_000, picture=1, workers=2).home is Home.disk
    assert choose(Home.device, Where.auto, None, CUDA, 900_000_000, picture=1).home is Home.device
    for home, device in ((Home.device, CUDA), (Home.memory, CPU)):
        with pytest.raises(ConfigError, match=rf"data.home={home}.* take 1.9 GiB and {device} has 0.9 GiB free: set"):
            choose(home, Where.auto, None, device, 2_000_000_000, picture=1)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["augment=dog_breed", "augment.where=device"], "OneOf can only be drawn by albumentations"),
        (["augment=dog_breed", "data.home=device"], "leave it out of augment.transforms, or set augment.where=worker"),
        (["augment=light", "augment.where=worker", "data.home=device"], "set augment.where=device or data.home=disk"),
        (["augment=none", "augment.where=device"], "would not be used: there are no augment.transforms"),
        (["data.home=device", "data.workers=2"], "data.workers=2 would not be used: with data.home=device"),
        (["data.home=gpu"], "data.home"),
    ],
    ids=str,
)
def test_an_impossible_home_is_found_late_or_ignored(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(load_config(*overrides))


def test_a_misspelt_home_is_taken_for_auto(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data.home=gpu is not known \(allowed: auto, device, disk, memory\)"):
        DigitsDataModule(store=tmp_path, home="gpu")
    with pytest.raises(ConfigError, match=r"augment.where=workers is not known; did you mean 'worker'"):
        DigitsDataModule(store=tmp_path, where="workers")


def test_a_notebook_without_a_trainer_gets_unfinished_batches(make: Callable[..., DigitsDataModule]) -> None:
    images, labels = next(iter(make(augment=(MOVED,)).train_dataloader()))
    assert images.shape[0] == labels.shape[0] == 64
    assert isinstance(next(iter(make(augment=(MOVED,), home="device").train_dataloader())), Unfinished)
