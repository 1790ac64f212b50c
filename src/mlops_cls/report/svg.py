"""Charts as inline SVG: text that can be selected, colours that follow the page, light or dark, and no script."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 360, 250
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 40
Point = tuple[float, float]


def tag(name: str, *inside: str, **attributes: object) -> Markup:
    """Return an element, escaped; ``kind`` becomes class, underscores become hyphens, numbers are kept short."""
    names = {"kind": "class"}
    given = Markup("").join(
        Markup(' {}="{}"').format(names.get(key, key.replace("_", "-")), _short(value))
        for key, value in attributes.items()
    )
    return Markup("<{0}{1}>{2}</{0}>").format(name, given, Markup("").join(inside))


def picture(title: str, *inside: str, width: float, height: float, kind: str = "chart") -> Markup:
    """Return a whole SVG that a screen reader calls by its title."""
    box = f"0 0 {_short(width)} {_short(height)}"
    return tag("svg", tag("title", title), *inside, viewBox=box, role="img", aria_label=title, kind=kind)


@dataclass(frozen=True, slots=True)
class Scale:
    """From `low` to `high` of an axis, with the ticks to write and how they are written."""

    low: float
    high: float
    ticks: tuple[float, ...]
    form: str = "{:g}"

    @classmethod
    def around(cls, values: Iterable[float], *, most: int = 5) -> "Scale":
        """Return a scale with round ticks that has room for all the values."""
        finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
        low, high = min(finite), max(finite)
        step = _round_step((high - low) / most or abs(high) / most or 1.0)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        last = max(last, first + 1)
        ticks = tuple(round(number * step, 10) for number in range(first, last + 1))
        return cls(ticks[0], ticks[-1], ticks)

    @classmethod
    def of_shares(cls, values: Iterable[float]) -> "Scale":
        """Return such a scale for shares, in percent."""
        given = list(values)
        # Equal ones, such as those of a perfect classifier, need some room below.
        scale = cls.around(
            given if max(given) > min(given) else [*given, given[0] - 0.1 if given[0] > 0.1 else given[0] + 0.1]
        )
        ticks = tuple(tick for tick in scale.ticks if tick <= 1)
        return cls(ticks[0], ticks[-1], ticks, "{:.0%}" if ticks[1] - ticks[0] >= 0.0099 else "{:.1%}")

    @classmethod
    def counting(cls, last: int, *, most: int = 6) -> "Scale":
        """Return a scale from 1 to a whole number, ticks at whole numbers."""
        step = max(1, math.ceil(_round_step(last / most)))
        ticks = tuple(dict.fromkeys((1, *range(step, last + 1, step))))
        return cls(1, max(last, 2), ticks)

    def part(self, value: float) -> float:
        """Return how far along the axis a value lies, 0 to 1."""
        return (value - self.low) / (self.high - self.low)


PERCENT = Scale(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0), "{:.0%}")


@dataclass(frozen=True, slots=True)
class Axes:
    """A chart's frame; the methods return what is drawn within it."""

    x: Scale
    y: Scale
    xlabel: str
    ylabel: str

    def chart(self, title: str, *inside: str) -> Markup:
        """Return the chart: grid, what is inside, and labels."""
        return picture(title, *self._grid(), *inside, *self._labels(), width=WIDTH, height=HEIGHT)

    def at(self, x: float, y: float) -> Point:
        """Return where a point of the data lies, in units of the picture."""
        across, up = self.x.part(x), self.y.part(y)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    def line(self, points: Iterable[Point], kind: str) -> Markup:
        places = [self.at(*point) for point in points if all(map(math.isfinite, point))]
        return tag("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places), kind=f"line {kind}")

    def dot(self, point: Point, kind: str, said: str = "", radius: float = 3.5) -> Markup:
        x, y = self.at(*point)
        return tag("circle", *([tag("title", said)] if said else []), cx=x, cy=y, r=radius, kind=kind)

    def box(self, low: Point, high: Point, kind: str, said: str = "") -> Markup:
        """Return the rectangle between two corners."""
        (left, bottom), (right, top) = self.at(*low), self.at(*high)
        inside = [tag("title", said)] if said else []
        return tag("rect", *inside, x=left, y=top, width=right - left, height=max(bottom - top, 0), kind=kind)

    def text(self, point: Point, words: str, *, anchor: str = "start", up: float = 6) -> Markup:
        x, y = self.at(*point)
        return tag("text", Markup.escape(words), x=x, y=y - up, text_anchor=anchor, kind="note")

    def _grid(self) -> list[Markup]:
        lines = []
        for tick in self.y.ticks:
            x, y = self.at(self.x.low, tick)
            lines += [
                tag("line", x1=x, x2=WIDTH - RIGHT, y1=y, y2=y, kind="grid"),
                tag("text", self.y.form.format(tick), x=x - 7, y=y + 4, text_anchor="end"),
            ]
        for tick in self.x.ticks:
            x, y = self.at(tick, self.y.low)
            lines.append(tag("text", self.x.form.format(tick), x=x, y=y + 16, text_anchor="middle"))
        return lines

    def _labels(self) -> list[Markup]:
        middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
        return [
            tag("text", Markup.escape(self.xlabel), x=middle, y=HEIGHT - 6, text_anchor="middle", kind="label"),
            tag("text", Markup.escape(self.ylabel), x=LEFT, y=TOP - 2, kind="label") if self.ylabel else Markup(""),
        ]


def _round_step(step: float) -> float:
    """Return the next larger of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= step * (1 - 1e-9))


def _short(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
