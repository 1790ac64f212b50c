"""How a setting says what it allows: bounds on a number, and settings that only some choices read."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

Problems = Iterator[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """The numbers a setting may take: `low` and `high` included, `above` and `below` not."""

    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        return not (
            (self.low is not None and value < self.low)
            or (self.high is not None and value > self.high)
            or (self.above is not None and value <= self.above)
            or (self.below is not None and value >= self.below)
        )

    def __str__(self) -> str:
        words = {"at least": self.low, "above": self.above, "at most": self.high, "below": self.below}
        return " and ".join(f"{word} {limit}" for word, limit in words.items() if limit is not None)


def bounded(default: Any, **limits: float) -> Any:
    """A dataclass field whose value, unless None, must lie within `Bounds(**limits)`."""
    return field(default=default, metadata={"bounds": Bounds(**limits)})


def out_of_bounds(section: Any, prefix: str) -> Problems:
    """Name each number of the dataclass `section` that lies outside its bounds."""
    for setting in fields(section):
        value, bounds = getattr(section, setting.name), setting.metadata.get("bounds")
        if bounds is not None and value is not None and value not in bounds:
            yield f"{prefix}{setting.name}={value} is impossible: it must be {bounds}"


class Section:
    """Base of every section: its own rules beyond the bounds of single settings."""

    __slots__ = ()

    def problems(self) -> Problems:
        """Yield one sentence for each combination that is impossible or would not be used."""
        yield from ()


def unused(section: object, prefix: str, keys: str, because: str) -> Problems:
    """Name each of the keys that was given although nothing would read it."""
    for key in keys.split():
        value = getattr(section, key)
        if value is not None:
            yield f"{prefix}.{key}={value} would not be used: {because}"
