"""Who trains, who validates, who tests: seeded draws that are the same on every machine.

Order comes from a hash of seed and sample id, never from a random generator or a file listing, so a split depends on
nothing but the ids, the labels and the seed. Everything here is pure: lists in, lists out.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from mlops_cls.errors import DataError, first_few

SPLITS = ("train", "val", "test")
ORDERS = 20


def rank(seed: int, name: object) -> str:
    """Return a sort key that puts names in a random order fixed by `seed`."""
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()


def apportion(total: int, quotas: Mapping[str, float], least: Mapping[str, int], seed: int) -> dict[str, int]:
    """Divide `total` into whole numbers near `quotas` by largest remainder, none below `least`."""
    counts = {name: max(int(quota), least[name]) for name, quota in quotas.items()}

    def lack(name: str) -> tuple[float, str]:
        return quotas[name] - counts[name], rank(seed, name)

    while sum(counts.values()) < total:
        counts[max(counts, key=lack)] += 1
    while sum(counts.values()) > total:
        counts[min((name for name in counts if counts[name] > least[name]), key=lack)] -= 1
    return counts


def subsample(
    ids: Sequence[str],
    strata: Sequence[Hashable],
    groups: Sequence[str | None],
    *,
    fraction: float,
    least: Mapping[Any, int],
    seed: int,
) -> list[int]:
    """Return the sorted positions of ``round(fraction * len(ids))`` samples, in the same proportions per stratum.

    Every stratum keeps at least ``least[stratum]`` samples, from different groups where it has them.

    Raises:
        DataError: so small a fraction cannot keep every stratum.
    """
    members = _by(strata)
    total = round(fraction * len(ids))
    if total < sum(least.values()):
        enough = sum(least.values()) / len(ids)
        raise DataError(
            f"data.subsample={fraction:g} of {len(ids)} pictures leaves {total}, too few to keep every class in every "
            f"split: use at least data.subsample={enough + 0.0005:.3f}"
        )
    keys = {str(stratum): stratum for stratum in members}
    quotas = {key: fraction * len(members[keys[key]]) for key in keys}
    counts = apportion(total, quotas, {key: least[keys[key]] for key in keys}, seed)
    chosen: list[int] = []
    for key, count in counts.items():
        order = sorted(members[keys[key]], key=lambda i: rank(seed, ids[i]))
        chosen += _new_groups_first(order, groups, least[keys[key]])[:count]
    return sorted(chosen)


def _new_groups_first(order: list[int], groups: Sequence[str | None], number: int) -> list[int]:
    """Move the first members of up to `number` groups to the front, so that a split by group stays possible."""
    firsts: dict[Hashable, int] = {}
    for i in order:
        firsts.setdefault(i if groups[i] is None else groups[i], i)
    front = list(firsts.values())[:number]
    return front + [i for i in order if i not in front]


def split_stratified(ids: Sequence[str], labels: Sequence[str], shares: Mapping[str, float], seed: int) -> list[str]:
    """Return the split of each sample, every class in the proportions of `shares` and in every split.

    Raises:
        DataError: a class has fewer pictures than there are splits.
    """
    members = _by(labels)
    _refuse_small({label: len(rows) for label, rows in members.items()}, shares, "pictures")
    result = [""] * len(ids)
    for label, rows in members.items():
        quotas = {split: share * len(rows) for split, share in shares.items()}
        counts = apportion(len(rows), quotas, dict.fromkeys(shares, 1), seed=hash_seed(seed, label))
        order = iter(sorted(rows, key=lambda i: rank(seed, ids[i])))
        for split, count in counts.items():
            for _ in range(count):
                result[next(order)] = split
    return result


def hash_seed(seed: int, name: object) -> int:
    """Return another seed, fixed by `seed` and `name`."""
    return int(rank(seed, name)[:8], 16)


def split_grouped(labels: Sequence[str], groups: Sequence[str], shares: Mapping[str, float], seed: int) -> list[str]:
    """Return the split of each sample so that no group is in two splits and classes keep near the proportions.

    Greedy: large groups first, each to the split whose share of the group's classes is least filled. Where few groups
    mix several classes, that can leave a split without one of them; other orders are tried then.

    Raises:
        DataError: a class occurs in fewer groups than there are splits, or no order put every class in every split.
    """
    members = _by(groups)
    # Sorted, so that the order of the samples decides nothing.
    content = {group: Counter(sorted(labels[i] for i in rows)) for group, rows in members.items()}
    _refuse_small(Counter(label for counts in content.values() for label in counts), shares, "groups")
    everywhere = len(shares) * len(set(labels))
    for order in _orders(content, seed):
        homes = _deal(order, content, shares)
        if len({(homes[group], label) for group in order for label in content[group]}) == everywhere:
            return [homes[group] for group in groups]
    raise DataError(
        f"found no way to give every class to each of {', '.join(shares)} without tearing one of the {len(content)} "
        "groups: add groups, or take a class out"
    )


def _orders(content: Mapping[Any, Counter[str]], seed: int) -> Iterator[list[Any]]:
    yield sorted(content, key=lambda group: (-content[group].total(), rank(seed, group)))
    for again in range(ORDERS):
        yield sorted(content, key=partial(rank, hash_seed(seed, again)))


def _deal(order: Sequence[Any], content: Mapping[Any, Counter[str]], shares: Mapping[str, float]) -> dict[Any, str]:
    totals = sum(content.values(), Counter[str]())
    groups_left = Counter(label for counts in content.values() for label in counts)
    filled: dict[str, Counter[str]] = {split: Counter() for split in shares}
    homes: dict[Any, str] = {}
    for group in order:
        counts = content[group]
        choices = _must_go_to(counts, groups_left, filled)
        homes[group] = min(choices, key=lambda split: _fill(filled[split], counts, totals, shares[split]))
        filled[homes[group]].update(counts)
        groups_left.subtract(counts.keys())
    return homes


def _fill(filled: Counter[str], added: Counter[str], totals: Counter[str], share: float) -> float:
    """How full a split would be after `added`, rare classes counting as much as frequent ones."""
    return sum(n / totals[c] * (filled[c] + n) / (share * totals[c]) for c, n in added.items())


def _must_go_to(counts: Counter[str], left: Counter[str], filled: Mapping[str, Counter[str]]) -> list[str]:
    """Return the splits a group may go to: only those lacking its class once as few groups as splits are left."""
    for label in counts:
        lacking = [split for split, have in filled.items() if not have[label]]
        if lacking and left[label] <= len(lacking):
            return lacking
    return list(filled)


def _by(keys: Sequence[Hashable]) -> dict[Hashable, list[int]]:
    positions: dict[Hashable, list[int]] = defaultdict(list)
    for i, key in enumerate(keys):
        positions[key].append(i)
    return positions


def _refuse_small(counts: Mapping[Any, int], shares: Mapping[str, float], what: str) -> None:
    small = [f"{label!r} has {n}" for label, n in counts.items() if n < len(shares)]
    if small:
        raise DataError(
            f"every class needs at least {len(shares)} {what}, one for each of {', '.join(shares)}; "
            f"{first_few(small)}: add pictures, or take the class out"
        )
