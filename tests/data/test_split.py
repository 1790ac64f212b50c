"""Splits and subsamples are fair, complete and the same everywhere, whatever order the samples come in."""

import contextlib
import os
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence

import pytest
from sklearn.model_selection import StratifiedShuffleSplit

from mlops_cls.data.split import apportion, split_grouped, split_stratified, subsample
from mlops_cls.errors import DataError

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}


def labelled(counts: dict[str, int]) -> tuple[list[str], list[str]]:
    labels = [label for label, number in counts.items() for _ in range(number)]
    return [f"{label}/{i:04d}.png" for i, label in enumerate(labels)], labels


def grouped(number: int, classes: int, seed: int, *, mixed: bool) -> tuple[list[str], list[str]]:
    """Return labels and groups: groups of 1 to 8 pictures, of one class each or of any."""
    generator = random.Random(seed)
    labels, groups = [], []
    for group in range(number):
        for _ in range(generator.choice([1, 2, 3, 8])):
            labels.append(f"c{generator.randrange(classes) if mixed else group % classes}")
            groups.append(f"g{group}")
    return labels, groups


def shuffled(number: int, seed: int = 1) -> list[int]:
    return random.Random(seed).sample(range(number), number)


def homes(groups: Sequence[str], splits: Sequence[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for group, split in zip(groups, splits, strict=True):
        found[group].add(split)
    return found


def test_a_share_is_rounded_away_or_the_total_is_missed() -> None:
    assert apportion(10, {"a": 5.5, "b": 4.5}, {"a": 0, "b": 0}, 0) in ({"a": 6, "b": 4}, {"a": 5, "b": 5})
    assert apportion(10, {"a": 9.4, "b": 0.3, "c": 0.3}, {"a": 1, "b": 1, "c": 1}, 0) == {"a": 8, "b": 1, "c": 1}
    assert apportion(7, {"a": 3.6, "b": 2.3, "c": 1.1}, {"a": 0, "b": 0, "c": 0}, 0) == {"a": 4, "b": 2, "c": 1}


@pytest.mark.parametrize("counts", [{"a": 100, "b": 40, "c": 20}, {"a": 3, "b": 1000, "c": 17}, {"a": 4}])
def test_classes_are_split_in_other_proportions(counts: dict[str, int]) -> None:
    ids, labels = labelled(counts)
    found = Counter(zip(labels, split_stratified(ids, labels, SHARES, 0), strict=True))
    for label, number in counts.items():
        split_sizes = {split: found[label, split] for split in SHARES}
        assert sum(split_sizes.values()) == number
        assert min(split_sizes.values()) >= 1
        if number >= 17:
            assert all(abs(size - SHARES[split] * number) < 1 for split, size in split_sizes.items())
    if counts == {"a": 100, "b": 40, "c": 20}:
        assert [found[label, "train"] for label in "abc"] == [70, 28, 14]
        assert [found[label, "val"] for label in "abc"] == [15, 6, 3]


def test_every_class_gives_its_odd_picture_to_the_same_split() -> None:
    ids, labels = labelled({f"c{i}": 10 for i in range(40)})  # 1.5 pictures each for val and test
    sizes = Counter(split_stratified(ids, labels, SHARES, 0))
    assert sizes["train"] == 280
    assert abs(sizes["val"] - sizes["test"]) < 24


def test_a_class_gets_another_number_than_scikit_learn_gives_it() -> None:
    counts = {"a": 400, "b": 80, "c": 40}
    ids, labels = labelled(counts)
    _, test = next(StratifiedShuffleSplit(1, test_size=0.25, random_state=0).split(ids, labels))
    splits = split_stratified(ids, labels, {"train": 0.75, "test": 0.25}, 0)
    ours = Counter(label for label, split in zip(labels, splits, strict=True) if split == "test")
    assert ours == Counter(labels[i] for i in test)


def test_the_order_of_the_files_decides_the_split() -> None:
    ids, labels = labelled({"a": 31, "b": 50, "c": 7})
    splits = split_stratified(ids, labels, SHARES, 3)
    order = shuffled(len(ids))
    again = split_stratified([ids[i] for i in order], [labels[i] for i in order], SHARES, 3)
    assert again == [splits[i] for i in order]


def test_adding_a_class_moves_pictures_of_the_others() -> None:
    ids, labels = labelled({"a": 31, "b": 50})
    more_ids, more_labels = labelled({"a": 31, "b": 50, "c": 20})
    assert split_stratified(more_ids, more_labels, SHARES, 0)[: len(ids)] == split_stratified(ids, labels, SHARES, 0)


def test_a_split_is_another_one_on_another_machine() -> None:
    ids, labels = labelled({"cat": 6, "dog": 5})
    expected = "val train train train train test test train val train train"
    assert " ".join(split_stratified(ids, labels, SHARES, 0)) == expected
    assert " ".join(split_stratified(ids, labels, SHARES, 1)) != expected
    assert subsample(ids, labels, [None] * 11, fraction=0.5, least={"cat": 1, "dog": 1}, seed=0) == [1, 3, 4, 7, 9, 10]
    groups = ["1", "1", "2", "3", "4", "4", "5", "6", "6", "7", "8"]
    assert (
        " ".join(split_grouped(labels, groups, SHARES, 0))
        == "train train test val train train test train train train val"
    )


def test_a_split_depends_on_python_hashing() -> None:
    code = (
        "from mlops_cls.data.split import split_grouped, split_stratified\n"
        "ids = [f'i{i}' for i in range(60)]; labels = [f'c{i % 3}' for i in range(60)]\n"
        "groups = [f'g{i // 3}' for i in range(60)]; shares = {'train': .6, 'val': .2, 'test': .2}\n"
        "print(split_stratified(ids, labels, shares, 0), split_grouped(labels, groups, shares, 0))"
    )
    outputs = {
        subprocess.check_output([sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed})
        for seed in ("1", "2", "3")
    }
    assert len(outputs) == 1


def test_too_small_a_class_leaves_a_split_without_it() -> None:
    ids, labels = labelled({"many": 30, "few": 2})
    with pytest.raises(DataError, match=r"at least 3 pictures.*'few' has 2"):
        split_stratified(ids, labels, SHARES, 0)
    with pytest.raises(DataError, match=r"at least 3 groups.*'few' has 2"):
        split_grouped(labels, ids, SHARES, 0)
    assert set(split_stratified(ids, labels, {"train": 0.8, "test": 0.2}, 0)[-2:]) == {"train", "test"}


@pytest.mark.parametrize("mixed", [False, True], ids=["one class a group", "mixed classes"])
@pytest.mark.parametrize("seed", range(15))
def test_a_group_is_torn_or_a_split_lacks_a_class(seed: int, mixed: bool) -> None:
    labels, groups = grouped(45, 3, seed, mixed=mixed)
    splits = split_grouped(labels, groups, SHARES, seed)
    assert all(len(found) == 1 for found in homes(groups, splits).values())
    assert all(found == set(SHARES) for found in homes(labels, splits).values())
    sizes = Counter(splits)
    assert all(abs(sizes[split] / len(labels) - share) < 0.07 for split, share in SHARES.items())


def number_divided(seeds: range) -> int:
    """Return how many draws of few groups with mixed classes could be divided; check each division."""
    number = 0
    for seed in seeds:
        labels, groups = grouped(8, 5, seed, mixed=True)
        with contextlib.suppress(DataError):
            splits = split_grouped(labels, groups, SHARES, seed)
            assert all(found == set(SHARES) for found in homes(labels, splits).values()), seed
            number += 1
    return number


def test_few_groups_that_mix_classes_leave_a_split_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    divided = number_divided(range(200))
    monkeypatch.setattr("mlops_cls.data.split.ORDERS", 0)
    assert divided > number_divided(range(200)) > 0


def test_groups_that_cannot_be_divided_are_divided() -> None:
    # a keeps 1, 2 and 3 apart, b 1, 2 and 4: so 3 and 4 are together, which c forbids.
    classes = {"1": "ab", "2": "ab", "3": "ac", "4": "bc", "5": "c"}
    groups, labels = zip(*((group, label) for group, text in classes.items() for label in text), strict=True)
    with pytest.raises(DataError, match="without tearing one of the 5 groups"):
        split_grouped(labels, groups, SHARES, 0)


@pytest.mark.parametrize("mixed", [False, True], ids=["one class a group", "mixed classes"])
def test_the_order_of_the_files_decides_where_a_group_goes(mixed: bool) -> None:
    for seed in range(100):
        labels, groups = grouped(8, 5, seed, mixed=mixed)
        try:
            splits = split_grouped(labels, groups, SHARES, seed)
        except DataError:
            continue
        order = shuffled(len(labels), seed)
        again = split_grouped([labels[i] for i in order], [groups[i] for i in order], SHARES, seed)
        assert again == [splits[i] for i in order], seed


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.333, 0.5, 0.9])
def test_a_subsample_has_another_size_or_lacks_a_class(fraction: float) -> None:
    counts = {"a": 501, "b": 77, "c": 4}
    ids, labels = labelled(counts)
    kept = subsample(ids, labels, [None] * len(ids), fraction=fraction, least=dict.fromkeys(counts, 3), seed=0)
    assert len(kept) == round(fraction * len(ids))
    assert kept == sorted(set(kept))
    found = Counter(labels[i] for i in kept)
    assert min(found.values()) >= 3
    assert abs(found["a"] - fraction * 501) < 4


def test_the_order_of_the_files_decides_the_subsample() -> None:
    ids, labels = labelled({"a": 40, "b": 25})
    groups = [None if i % 3 else f"g{i // 9}" for i in range(len(ids))]
    options = {"fraction": 0.3, "least": {"a": 3, "b": 3}, "seed": 5}
    kept = {ids[i] for i in subsample(ids, labels, groups, **options)}
    for seed in range(5):
        order = shuffled(len(ids), seed)
        columns = ([column[i] for i in order] for column in (ids, labels, groups))
        assert kept == {ids[order[i]] for i in subsample(*columns, **options)}


def test_a_subsample_makes_a_split_by_group_impossible() -> None:
    # One large group and several small ones: drawn by picture alone, the few would all come from the large one.
    labels = ["a"] * 100 + ["b"] * 100
    groups = [f"{label}{max(0, i % 100 - 90)}" for i, label in enumerate(labels)]
    ids = [f"i{i}" for i in range(200)]
    for seed in range(20):
        kept = subsample(ids, labels, groups, fraction=0.04, least={"a": 3, "b": 3}, seed=seed)
        splits = split_grouped([labels[i] for i in kept], [groups[i] for i in kept], SHARES, seed)
        assert len(kept) == 8
        assert Counter(splits).keys() == SHARES.keys()


@pytest.mark.parametrize("counts", [{"a": 4000, "b": 93, "c": 7}, {"a": 3, "b": 3}, {f"c{i}": 7 for i in range(40)}])
def test_the_suggested_fraction_is_refused_as_well(counts: dict[str, int]) -> None:
    ids, labels = labelled(counts)
    options = {"least": dict.fromkeys(counts, 3), "seed": 0}
    with pytest.raises(DataError, match="too few to keep every class") as refused:
        subsample(ids, labels, [None] * len(ids), fraction=0.001, **options)
    suggestion = re.search(r"use at least data\.subsample=([\d.]+)$", str(refused.value))
    assert suggestion
    kept = subsample(ids, labels, [None] * len(ids), fraction=float(suggestion[1]), **options)
    assert Counter(labels[i] for i in kept).keys() == counts.keys()
