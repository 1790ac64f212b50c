"""Two runs side by side: what was around them, their scores and their weights, as values and as lines."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

HARDWARE = ("device", "device_name", "processor")
"""What must be the same for weights to be: another processor adds up in another order."""
CODE = 12
"""Letters of a hash that are shown."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that was not as it is now."""

    what: str
    recorded: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.what} {_short(self.recorded)} -> {_short(self.now)}"


@dataclass(frozen=True, slots=True)
class Score:
    """A score of both runs; None where a run has none of that name."""

    name: str
    recorded: float | None
    again: float | None

    @property
    def difference(self) -> float | None:
        """How much higher the score is now."""
        if self.recorded is None or self.again is None:
            return None
        return 0.0 if self.recorded == self.again else self.again - self.recorded


@dataclass(frozen=True, slots=True)
class Weights:
    """How many tensors of the best checkpoints there are, which differ, and by how much at most."""

    tensors: int
    differing: tuple[str, ...]
    largest: float | None
    """Largest absolute difference; None where there is none, or shapes differ."""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came of running a recorded run again.

    `weights` is None where they were not compared: on other hardware, or without the recorded checkpoint. `notes` say
    what cannot be known or kept the same.
    """

    recorded: str
    again: str
    notes: tuple[str, ...]
    changes: tuple[Change, ...]
    scores: tuple[Score, ...]
    weights: Weights | None
    tolerance: float = 0.0

    @property
    def differing(self) -> tuple[Score, ...]:
        """The scores that differ by more than the tolerance, the most different first."""
        off = [score for score in self.scores if _off(score) > self.tolerance]
        return tuple(sorted(off, key=_off, reverse=True))

    @property
    def reproduced(self) -> bool:
        """Whether all scores are the same within the tolerance; without one, the weights too if they were compared."""
        same_weights = self.weights is None or not self.weights.differing or self.tolerance > 0
        return bool(self.scores) and not self.differing and same_weights

    def describe(self) -> dict[str, Any]:
        """Return plain JSON values."""
        values = asdict(self)
        for plain, score in zip(values["scores"], self.scores, strict=True):
            plain["difference"] = score.difference
        return {"reproduced": self.reproduced, **values}

    def lines(self) -> Iterator[str]:
        """Yield the scores as a table, and then what it means."""
        width = max([len(score.name) for score in self.scores], default=0)
        if self.scores:
            yield f"{'':<{width}}  {'recorded':>10}  {'again':>10}  difference"
        for score in self.scores:
            difference = "" if score.difference is None else f"{score.difference:+.2e}" if score.difference else "0"
            yield f"{score.name:<{width}}  {_number(score.recorded):>10}  {_number(score.again):>10}  {difference:>10}"
        yield _about(self.weights)
        yield self._verdict()

    def _verdict(self) -> str:
        if self.reproduced:
            within = f"within {self.tolerance:g}" if self.tolerance else "exactly"
            return f"reproduced: all {len(self.scores)} scores are the same, {within}"
        if not self.scores:
            return "not compared: the record has no scores"
        if not self.differing:
            return "not reproduced: the scores are the same, the weights are not"
        worst = self.differing[0]
        return f"not reproduced: {len(self.differing)} of {len(self.scores)} scores differ, {worst.name} the most"


def changes(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return what is not as it was: commit, versions, machine and device; both are provenance, as it is in a card."""
    before, after = _facts(recorded), _facts(now)
    keys = dict.fromkeys([*before, *after])
    return tuple(Change(key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key))


def data_changes(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return how two prepared data sets differ, by their identities; see `Manifest.identity`."""
    words = {"source": "data set", "content": "hash of pictures and labels", "split": "hash of the split"}
    return tuple(
        Change(word, recorded.get(key), now[key]) for key, word in words.items() if recorded.get(key) != now[key]
    )


def compare_scores(recorded: Mapping[str, float], again: Mapping[str, float]) -> tuple[Score, ...]:
    """Return each score of either run, in the order of the record."""
    names = dict.fromkeys([*recorded, *again])
    return tuple(Score(name, recorded.get(name), again.get(name)) for name in names)


def compare_weights(recorded: Mapping[str, Tensor], again: Mapping[str, Tensor]) -> Weights:
    """Compare tensors of the same names bit by bit; one that only one side has differs."""
    names = dict.fromkeys([*recorded, *again])
    unequal = [n for n in names if n not in recorded or n not in again or not torch.equal(recorded[n], again[n])]
    comparable = all(n in recorded and n in again and recorded[n].shape == again[n].shape for n in unequal)
    apart = [float((recorded[n].double() - again[n].double()).abs().max()) for n in unequal] if comparable else []
    return Weights(len(names), tuple(unequal), max(apart, default=None))


def _facts(provenance: Mapping[str, Any]) -> dict[str, Any]:
    git, runtime = provenance["git"] or {}, provenance["runtime"]
    return {
        "commit": git.get("commit"),
        "uncommitted changes": git.get("dirty"),
        **provenance["versions"],
        **provenance["machine"],
        "device": runtime["device"],
        "device_name": runtime["device_name"],
    }


def _off(score: Score) -> float:
    return float("inf") if score.difference is None else abs(score.difference)


def _about(weights: Weights | None) -> str:
    if weights is None:
        return "weights were not compared"
    if not weights.differing:
        return f"weights: all {weights.tensors} tensors are the same, bit by bit"
    by = "" if weights.largest is None else f", by {weights.largest:.3g} at most"
    return f"weights: {len(weights.differing)} of {weights.tensors} tensors differ{by}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _short(value: Any) -> str:
    text = {None: "unknown", True: "yes", False: "no"}.get(value, str(value))
    is_hash = len(text) >= 40 and set(text) <= set("0123456789abcdef")
    return text[:CODE] if is_hash else text
