"""The charts of a report, from the numbers of evaluation.json and the rows of metrics.csv."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from mlops_cls.report.numbers import known, percent, span
from mlops_cls.report.svg import PERCENT, WIDTH, Axes, Scale, picture, tag

Values = Mapping[str, Any]
ENDS = ("value", "low", "high")
ROW, LONGEST = 38, 48  # units of a row of a forest plot, letters of its name
CELL, MOST_TOLD = 8, 1500  # units a side of a cell of the map, cells of it that say what they are
CURVES = ("loss", "accuracy", "balanced_accuracy")


def interval_bar(score: Values, *, mark: float | None = None, kind: str = "good") -> Markup:
    """Return a share of 0 to 1 as a bar with its 95 % interval; `mark` is another share to compare it with.

    The numbers stand beside it, so a screen reader passes it by.
    """
    value, low, high = (score.get(key) for key in ("value", "low", "high"))
    parts = [tag("rect", x=0, y=4, width=100, height=6, rx=0, kind="track")]
    if known(value):
        parts.append(tag("rect", x=0, y=4, width=100 * float(value or 0), height=6, kind=kind))
    if known(low) and known(high):
        start, end = 100 * float(low or 0), 100 * float(high or 0)
        parts.append(tag("rect", x=start, y=6.2, width=max(end - start, 0.4), height=1.6, kind="whisker"))
        parts += [tag("rect", x=place - 0.2, y=3.5, width=0.5, height=7, kind="whisker") for place in (start, end)]
    if known(mark):
        parts.append(tag("rect", x=100 * float(mark or 0) - 0.3, y=0, width=0.7, height=14, kind="mark"))
    return tag("svg", *parts, viewBox="0 0 100 14", preserveAspectRatio="none", aria_hidden="true", kind="bar")


def training_curves(rows: Sequence[Values], best: int | None) -> list[tuple[str, Markup]]:
    """Return loss, accuracy and balanced accuracy on train and val over the epochs; `best` was kept."""
    return [(score.replace("_", " "), chart) for score in CURVES if (chart := _curve(rows, score, best))]


def _curve(rows: Sequence[Values], score: str, best: int | None) -> Markup:
    lines = {
        split: [(int(row["epoch"]) + 1, float(row[key])) for row in rows if row.get(key) not in (None, "")]
        for split in ("train", "val")
        for key in (f"{split}/{score}",)
    }
    values = [value for points in lines.values() for _, value in points]
    if not values:
        return Markup("")
    share = score != "loss"
    y = Scale.of_shares(values) if share else Scale.around([0.0, *values])
    axes = Axes(Scale.counting(len(rows)), y, "epoch", "")
    drawn = [axes.line(points, split) for split, points in lines.items()]
    if len(rows) <= 30:
        drawn += [axes.dot(point, split, radius=2.2) for split, points in lines.items() for point in points]
    if best is not None:
        drawn.append(axes.line([(best + 1, y.low), (best + 1, y.high)], "chosen"))
    name = score.replace("_", " ")
    last = "; ".join(f"{split} ends at {points[-1][1]:.3g}" for split, points in lines.items() if points)
    return axes.chart(f"{name} over {len(rows)} epochs: {last}", *drawn)


def reliability(bins: Sequence[Values], words: str) -> Markup:
    """Return how often the classifier is right at each confidence; on the diagonal it can be taken at its word.

    Guo et al. 2017, arXiv:1706.04599, figure 4; the dots are as large as the bin has pictures.
    """
    axes = Axes(PERCENT, PERCENT, "confidence", "")
    filled = [part for part in bins if part["count"]]
    most = max((part["count"] for part in filled), default=1)
    drawn = [axes.line([(0, 0), (1, 1)], "ideal")]
    for part in filled:
        drawn.append(
            axes.line([(part["confidence"], part["confidence"]), (part["confidence"], part["accuracy"])], "gap")
        )
    drawn.append(axes.line([(part["confidence"], part["accuracy"]) for part in filled], "val"))
    for part in filled:
        said = (
            f"{part['count']:,} pictures of confidence {percent(part['confidence'])}: {percent(part['accuracy'])} right"
        )
        radius = 2.5 + 5.5 * (part["count"] / most) ** 0.5
        drawn.append(axes.dot((part["confidence"], part["accuracy"]), "val ring", said, radius))
    return axes.chart(f"Accuracy by confidence, {words}", *drawn)


def selective(curve: Sequence[Values], chosen: Values) -> Markup:
    """Return the accuracy over the share of pictures that are answered, the least confident left out first."""
    points = [(float(p["coverage"]), float(p["accuracy"])) for p in curve if known(p["accuracy"])]
    y = Scale.of_shares([*(value for _, value in points), 1.0])
    axes = Axes(PERCENT, y, "pictures answered", "")
    drawn = [axes.line(points, "val")]
    if known(chosen.get("coverage")) and known(chosen.get("accuracy")):
        place = (float(chosen["coverage"]), float(chosen["accuracy"]))
        said = f"answering {percent(place[0])}, {percent(place[1])} are right"
        drawn += [axes.line([(place[0], y.low), place], "chosen"), axes.dot(place, "val", said, 5)]
    return axes.chart("Accuracy over the share of pictures that are answered", *drawn)


def forest(rows: Sequence[tuple[str, Values, bool]], title: str) -> Markup:
    """Return a dot with its 95 % interval per row, one below the other; the rows that are told so are marked."""
    x = Scale.of_shares([float(score[key]) for _, score, _ in rows for key in ENDS if known(score[key])])
    height = ROW * len(rows) + 26

    def place(share: float) -> float:
        return 16 + x.part(share) * (WIDTH - 32)

    drawn = []
    for tick in x.ticks:
        drawn.append(tag("line", x1=place(tick), x2=place(tick), y1=4, y2=height - 22, kind="grid"))
        drawn.append(tag("text", x.form.format(tick), x=place(tick), y=height - 6, text_anchor="middle"))
    for number, (name, score, marked) in enumerate(rows):
        y, kind = ROW * (number + 0.72), "chosen" if marked else "val"
        words = name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
        drawn.append(tag("text", tag("title", name), words, x=0, y=y - 10, kind="name"))
        if known(score["low"]) and known(score["high"]):
            drawn.append(tag("line", x1=place(score["low"]), x2=place(score["high"]), y1=y, y2=y, kind=f"line {kind}"))
        said = f"{name}: {percent(score['value'])}, {span(score)}"
        drawn.append(tag("circle", tag("title", said), cx=place(float(score["value"])), cy=y, r=5.0, kind=kind))
    return picture(title, *drawn, width=WIDTH, height=height, kind="chart forest")


def heat(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> Markup:
    """Return the confusion matrix of many classes as a map, whose fullest cells say what they are when pointed at."""
    room, side = 92, len(classes) * CELL
    totals = [sum(counts) or 1 for counts in confusion]
    filled = [(count, i, j) for i, counts in enumerate(confusion) for j, count in enumerate(counts) if count]
    filled.sort(reverse=True)
    told = [
        tag(
            "path",
            tag("title", f"{count} of {totals[i]} {classes[i]} called {classes[j]}"),
            d=_cell(room, i, j),
            kind=_shaded(count, totals[i], right=i == j),
        )
        for count, i, j in filled[:MOST_TOLD]
    ]
    # The others together, a path per colour, or the page would be megabytes.
    rest: dict[str, list[str]] = {}
    for count, i, j in filled[MOST_TOLD:]:
        rest.setdefault(_shaded(count, totals[i], right=i == j), []).append(_cell(room, i, j))
    others = [tag("path", d="".join(cells), kind=kind) for kind, cells in rest.items()]
    names = [
        text
        for number, name in enumerate(classes)
        for middle in (room + (number + 0.72) * CELL,)
        for words in (name if len(name) <= 20 else name[:19] + "…",)
        for text in (
            tag("text", words, x=room - 3, y=middle, text_anchor="end"),
            tag("text", words, transform=f"translate({middle:.1f} {room - 3}) rotate(-90)"),
        )
    ]
    frame = tag("rect", x=room, y=room, width=side, height=side, kind="frame")
    title = f"Confusion matrix of {len(classes)} classes; rows are true, columns predicted classes"
    return picture(title, frame, *others, *told, *names, width=room + side + 1, height=room + side + 1, kind="heat")


def _cell(room: int, row: int, column: int) -> str:
    return f"M{room + column * CELL} {room + row * CELL}h{CELL}v{CELL}h-{CELL}z"


def _shaded(count: int, total: int, *, right: bool) -> str:
    return f"{'right' if right else 'wrong'} h{shade(count / total)}"


def shade(share: float) -> int:
    """Return one of eleven steps of colour, 0 to 10; any share above nothing can be seen."""
    return 0 if share <= 0 else max(1, min(10, round(10 * share)))
