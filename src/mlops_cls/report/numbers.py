"""Numbers as a report writes them; what could not be measured is a dash."""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from markupsafe import Markup, escape

NONE, THIN = "–", "\N{NARROW NO-BREAK SPACE}"
WORDS = {
    "auroc": "AUROC",
    "macro_f1": "macro F1",
    "f1": "F1",
    "ece": "calibration error",
    "ece_uncalibrated": "calibration error before calibration",
    "brier": "Brier score",
}


def known(value: object) -> bool:
    """Tell whether a number was measured: neither None nor NaN."""
    return isinstance(value, int | float) and math.isfinite(value)


def percent(value: float | None, digits: int = 1) -> str:
    """Return ``78.0 %``; what is not quite all or nothing is never written as that."""
    if value is None or not known(value):
        return NONE
    step = 10.0 ** -(digits + 2)
    if 0 < value < step / 2:
        return f"<{THIN}{100 * step:.{digits}f}{THIN}%"
    if 1 - step / 2 <= value < 1:
        return f">{THIN}{100 * (1 - step):.{digits}f}{THIN}%"
    return f"{100 * value:.{digits}f}{THIN}%"


def points(value: float | None) -> str:
    """Return a difference of shares in percentage points, with its sign."""
    return f"{100 * value:+.1f}".replace("-", "−") if value is not None and known(value) else NONE


def signed(value: float | None, digits: int = 3) -> str:
    """Return a difference with its sign."""
    return f"{value:+.{digits}f}".replace("-", "−") if value is not None and known(value) else NONE


def decimal(value: float | None, digits: int = 3) -> str:
    """Return ``0.744``."""
    return f"{value:.{digits}f}" if value is not None and known(value) else NONE


def span(score: Mapping[str, Any], *, share: bool = True) -> str:
    """Return the interval of a score, ``76.1 to 79.8 %``, or nothing where it has none."""
    low, high = score.get("low"), score.get("high")
    if low is None or high is None or not (known(low) and known(high)):
        return ""
    return f"{100 * low:.1f} to {100 * high:.1f}{THIN}%" if share else f"{low:.3f} to {high:.3f}"


def chance(p: float | None) -> str:
    """Return a p value; a very small one as a bound."""
    return NONE if p is None or not known(p) else "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def millions(value: int) -> str:
    """Return ``11.18 M``, ``0.39 M``: of a network's parameters."""
    return f"{value / 1e6:.2f}{THIN}M"


def seconds(value: float) -> str:
    """Return a time in the unit that a person would take."""
    if value < 90:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 5400 else f"{value / 3600:.1f} h"


def day(moment: str, *, time: bool = True) -> str:
    """Return ``21 November 2026, 15:14 UTC`` of an ISO time, or the day alone; anything else as it is."""
    try:
        when = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    date = f"{when.day} {when:%B %Y}"
    return f"{date}, {when:%H:%M} {when.tzname() or ''}".strip() if time else date


def name_of(key: str) -> str:
    """Return a score's or column's name in words."""
    return WORDS.get(key, key.replace("_", " "))


def breakable(name: str) -> Markup:
    """Return a name, escaped, that a line may break within: after _, - and /."""
    return Markup("").join(escape(part) + Markup("<wbr>") for part in re.findall(r"[^_/-]*[_/-]|[^_/-]+", name))
