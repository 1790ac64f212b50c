"""An evaluation as lines for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Told = Mapping[str, Any]
MOST_CLASSES = 20
SHORT = 10
WIDTH = 24


def lines(told: Told) -> Iterator[str]:
    """Yield the lines of an evaluation, as `Evaluation.to_dict` gives it."""
    yield _headline(told)
    yield ""
    for name, score in told["scores"].items():
        yield f"{name.replace('_', ' '):<18} {_estimate(score)}"
    yield from _beside(told)
    yield ""
    yield from _classes(told["per_class"])
    yield from _slices(told["slices"])
    yield from _robustness(told.get("robustness", ()))
    yield from _differences("with flips", told.get("flips", {}).get("differences", ()))
    for run in dict.fromkeys(row["run"] for row in told.get("against", ())):
        yield from _differences(f"against {run}", [row for row in told["against"] if row["run"] == run])


def _headline(told: Told) -> str:
    groups = f" in {told['groups']} groups ({told['grouped_by']})" if told["groups"] else ""
    few = "; so few groups tell little, take the intervals as a rough guide" if 0 < (told["groups"] or 99) < 10 else ""
    return f"{told['split']}: {told['pictures']} pictures{groups}; 95 % intervals in brackets{few}"


def _beside(told: Told) -> Iterator[str]:
    majority, probe = told["baselines"]["majority"], told["baselines"].get("linear_probe")
    yield f"always {majority['class']!r}: accuracy {majority['accuracy']:.4f}"
    if probe:
        yield f"{probe['what']}: accuracy {_estimate(probe['accuracy'])}"
    yield f"temperature {told['calibration']['temperature']:.3f}, chosen on val"
    yield _abstaining(told["selective"])


def _abstaining(selective: Told) -> str:
    if selective["target"] is None:
        return "no threshold to abstain below was chosen"
    if selective["threshold"] is None:
        return f"at no threshold of confidence is {selective['target']:.0%} of val right"
    if selective["threshold"] == 0:
        return f"never abstains, for {selective['target']:.0%} of val is right as it is"
    if selective["accuracy"] is None:
        return f"no confidence reaches {selective['threshold']:.3f}, as it takes for {selective['target']:.0%} on val"
    return (
        f"from a confidence of {selective['threshold']:.3f}, for {selective['target']:.0%} right on val: "
        f"{selective['coverage']:.1%} of pictures, {selective['accuracy']:.1%} right"
    )


def _classes(rows: Sequence[Told]) -> Iterator[str]:
    shown = list(rows)
    if len(rows) > MOST_CLASSES:
        shown = sorted(rows, key=lambda row: -1.0 if row["f1"]["value"] is None else row["f1"]["value"])
        shown = [row for row in shown if row["support"]][:SHORT]
        yield f"the {SHORT} of {len(rows)} classes with the lowest F1:"
    yield f"{'class':<{WIDTH}}  {'recall':<22}  {'precision':<22}  f1      pictures"
    for row in shown:
        recall, precision = _estimate(row["recall"]), _estimate(row["precision"])
        f1 = _number(row["f1"]["value"])
        yield f"{_short(row['class']):<{WIDTH}}  {recall:<22}  {precision:<22}  {f1}  {row['support']:8d}"


def _slices(slices: Sequence[Told]) -> Iterator[str]:
    for column in dict.fromkeys(part["column"] for part in slices):
        yield ""
        yield f"{_short(column):<{WIDTH}}  {'accuracy':<22}  {'balanced accuracy':<22}  pictures"
        for part in (part for part in slices if part["column"] == column):
            accuracy, balanced = _estimate(part["accuracy"]), _estimate(part["balanced_accuracy"])
            yield f"{_short(part['value']):<{WIDTH}}  {accuracy:<22}  {balanced:<22}  {part['pictures']:8d}"


def _robustness(rows: Sequence[Told]) -> Iterator[str]:
    if rows:
        yield ""
        yield f"{'worse pictures':<{WIDTH}}  {'accuracy':<22}  change"
    for row in rows:
        accuracy, change = _estimate(row["accuracy"]), _estimate(row["change"], sign="+")
        yield f"{row['corruption'] + ' ' + str(row['severity']):<{WIDTH}}  {accuracy:<22}  {change}"


def _differences(title: str, rows: Sequence[Told]) -> Iterator[str]:
    if rows:
        yield ""
        yield f"{title}:"
    for row in rows:
        difference = _estimate({**row, "value": row["difference"]}, sign="+")
        yield f"{row['score'].replace('_', ' '):<18} {difference:<26}  p {row['p']:.4f}"


def _estimate(score: Told, sign: str = "") -> str:
    if score["low"] is None:
        return _number(score["value"], sign)
    return f"{_number(score['value'], sign)} [{score['low']:{sign}.3f}, {score['high']:{sign}.3f}]"


def _number(value: float | None, sign: str = "") -> str:
    return f"{'-':<6}" if value is None else f"{value:{sign}.4f}"


def _short(name: str) -> str:
    line = " ".join(name.split())
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"
