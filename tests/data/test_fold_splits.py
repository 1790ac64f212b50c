"""Over all folds every picture is tested exactly once, no group is torn, and every machine deals the same folds."""

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sklearn.model_selection import StratifiedKFold

from mlops_cls.data.datamodules import DigitsDataModule, ImageDataModule
from mlops_cls.data.manifest import Plan
from mlops_cls.data.partition import partition
from mlops_cls.data.source import Sample
from mlops_cls.data.sources.digits import DigitsSource
from mlops_cls.errors import ConfigError, DataError

SPLITS = {"train", "val", "test"}


def samples(counts: dict[str, int], *, group_of: int = 0, split: str | None = None) -> list[Sample]:
    return [
        Sample(f"{label}/{i:03d}", label, split, f"{label}-{i // group_of}" if group_of else None)
        for label, number in counts.items()
        for i in range(number)
    ]


def mixed_groups(seed: int) -> list[Sample]:
    """Return 60 groups of 1 to 8 pictures of any of 3 classes."""
    generator = random.Random(seed)
    return [
        Sample(f"{group}/{i}", f"c{generator.randrange(3)}", None, f"g{group}")
        for group in range(60)
        for i in range(generator.choice([1, 2, 3, 8]))
    ]


def split_of(given: Sequence[Sample], **plan: object) -> dict[str, str | None]:
    return {s.id: s.split for s in partition(given, Plan(**plan))[0]}


def pictures_tested(given: Sequence[Sample], folds: int, **plan: object) -> list[set[str]]:
    """Return the ids in test for each fold."""
    divided = [split_of(given, fold=fold, folds=folds, **plan) for fold in range(1, folds + 1)]
    return [{key for key, split in found.items() if split == "test"} for found in divided]


@pytest.mark.parametrize("folds", [2, 3, 5, 10])
@pytest.mark.parametrize(
    "given",
    [samples({"a": 101, "b": 40, "c": 11}), samples({"a": 120, "b": 60}, group_of=3), mixed_groups(0)],
    ids=["stratified", "group of one class", "groups of several classes"],
)
def test_a_picture_is_tested_twice_or_never(given: list[Sample], folds: int) -> None:
    tested = Counter(key for ids in pictures_tested(given, folds) for key in ids)
    assert tested == dict.fromkeys((s.id for s in given), 1)
    for fold in range(1, folds + 1):
        found = split_of(given, fold=fold, folds=folds)
        assert found.keys() == tested.keys()
        assert set(found.values()) == SPLITS


def test_a_class_is_dealt_less_evenly_than_by_scikit_learn() -> None:
    given = samples({"a": 101, "b": 43, "c": 17, "d": 5})
    labels = {s.id: s.label for s in given}
    ours = [Counter(labels[key] for key in ids) for ids in pictures_tested(given, 5)]
    theirs = [
        Counter(given[i].label for i in test)
        for _, test in StratifiedKFold(5).split([0] * len(given), [s.label for s in given])
    ]
    for label in "abcd":
        assert sorted(count[label] for count in ours) == sorted(count[label] for count in theirs)


@pytest.mark.parametrize("seed", range(8))
def test_a_group_is_torn_between_folds_or_between_train_and_val(seed: int) -> None:
    given = mixed_groups(seed)
    label_of = {s.id: s.label for s in given}
    for fold in range(1, 6):
        found = split_of(given, fold=fold, folds=5, seed=seed)
        homes = {(s.group, found[s.id]) for s in given}
        assert len(homes) == len({s.group for s in given})
        assert {(label_of[key], split) for key, split in found.items()} == {
            (label, split) for label in ("c0", "c1", "c2") for split in SPLITS
        }
        assert 0.1 < Counter(found.values())["test"] / len(given) < 0.3


def test_val_is_another_share_than_asked_of_what_the_fold_leaves() -> None:
    given = samples({"a": 400, "b": 100})
    assert Counter(split_of(given, fold=2, folds=5).values()) == {"train": 340, "val": 60, "test": 100}
    assert Counter(split_of(given, fold=2, folds=5, val_fraction=0.25).values())["val"] == 100


def test_the_same_pictures_are_val_beside_every_fold() -> None:
    given = samples({"a": 300})
    found = [split_of(given, fold=fold, folds=5) for fold in range(1, 6)]
    often = Counter(key for one in found for key, split in one.items() if split == "val")
    # 36 of 240 in each of 5 draws: about 180 of 5 * 300, spread over more than 120 different pictures.
    assert len(often) > 120


def test_the_order_of_the_files_decides_a_fold() -> None:
    for given in (samples({"a": 31, "b": 50}), mixed_groups(1)):
        order = random.Random(3).sample(given, len(given))
        for fold in (1, 3):
            assert split_of(given, fold=fold, folds=3) == split_of(order, fold=fold, folds=3)


def test_a_fold_is_another_one_on_another_machine() -> None:
    given = samples({"cat": 6, "dog": 5})
    found = split_of(given, fold=2, folds=3)
    expected = "train val train test test train val train test test train"
    assert " ".join(str(found[s.id]) for s in given) == expected
    code = (
        "from mlops_cls.data.manifest import Plan\nfrom mlops_cls.data.partition import partition\n"
        "from mlops_cls.data.source import Sample\n"
        "given = [Sample(f'{i}', f'c{i % 3}', None, f'g{i // 2}') for i in range(60)]\n"
        "print([(s.id, s.split) for s in partition(given, Plan(fold=1, folds=4))[0]])"
    )
    outputs = {
        subprocess.check_output([sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed})
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_another_seed_deals_the_same_folds() -> None:
    given = samples({"a": 60, "b": 60})
    assert pictures_tested(given, 3, seed=0) != pictures_tested(given, 3, seed=1)


@pytest.mark.parametrize("folds", [2, 3, 5])
@pytest.mark.parametrize("group_of", [0, 2])
def test_folds_draw_other_subsamples_or_cannot_divide_theirs(folds: int, group_of: int) -> None:
    given = samples({"a": 400, "b": 40, "rare": 14}, group_of=group_of)
    for fraction in (0.06, 0.5):
        found = [split_of(given, fold=fold, folds=folds, subsample=fraction) for fold in range(1, folds + 1)]
        assert len(found[0]) == round(fraction * len(given))
        assert all(one.keys() == found[0].keys() for one in found)
        tested = Counter(key for one in found for key, split in one.items() if split == "test")
        assert tested == dict.fromkeys(found[0], 1)


def test_folds_tear_a_shipped_test_split() -> None:
    shipped = [
        *samples({"a": 30}, split="train"),
        *(replace(s, id=f"t{s.id}") for s in samples({"a": 9}, split="test")),
    ]
    for rule in ("auto", "shipped"):
        with pytest.raises(ConfigError, match=r"data.folds=3 would tear them: choose data.split=stratified or group"):
            partition(shipped, Plan(fold=1, folds=3, split=rule))
    assert len(split_of(shipped, fold=1, folds=3, split="stratified")) == 39


def test_a_test_fraction_is_ignored() -> None:
    with pytest.raises(ConfigError, match=r"data.test_fraction=0.3 would not be used: with data.folds the test split"):
        partition(samples({"a": 30}), Plan(fold=1, folds=3, test_fraction=0.3))


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"fold": 2}, "data.fold=2 needs the number of folds, such as data.folds=5"),
        ({"folds": 4}, r"data.folds=4 needs the fold to test on.*-m data.fold=1,2,3,4$"),
        ({"folds": 20}, r"-m data.fold=range\(1,21\)$"),
        ({"fold": 6, "folds": 5}, "data.fold=6 is impossible: it must be from 1 to data.folds=5"),
        ({"fold": 0, "folds": 5}, "data.fold=0 is impossible"),
        ({"fold": 1, "folds": 1}, "data.folds=1 is impossible: it must be at least 2"),
    ],
)
def test_a_fold_that_does_not_exist_is_prepared(plan: dict[str, int], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Plan(**plan)


@pytest.mark.parametrize(("folds", "number"), [(5, 4), (2, 3)])
def test_a_class_too_small_for_the_folds_is_left_out_of_some(folds: int, number: int) -> None:
    given = samples({"many": 40, "few": number})
    with pytest.raises(DataError, match="'few' has"):
        pictures_tested(given, folds)


def test_folds_share_one_store_or_cannot_be_loaded(tmp_path: Path) -> None:
    modules = [DigitsDataModule(plan=Plan(size=8, subsample=0.1, fold=k, folds=2), store=tmp_path) for k in (1, 2)]
    tested: list[str] = []
    for data in modules:
        data.prepare_data()
        again = ImageDataModule(DigitsSource(), plan=data.plan, store=tmp_path)
        assert again.manifest.plan == data.plan
        assert sum(len(images) for images, _ in again.test_dataloader()) == again.manifest.size_of("test")
        tested += again.prepared.ids("test")
    assert len({data.prepared.folder for data in modules}) == 2
    assert len(tested) == len(set(tested)) == 180


def test_a_manifest_from_before_folds_is_refused(tmp_path: Path) -> None:
    data = DigitsDataModule(plan=Plan(size=8, subsample=0.1), store=tmp_path)
    path = data.prepared.folder / "manifest.json"
    lines = [line for line in path.read_text().splitlines() if '"fold' not in line]
    text = "\n".join(lines).replace('"on_bad": "fail",', '"on_bad": "fail"')
    path.write_text(text)
    assert "fold" not in text
    assert DigitsDataModule(plan=data.plan, store=tmp_path).manifest == data.manifest
