"""The right rule divides each data set, and what would leak, be lost or be ignored is refused."""

import re
from collections import Counter

import pytest

from mlops_cls.data.manifest import Plan
from mlops_cls.data.partition import partition
from mlops_cls.data.source import Sample
from mlops_cls.errors import ConfigError, DataError


def samples(counts: dict[str, int], split: str | None = None, *, group_of: int = 0) -> list[Sample]:
    """Return samples of each class; with `group_of`, each group holds that many of one class."""
    return [
        Sample(f"{split}/{label}/{i:03d}", label, split, f"{split}-{label}-{i // group_of}" if group_of else None)
        for label, number in counts.items()
        for i in range(number)
    ]


def ids(found: list[Sample], *splits: str) -> set[str]:
    return {sample.id for sample in found if sample.split in splits}


def divide(given: list[Sample], **plan: object) -> dict[str, int]:
    """Return the number of samples per split; check that none is lost, doubled or changed."""
    found, _ = partition(given, Plan(**plan))
    assert {s.id for s in found} <= {s.id for s in given}
    assert len({s.id for s in found}) == len(found)
    labels = {s.id: (s.label, s.group) for s in given}
    assert all(labels[s.id] == (s.label, s.group) for s in found)
    return dict(Counter(s.split for s in found))


SHIPPED = [
    *samples({"a": 40, "b": 20}, "train"),
    *samples({"a": 10, "b": 5}, "val"),
    *samples({"a": 8, "b": 4}, "test"),
]
PARTLY = [*samples({"a": 60, "b": 40}, "train"), *samples({"a": 10, "b": 5}, "test")]


def test_a_data_set_without_splits_is_not_divided_by_class() -> None:
    given = samples({"a": 100, "b": 40})
    assert divide(given) == {"train": 98, "val": 21, "test": 21}
    assert divide(given, val_fraction=0.1, test_fraction=0.2) == {"train": 98, "val": 14, "test": 28}
    assert partition(given, Plan())[1] == "stratified"


def test_another_seed_gives_the_same_split() -> None:
    given = samples({"a": 100, "b": 40})
    assert ids(partition(given, Plan(seed=1))[0], "test") != ids(partition(given, Plan(seed=2))[0], "test")
    assert partition(given, Plan(seed=1)) == partition(given, Plan(seed=1))


def test_shipped_splits_are_drawn_anew() -> None:
    found, rule = partition(SHIPPED, Plan())
    assert (found, rule) == (SHIPPED, "shipped")


def test_val_is_not_cut_out_of_the_shipped_training_pictures() -> None:
    found, rule = partition(PARTLY, Plan(val_fraction=0.2))
    assert rule == "shipped"
    assert ids(found, "test") == ids(PARTLY, "test")
    assert ids(found, "train", "val") == ids(PARTLY, "train")
    assert Counter(s.label for s in found if s.split == "val") == {"a": 12, "b": 8}
    assert divide(PARTLY) == {"train": 85, "val": 15, "test": 15}


def test_test_is_not_cut_out_where_only_val_ships() -> None:
    given = [*samples({"a": 60, "b": 40}, "train"), *samples({"a": 5, "b": 5}, "val")]
    found, _ = partition(given, Plan(test_fraction=0.1))
    assert ids(found, "val") == ids(given, "val")
    assert Counter(s.label for s in found if s.split == "test") == {"a": 6, "b": 4}


def test_a_group_is_torn_when_val_is_cut_out_of_train() -> None:
    given = [*samples({"a": 60, "b": 40}, "train", group_of=4), *samples({"a": 5, "b": 5}, "test", group_of=5)]
    found, rule = partition(given, Plan(val_fraction=0.2))
    assert rule == "shipped"
    val, train = ({s.group for s in found if s.split == split} for split in ("val", "train"))
    assert val
    assert not val & train
    assert Counter(s.label for s in found if s.split == "val") == {"a": 12, "b": 8}


def test_groups_are_torn_unless_they_are_asked_for() -> None:
    given = samples({"a": 60, "b": 60}, group_of=5)
    found, rule = partition(given, Plan())
    assert rule == "group"
    assert len({(s.group, s.split) for s in found}) == len({s.group for s in found})
    assert partition(given, Plan(split="stratified"))[1] == "stratified"


def test_pictures_without_a_group_share_one() -> None:
    given = [*samples({"a": 20}, group_of=5), *(Sample(f"lone/{i}", "a") for i in range(40))]
    found, _ = partition(given, Plan())
    assert {s.split for s in found if s.group is None} == {"train", "val", "test"}
    assert Counter(s.split for s in found) == {"train": 42, "val": 9, "test": 9}


def test_a_rule_that_was_asked_for_is_not_used() -> None:
    assert partition(SHIPPED, Plan(split="stratified"))[1] == "stratified"
    assert divide(SHIPPED, split="stratified", test_fraction=0.3) == {"train": 48, "val": 13, "test": 26}
    regrouped = [*samples({"a": 20}, "train", group_of=2), *samples({"a": 20}, "test", group_of=2)]
    assert partition(regrouped, Plan(split="group"))[1] == "group"
    assert partition(SHIPPED, Plan(split="shipped"))[0] == SHIPPED


def test_a_rule_the_data_cannot_serve_is_replaced_by_another() -> None:
    with pytest.raises(ConfigError, match=r"this data set has no groups; for data=table name data.group_column"):
        partition(samples({"a": 20}), Plan(split="group"))
    with pytest.raises(ConfigError, match="this data set ships no splits; use auto, stratified or group"):
        partition(samples({"a": 20}), Plan(split="shipped"))


@pytest.mark.parametrize(
    ("given", "plan", "name"),
    [
        (SHIPPED, {"test_fraction": 0.2}, "data.test_fraction=0.2"),
        (SHIPPED, {"val_fraction": 0.2}, "data.val_fraction=0.2"),
        (PARTLY, {"test_fraction": 0.2}, "data.test_fraction=0.2"),
    ],
)
def test_a_fraction_that_is_not_used_passes(given: list[Sample], plan: dict[str, float], name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} would not be used: the data set ships its own"):
        partition(given, Plan(**plan))


@pytest.mark.parametrize("plan", [{"val_fraction": 0.9}, {"val_fraction": 0.5, "test_fraction": 0.5}])
def test_fractions_that_leave_no_training_pictures_pass(plan: dict[str, float]) -> None:
    # 0.9 and the default 0.15 of the other: once, train was left with one picture a class.
    with pytest.raises(ConfigError, match="nothing would be left to train on"):
        partition(samples({"a": 100, "b": 40}), Plan(**plan))


def test_a_class_that_train_lacks_is_scored() -> None:
    for split in ("val", "test"):
        with pytest.raises(DataError, match=f"classes in {split} that train lacks: new; no model can learn them"):
            partition([*SHIPPED, *samples({"new": 3}, split)], Plan())
    allowed = [*SHIPPED, *samples({"new": 3}, "train")]
    assert partition(allowed, Plan())[0] == allowed


def test_a_group_in_two_shipped_splits_leaks_the_test() -> None:
    torn = [
        *samples({"a": 5}, "train", group_of=1),
        *samples({"a": 5}, "val", group_of=1),
        Sample("1", "a", "train", "patient 7"),
        Sample("2", "a", "test", "patient 7"),
    ]
    with pytest.raises(DataError, match=r"1 groups are in more than one shipped split.*patient 7.*data.split=group"):
        partition(torn, Plan())


def test_pictures_without_a_split_are_dropped_in_silence() -> None:
    with pytest.raises(DataError, match="7 pictures have no split while others have"):
        partition([*SHIPPED, *samples({"a": 7})], Plan())


def test_an_empty_split_passes() -> None:
    given = [*samples({"a": 4}, "val"), *samples({"a": 4}, "test")]
    with pytest.raises(DataError, match="train"):
        partition(given, Plan())


@pytest.mark.parametrize("fraction", [0.2, 0.5])
def test_a_subsample_grows_back_or_leaks_the_shipped_test(fraction: float) -> None:
    for given in (SHIPPED, PARTLY):
        found, _ = partition(given, Plan(subsample=fraction))
        assert len(found) == round(fraction * len(given))
        assert ids(found, "test") < ids(given, "test")
        assert ids(found, "train") < ids(given, "train")
        assert not ids(found, "train", "val") & ids(given, "test")
        assert {(s.split, s.label) for s in found} == {(s, c) for s in ("train", "val", "test") for c in "ab"}
        sizes = Counter(s.split for s in found)
        assert abs(sizes["test"] - fraction * len(ids(given, "test"))) < 2


def test_a_subsample_by_group_cannot_be_divided() -> None:
    for fraction in (0.06, 0.1, 0.5):
        found, rule = partition(samples({"a": 100, "b": 100}, group_of=10), Plan(subsample=fraction))
        assert rule == "group"
        assert len(found) == round(fraction * 200)
        assert {(s.split, s.label) for s in found} == {(s, c) for s in ("train", "val", "test") for c in "ab"}


@pytest.mark.parametrize(
    "given", [SHIPPED, PARTLY, samples({"a": 300, "b": 7}), samples({"a": 90, "b": 30}, group_of=3)]
)
def test_the_suggested_subsample_is_refused_as_well(given: list[Sample]) -> None:
    with pytest.raises(DataError) as refused:
        partition(given, Plan(subsample=0.001))
    suggestion = re.search(r"data\.subsample=([\d.]+)$", str(refused.value))
    assert suggestion
    found, _ = partition(given, Plan(subsample=float(suggestion[1])))
    assert {(s.split, s.label) for s in found} == {(s, c) for s in ("train", "val", "test") for c in "ab"}
