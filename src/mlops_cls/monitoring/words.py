"""What a change means, in sentences for a tired person."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops_cls.monitoring.drift import Change

Summary = Mapping[str, float]
MOST_CLASSES = 3
TOLD_CLASS = 0.02
"""Change of a class's share that is worth naming."""
MOVED = 0.1
"""Change of a median, as a part of the middle 80 %, below which a sample has been spread rather than moved."""
STRENGTHS = ((0.05, "slightly"), (0.2, "clearly"), (1.0, "entirely"))
# What is said of a number that has risen, of one that has fallen, what is counted, and what such pictures often are.
NUMBERS = {
    "brightness": ("pictures are brighter", "pictures are darker", "grey level"),
    "contrast": ("pictures have more contrast", "pictures have less contrast", "contrast"),
    "sharpness": ("pictures are sharper or noisier", "pictures are less sharp", "sharpness"),
    "entropy": ("pictures have more grey levels", "pictures have fewer grey levels", "entropy"),
    "width": ("pictures are wider", "pictures are less wide", "pixels"),
    "height": ("pictures are higher", "pictures are less high", "pixels"),
    "confidence": ("the model is surer", "the model is less sure", "confidence"),
}


def of_change(change: "Change") -> str:
    """Return a sentence without its capital and full stop: what was tested, before and now."""
    if not change.drift:
        return f"no change of {change.name} that matters"
    if change.test == "KS":
        return _of_number(change.name, change.reference, change.now)
    if change.test == "MMD":
        how = next(word for most, word in STRENGTHS if change.effect <= most)
        return f"pictures look {how} different to the network (its embeddings differ by {change.effect:.2f} of 1)"
    return _of_classes(change.reference, change.now)


def in_short(change: "Change", alpha: float) -> str:
    """Return what a table says of a test."""
    if change.drift:
        return "changed"
    return "too little to matter" if change.p_adjusted <= alpha else "as before"


def verdict(pictures: int, changes: Iterable["Change"]) -> str:
    """Return what the tests of enough pictures come to."""
    found = [of_change(change) for change in changes if change.drift]
    if not found:
        return (
            f"No drift in {counted(pictures)}: nothing differs from training by more than chance and enough to matter."
        )
    return f"Drift in {counted(pictures)}: {'; '.join(found)}."


def too_few(pictures: int, needed: int) -> str:
    """Return that nothing can be told yet."""
    return f"Too few pictures to tell: {pictures:,} of {needed:,} that are needed."


def counted(pictures: int) -> str:
    """Return ``1 picture``, ``1,000 pictures``."""
    return "1 picture" if pictures == 1 else f"{pictures:,} pictures"


def number(value: float) -> str:
    """Return a number with as many digits as a person reads: 1,350 61 6.2 0.41."""
    size = abs(value)
    return f"{value:,.0f}" if size >= 20 or value == round(value) else f"{value:.1f}" if size >= 2 else f"{value:.2f}"


def _of_number(name: str, reference: Summary, now: Summary) -> str:
    rises, falls, unit = NUMBERS[name]
    told = _percent if name == "confidence" else number
    spread = reference["high"] - reference["low"]
    step = now["median"] - reference["median"]
    if abs(step) > MOVED * spread:
        before, after = told(reference["median"]), told(now["median"])
        return f"{rises if step > 0 else falls}: {unit} {after} instead of {before} (median)"
    shares = " instead of ".join(_percent(summary["up_to"]) for summary in (now, reference))
    return f"{name} is spread differently: {shares} have at most {told(now['at'])}"


def _of_classes(reference: Summary, now: Summary) -> str:
    by_step = sorted(reference, key=lambda name: -abs(now[name] - reference[name]))
    told = [name for name in by_step[:MOST_CLASSES] if abs(now[name] - reference[name]) >= TOLD_CLASS] or by_step[:1]
    parts = (f"{name} {_percent(now[name])} instead of {_percent(reference[name])}" for name in told)
    return f"the model gives other answers: {', '.join(parts)} (no fault if such pictures are meant to come now)"


def _percent(share: float) -> str:
    if 0.999 < share < 1:
        return f"{100 * share:.2f} %" if share < 0.9999 else "over 99.99 %"
    return f"{100 * share:.0f} %" if 0.01 <= share <= 0.99 or share in (0, 1) else f"{100 * share:.1f} %"
