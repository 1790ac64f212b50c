"""Balanced epochs are balanced, and processes share an epoch without waiting for one another or losing a picture."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from mlops_cls.data.datamodules import DigitsDataModule, FolderDataModule
from mlops_cls.data.manifest import Plan
from mlops_cls.data.sampling import MIRROR, EpochBatches, EpochSampler, Share, balanced_order
from mlops_cls.errors import ConfigError, DataError

RARE = np.repeat([0, 1, 2, 3], [200, 50, 6, 1])


class Draw(NamedTuple):
    row: int
    seed: int


def draws_of(sampler: EpochSampler, epoch: int = 0) -> list[Draw]:
    sampler.set_epoch(epoch)
    return list(map(Draw, *(column.tolist() for column in sampler.draws())))


def samplers(length: int, world: int, **options: object) -> list[EpochSampler]:
    return [EpochSampler(length, share=Share(rank, world), **options) for rank in range(world)]


@pytest.mark.parametrize("epoch", range(4))
def test_a_class_is_drawn_more_often_than_another(epoch: int) -> None:
    draws = draws_of(EpochSampler(len(RARE), shuffle=True, balanced=RARE, seed=1), epoch)
    assert len(draws) == len(RARE)
    often = Counter(RARE[draw.row] for draw in draws)
    assert sorted(often.values()) == [64, 64, 64, 65]


def test_the_same_class_is_favoured_in_every_epoch() -> None:
    sampler = EpochSampler(len(RARE), shuffle=True, balanced=RARE)
    favoured = {
        Counter(RARE[draw.row] for draw in draws_of(sampler, epoch)).most_common(1)[0][0] for epoch in range(30)
    }
    assert favoured == {0, 1, 2, 3}


def test_a_row_repeats_before_its_class_is_used_up() -> None:
    order = balanced_order(RARE, np.random.default_rng(5))
    for label, size in Counter(RARE.tolist()).items():
        rows = [row for row in order.tolist() if RARE[row] == label]
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            assert len(set(part)) == len(part)
            assert len(part) == size or start + size > len(rows)
        often = Counter(rows).values()
        assert max(often) - min(often) <= 1


def test_balanced_classes_come_one_after_another() -> None:
    order = RARE[balanced_order(RARE, np.random.default_rng(0))]
    changes = np.mean(order[1:] != order[:-1])
    assert 0.65 < changes < 0.85  # three in four, if it is mixed well


def test_pictures_of_a_frequent_class_are_never_drawn() -> None:
    sampler = EpochSampler(len(RARE), shuffle=True, balanced=RARE)
    drawn = {draw.row for epoch in range(40) for draw in draws_of(sampler, epoch)}
    assert drawn == set(range(len(RARE)))


def test_repeats_of_a_picture_are_augmented_alike() -> None:
    draws = draws_of(EpochSampler(len(RARE), shuffle=True, balanced=RARE))
    assert len({draw.row for draw in draws}) < len(draws) - 100
    assert len({draw.seed for draw in draws}) == len(draws)


@pytest.mark.parametrize("balanced", [None, RARE], ids=["shuffle", "balanced"])
def test_a_resumed_epoch_is_another_one(balanced: np.ndarray | None) -> None:
    options = {"shuffle": True, "balanced": balanced}
    uninterrupted = EpochSampler(257, seed=4, **options)
    epochs = [draws_of(uninterrupted, epoch) for epoch in range(3)]
    assert draws_of(EpochSampler(257, seed=4, **options), 2) == epochs[2]
    assert epochs[0] != epochs[1]
    assert draws_of(EpochSampler(257, seed=5, **options)) != epochs[0]


@pytest.mark.parametrize("balanced", [None, RARE], ids=["shuffle", "balanced"])
def test_a_picture_is_mirrored_in_two_epochs_in_a_row(balanced: np.ndarray | None) -> None:
    sampler = EpochSampler(257, shuffle=True, balanced=balanced, seed=6)
    epochs = [{draw.row: draw.seed // MIRROR for draw in draws_of(sampler, epoch)} for epoch in range(3)]
    both = epochs[0].keys() & epochs[1].keys() & epochs[2].keys()
    assert len(both) > 100 if balanced is None else len(both) > 20
    for row in both:
        assert {epochs[0][row], epochs[1][row]} == {0, 1}
        assert epochs[0][row] == epochs[2][row]
    assert 0.3 < np.mean([epochs[0][row] for row in both]) < 0.7
    another = {draw.row: draw.seed // MIRROR for draw in draws_of(EpochSampler(257, shuffle=True, seed=7))}
    assert another != epochs[0]


def test_the_order_or_the_draws_of_a_seed_have_changed() -> None:
    # Weights of earlier runs come again only if these stay.
    draws = draws_of(EpochSampler(5, shuffle=True, seed=3), 2)
    assert [draw.row for draw in draws] == [4, 0, 1, 2, 3]
    assert [draw.seed % MIRROR for draw in draws] == [486184, 3330970670, 195204538, 3017326895, 1968523691]


@pytest.mark.parametrize("world", [2, 3, 8])
@pytest.mark.parametrize("balanced", [None, RARE], ids=["shuffle", "balanced"])
def test_processes_train_on_each_others_pictures_or_wait(balanced: np.ndarray | None, world: int) -> None:
    whole = draws_of(EpochSampler(257, shuffle=True, balanced=balanced, seed=2), 3)
    parts = [draws_of(one, 3) for one in samplers(257, world, shuffle=True, balanced=balanced, seed=2)]
    assert {len(part) for part in parts} == {257 // world}
    together = [draw for turn in zip(*parts, strict=True) for draw in turn]
    assert together == whole[: 257 // world * world]


@pytest.mark.parametrize("world", [1, 2, 3, 8])
@pytest.mark.parametrize("length", [8, 9, 64, 65, 129, 257])
@pytest.mark.parametrize("batch_size", [1, 2, 64, 1000])
def test_a_scored_picture_is_lost_or_doubled(length: int, world: int, batch_size: int) -> None:
    shared = [EpochBatches(one, batch_size) for one in samplers(length, world, shuffle=False)]
    batches = [list(one) for one in shared]
    assert [len(one) for one in shared] == [len(part) for part in batches]
    assert sorted(row for part in batches for batch in part for row in batch.rows.tolist()) == list(range(length))
    for part in batches:
        assert {len(batch.rows) for batch in part[:-1]} <= {batch_size}
        assert 0 < len(part[-1].rows) == len(part[-1].seeds) <= batch_size


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize(("length", "batch_size"), [(100, 10), (65, 32), (20, 64), (64, 32)])
def test_a_training_batch_is_short_although_there_are_others(length: int, batch_size: int, world: int) -> None:
    batches = [list(EpochBatches(one, batch_size)) for one in samplers(length, world, shuffle=True)]
    part = length // world
    expected = [batch_size] * (part // batch_size) or [part]
    assert [[len(batch.rows) for batch in one] for one in batches] == [expected] * world


def test_a_process_is_left_without_pictures() -> None:
    with pytest.raises(DataError, match="3 pictures of a split cannot be shared by 4 processes"):
        EpochSampler(3, shuffle=False, share=Share(3, 4))


def test_scoring_is_balanced_or_training_is_not(make_pictures: Callable[..., Path], tmp_path: Path) -> None:
    root = make_pictures(tmp_path / "raw", {"a": 60, "b": 12, "c": 8})
    data = FolderDataModule(root, plan=Plan(size=16), store=tmp_path / "s", sampler="balanced", batch_size=1, workers=0)
    dataset = data.dataset("train")
    label_of = {
        picture.tobytes(): label for picture, label in zip(dataset.images, dataset.labels.tolist(), strict=True)
    }
    images, labels = (torch.cat(column) for column in zip(*data.train_dataloader(), strict=True))
    assert labels.tolist() == [label_of[image.numpy().tobytes()] for image in images.permute(0, 2, 3, 1).contiguous()]
    assert len(labels) == data.manifest.size_of("train")
    assert np.ptp(np.bincount(labels)) <= 1
    for split in ("val", "test"):
        loader = getattr(data, f"{split}_dataloader")()
        assert torch.cat([labels for _, labels in loader]).tolist() == data.prepared.labels(split).tolist()


def test_a_misspelt_sampler_shuffles(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data.sampler=balancd is not known; did you mean 'balanced'"):
        DigitsDataModule(store=tmp_path, sampler="balancd")
