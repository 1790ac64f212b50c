"""From a source's samples to chosen samples with a split each: which rule applies, and what it refuses."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from mlops_cls.config.data import EITHER, FOLD_IS_TEST
from mlops_cls.data.manifest import Plan
from mlops_cls.data.source import Sample
from mlops_cls.data.split import SPLITS, hash_seed, split_grouped, split_stratified, subsample
from mlops_cls.errors import ConfigError, DataError, first_few

DEFAULT_FRACTION = 0.15


def partition(samples: Sequence[Sample], plan: Plan) -> tuple[list[Sample], str]:
    """Return the chosen samples, each with its split, and the rule used: shipped, group or stratified.

    Raises:
        DataError: too few pictures of a class, a class that train lacks, or a group in two shipped splits.
        ConfigError: the plan asks for a rule the data cannot serve, for a fraction that would not be used,
            for fractions that leave nothing to train on, or for folds of a test split that is shipped.
    """
    rule = _rule(samples, plan)
    shares = _shares(samples, plan, rule)
    chosen = _subsample(samples, plan, rule, shares)
    divided = _folded(chosen, shares, plan, rule) if plan.folds else _BY_RULE[rule](chosen, shares, plan.seed)
    _refuse_untrained_classes(divided)
    return divided, rule


def _rule(samples: Sequence[Sample], plan: Plan) -> str:
    shipped, grouped = any(s.split for s in samples), any(s.group is not None for s in samples)
    if plan.folds and shipped and plan.split in ("auto", "shipped"):
        raise ConfigError(f"this data set ships its own splits and data.folds={plan.folds} would tear them: {EITHER}")
    if plan.split == "auto":
        return "shipped" if shipped else "group" if grouped else "stratified"
    if plan.split == "shipped" and not shipped:
        raise ConfigError("data.split=shipped: this data set ships no splits; use auto, stratified or group")
    if plan.split == "group" and not grouped:
        raise ConfigError("data.split=group: this data set has no groups; for data=table name data.group_column=COLUMN")
    return plan.split


def _shares(samples: Sequence[Sample], plan: Plan, rule: str) -> dict[str, float]:
    """Return the splits to make and their shares of what is divided; nothing where all three are shipped."""
    if plan.folds:
        return _shares_beside_a_fold(plan)
    shipped = {s.split for s in samples} if rule == "shipped" else set()
    for split, fraction in (("val", plan.val_fraction), ("test", plan.test_fraction)):
        if split in shipped and fraction is not None:
            raise ConfigError(
                f"data.{split}_fraction={fraction} would not be used: the data set ships its own {split} split "
                "(data.split=stratified would ignore it)"
            )
    val = 0.0 if "val" in shipped else plan.val_fraction or DEFAULT_FRACTION
    test = 0.0 if "test" in shipped else plan.test_fraction or DEFAULT_FRACTION
    if val + test >= 1:
        raise ConfigError(f"val takes {val:g} and test {test:g} of the pictures: nothing would be left to train on")
    return {split: share for split, share in zip(SPLITS, (1 - val - test, val, test), strict=True) if share}


def _shares_beside_a_fold(plan: Plan) -> dict[str, float]:
    if plan.test_fraction is not None:
        raise ConfigError(f"data.test_fraction={plan.test_fraction} would not be used: {FOLD_IS_TEST}")
    val = plan.val_fraction or DEFAULT_FRACTION
    return {"train": 1 - val, "val": val}


def _subsample(samples: Sequence[Sample], plan: Plan, rule: str, shares: dict[str, float]) -> list[Sample]:
    if plan.subsample == 1:
        return list(samples)
    # What ships as train is divided by `shares`; what ships as val or test stays whole and needs one picture a class.
    strata = [(s.split if rule == "shipped" else None, s.label) for s in samples]
    sizes = Counter(strata)
    parts = len(shares) if plan.folds is None else _least_for_folds(plan.folds)
    least = {key: min(sizes[key], parts if key[0] in (None, "train") else 1) for key in sizes}
    groups = [s.group for s in samples]
    ids = [s.id for s in samples]
    kept = subsample(ids, strata, groups, fraction=plan.subsample, least=least, seed=plan.seed)
    return [samples[i] for i in kept]


def _least_for_folds(folds: int) -> int:
    """Return how many pictures of a class are enough for one in each fold, and for train and val beside any fold."""
    return 4 if folds == 2 else folds


def _folded(samples: Sequence[Sample], shares: dict[str, float], plan: Plan, rule: str) -> list[Sample]:
    """Deal the samples into equal folds, take one as test and divide the others; see Stone 1974, JRSS B 36(2)."""
    assert plan.folds is not None
    divide, test = _BY_RULE[rule], f"fold {plan.fold}"
    dealt = divide(samples, {f"fold {number + 1}": 1 / plan.folds for number in range(plan.folds)}, plan.seed)
    rest = [s for s in dealt if s.split != test]
    # With the same seed, the pictures that come last in the order would be val beside nearly every fold.
    divided = divide(rest, shares, hash_seed(plan.seed, test))
    return [*divided, *(replace(s, split="test") for s in dealt if s.split == test)]


def _stratified(samples: Sequence[Sample], shares: dict[str, float], seed: int) -> list[Sample]:
    splits = split_stratified([s.id for s in samples], [s.label for s in samples], shares, seed)
    return [replace(sample, split=split) for sample, split in zip(samples, splits, strict=True)]


def _grouped(samples: Sequence[Sample], shares: dict[str, float], seed: int) -> list[Sample]:
    # A sample without a group is a group of its own.
    groups = [f"id:{s.id}" if s.group is None else f"group:{s.group}" for s in samples]
    splits = split_grouped([s.label for s in samples], groups, shares, seed)
    return [replace(sample, split=split) for sample, split in zip(samples, splits, strict=True)]


def _as_shipped(samples: Sequence[Sample], shares: dict[str, float], seed: int) -> list[Sample]:
    homeless = sum(s.split is None for s in samples)
    if homeless:
        raise DataError(f"{homeless} pictures have no split while others have: give every picture train, val or test")
    _refuse_leaks(samples)
    if set(shares) == {"train"}:
        return list(samples)
    train = [s for s in samples if s.split == "train"]
    rest = [s for s in samples if s.split != "train"]
    divide = _grouped if any(s.group is not None for s in train) else _stratified
    return [*divide(train, shares, seed), *rest]


_BY_RULE = {"shipped": _as_shipped, "group": _grouped, "stratified": _stratified}


def _refuse_leaks(samples: Sequence[Sample]) -> None:
    homes: dict[str, set[str | None]] = defaultdict(set)
    for sample in samples:
        if sample.group is not None:
            homes[sample.group].add(sample.split)
    torn = sorted(group for group, splits in homes.items() if len(splits) > 1)
    if torn:
        raise DataError(
            f"{len(torn)} groups are in more than one shipped split, so the test would be leaked: {first_few(torn)}; "
            "mend the split column, or use data.split=group"
        )


def _refuse_untrained_classes(samples: Sequence[Sample]) -> None:
    classes: dict[str | None, set[str]] = defaultdict(set)
    for sample in samples:
        classes[sample.split].add(sample.label)
    for split in SPLITS[1:]:
        unknown = sorted(classes[split] - classes["train"])
        if unknown:
            raise DataError(f"classes in {split} that train lacks: {first_few(unknown)}; no model can learn them")
    missing = [split for split in SPLITS if not classes[split]]
    if missing:
        raise DataError(f"no pictures in {', '.join(missing)}")
