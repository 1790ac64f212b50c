"""Batches are the store's pictures, the same for any number of workers, and each epoch another draw."""

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mlops_cls.data.augment import Augment
from mlops_cls.data.datamodules import FolderDataModule
from mlops_cls.data.loader import Batch, StoreDataset, UnfinishedDataset, make_loader
from mlops_cls.data.manifest import Plan
from mlops_cls.data.sampling import Draws, EpochSampler, Share
from mlops_cls.data.store import Prepared

NOISE = ({"name": "GaussNoise", "p": 1.0}, {"name": "HorizontalFlip", "p": 0.5})
MakePictures = Callable[..., Path]


@pytest.fixture(scope="module")
def augment() -> Augment:
    return Augment(NOISE)


def epoch_of(loader: torch.utils.data.DataLoader[Batch], epoch: int = 0) -> list[Batch]:
    loader.sampler.set_epoch(epoch)  # as Lightning does
    return list(loader)


def same(first: list[Batch], second: list[Batch]) -> bool:
    pairs = zip(first, second, strict=True)
    return all(torch.equal(a, b) for one, other in pairs for a, b in zip(one, other, strict=True))


def rows_of(batches: list[Batch], images: np.ndarray) -> Iterator[list[int]]:
    """Yield each batch's rows in the store, found by the pictures themselves."""
    rows = {picture.tobytes(): row for row, picture in enumerate(images)}
    for pictures, _ in batches:
        yield [rows[picture.permute(1, 2, 0).numpy().tobytes()] for picture in pictures]


def test_a_batch_has_another_shape_type_or_memory_order(
    digits: Prepared, augment: Augment, tmp_path: Path, make_pictures: MakePictures
) -> None:
    coloured = FolderDataModule(make_pictures(tmp_path / "raw", {"a": 20}), plan=Plan(size=8), store=tmp_path / "s")
    for prepared, channels in ((digits, 1), (coloured.prepared, 3)):
        for transform in (None, augment):
            images, labels = next(iter(make_loader(StoreDataset(prepared, "train", transform), batch_size=5)))
            assert (images.shape, images.dtype) == ((5, channels, 8, 8), torch.uint8)
            assert (labels.shape, labels.dtype) == ((5,), torch.int64)
            assert images.is_contiguous(memory_format=torch.channels_last)


def test_scoring_pairs_pictures_with_other_labels(digits: Prepared) -> None:
    batches = list(make_loader(StoreDataset(digits, "test"), batch_size=64))
    images = torch.cat([images for images, _ in batches])
    assert torch.equal(images.permute(0, 2, 3, 1), torch.from_numpy(np.array(digits.images("test"))))
    assert torch.cat([labels for _, labels in batches]).tolist() == digits.labels("test").tolist()
    assert [len(labels) for _, labels in batches] == [64, 64, 64, 64, len(digits.labels("test")) - 256]


def test_one_picture_differs_from_its_batch(digits: Prepared) -> None:
    dataset = StoreDataset(digits, "val")
    image, label = dataset[3]
    assert torch.equal(image.permute(1, 2, 0), torch.from_numpy(np.array(digits.images("val")[3])))
    assert label == digits.labels("val")[3]
    assert len(dataset) == digits.manifest.size_of("val")


def test_training_loses_pictures_or_keeps_a_short_batch(digits: Prepared) -> None:
    train = digits.images("train")
    number = len(train)
    loader = make_loader(StoreDataset(digits, "train"), batch_size=100, shuffle=True, workers=0)
    batches = epoch_of(loader)
    assert len(batches) == len(loader) == number // 100
    assert {len(labels) for _, labels in batches} == {100}
    rows = [row for batch in rows_of(batches, train) for row in batch]
    labels = torch.cat([labels for _, labels in batches])
    assert labels.tolist() == digits.labels("train")[rows].tolist()
    assert len(set(rows)) == len(rows)  # no two digits are the same picture
    assert rows != sorted(rows)
    # What was left over in one epoch comes in another.
    assert {row for epoch in range(8) for batch in rows_of(epoch_of(loader, epoch), train) for row in batch} == set(
        range(number)
    )


def test_fewer_pictures_than_a_batch_are_no_batch(digits: Prepared) -> None:
    dataset = StoreDataset(digits, "train")
    loader = make_loader(dataset, batch_size=len(dataset) + 1, shuffle=True, workers=0)
    assert [len(labels) for _, labels in epoch_of(loader)] == [len(dataset)]
    assert len(make_loader(dataset, batch_size=len(dataset), shuffle=True, workers=0)) == 1


def test_scoring_drops_the_last_batch(digits: Prepared) -> None:
    dataset = StoreDataset(digits, "val")
    assert sum(len(labels) for _, labels in make_loader(dataset, batch_size=50)) == len(dataset)


def test_workers_draw_other_batches_than_the_main_process(digits: Prepared, augment: Augment) -> None:
    dataset = StoreDataset(digits, "train", augment)
    alone, helped = (make_loader(dataset, batch_size=64, shuffle=True, seed=3, workers=n) for n in (0, 2))
    first = epoch_of(alone)
    assert same(first, epoch_of(helped))
    second = epoch_of(alone, 1)
    assert same(second, epoch_of(helped, 1))  # by processes that lived on
    assert not same(first, second)
    # A run that is resumed at epoch 1 sees what the uninterrupted one saw.
    assert same(second, epoch_of(make_loader(dataset, batch_size=64, shuffle=True, seed=3, workers=0), 1))


def test_another_seed_gives_the_same_batches(digits: Prepared) -> None:
    dataset = StoreDataset(digits, "train")
    one, other, again = (
        epoch_of(make_loader(dataset, batch_size=64, shuffle=True, seed=seed, workers=0)) for seed in (1, 2, 1)
    )
    assert same(one, again)
    assert not same(one, other)


def test_epochs_repeat_the_order_or_the_draws(digits: Prepared, augment: Augment) -> None:
    plain = make_loader(StoreDataset(digits, "train"), batch_size=64, shuffle=True, workers=0)
    orders = [list(rows_of(epoch_of(plain, epoch), digits.images("train"))) for epoch in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1]
    sampler = EpochSampler(50, shuffle=True, seed=9)
    draws = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        draws.append(dict(zip(*(column.tolist() for column in sampler.draws()), strict=True)))
    assert draws[0].keys() == draws[1].keys() == set(range(50))
    assert not set(draws[0].values()) & set(draws[1].values())
    assert len(set(draws[0].values())) == 50


class ConstantStore(Prepared):
    """Every picture of which is the same grey."""

    def images(self, split: str) -> np.ndarray:
        return np.full((self.manifest.size_of(split), 8, 8, 1), 128, np.uint8)


def test_workers_repeat_one_anothers_draws(digits: Prepared, augment: Augment) -> None:
    # albumentations 2.0.8 by itself gives every worker the same random numbers.
    dataset = StoreDataset(ConstantStore(digits.folder), "train", augment)
    batches = epoch_of(make_loader(dataset, batch_size=64, shuffle=True, workers=2))
    drawn: list[Tensor] = [picture for images, _ in batches for picture in images]
    assert len({picture.numpy().tobytes() for picture in drawn}) == len(drawn) > 1000


@pytest.mark.parametrize(
    ("cores", "processes", "workers"), [(1, 1, 0), (2, 1, 1), (16, 1, 8), (16, 4, 3), (2, 2, 0), (2, 8, 0)]
)
def test_workers_crowd_the_machine(
    digits: Prepared, augment: Augment, monkeypatch: pytest.MonkeyPatch, cores: int, processes: int, workers: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(cores), raising=False)
    for transform, expected in ((augment, workers), (None, 0)):
        dataset = StoreDataset(digits, "train", transform)
        assert make_loader(dataset, batch_size=8, shuffle=True, share=Share(0, processes)).num_workers == expected
    unfinished = UnfinishedDataset(StoreDataset(digits, "train"), resident=False)
    assert make_loader(unfinished, batch_size=8, shuffle=True).num_workers == 0


def test_a_sampler_that_does_not_shuffle_leaves_store_order() -> None:
    assert EpochSampler(20, shuffle=False).draws().rows.tolist() == list(range(20))


def test_every_worker_gets_a_copy_of_the_pictures(digits: Prepared, augment: Augment) -> None:
    dataset = StoreDataset(digits, "train", augment)
    draws = Draws(np.array([5, 0]), np.array([1, 2]))
    before = dataset[draws]
    assert isinstance(digits.images("train"), np.memmap)
    pickled = pickle.dumps(dataset)
    # Besides labels and the sample table's ids, which are what is left.
    assert b"".join(picture.tobytes() for picture in digits.images("train")[:20]) not in pickled
    copy = pickle.loads(pickled)
    assert same([copy[draws]], [before])


def test_pickling_a_dataset_grows_with_its_pictures(tmp_path: Path, make_pictures: MakePictures) -> None:
    root = make_pictures(tmp_path / "raw", {"a": 12}, size=8)
    sizes = []
    for side in (8, 128):
        data = FolderDataModule(root, plan=Plan(size=side), store=tmp_path / "store")
        dataset = data.dataset("train")
        assert len(dataset.images) == 8
        sizes.append(len(pickle.dumps(dataset)))
    assert abs(sizes[1] - sizes[0]) < 100
