"""What can go wrong, in a form a person can act on.

    MlopsError
    ├── ConfigError     a setting is unknown, impossible, or would not be used
    ├── DataError       pictures, labels or splits are missing, unreadable or contradictory
    └── ArtifactError   a run folder, checkpoint or card is missing, unsafe or of another kind
    Interrupted         a signal ended the run, which the same command continues

A message says what was given, what is allowed and what to type. Commands print it without a traceback and exit 2.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class MlopsError(Exception):
    """Base of every error a user can mend."""


class ConfigError(MlopsError, ValueError):
    """A setting is unknown, impossible, or would not be used by the run."""


class DataError(MlopsError, ValueError):
    """Pictures, labels or splits are missing, unreadable or contradictory."""


class ArtifactError(MlopsError, ValueError):
    """A run folder, checkpoint or card is missing, unsafe or does not fit."""


class Interrupted(BaseException):
    """A signal ended the run; the same command continues it. No `Exception`: like Ctrl-C it is nobody's to catch."""

    exit_code = 75
    """EX_TEMPFAIL of sysexits.h, by which a scheduler may know that the job is to be started again."""


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest allowed names, or an empty string."""
    close = get_close_matches(given, [*map(str, allowed)], n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""


def unknown_name(key: str, given: str, allowed: Iterable[str], *, hint: str = "") -> ConfigError:
    """Return the error for a name that is not in a table; short tables are listed whole, long ones by `hint`."""
    names = sorted(allowed)
    listing = hint or f"allowed: {', '.join(names)}"
    return ConfigError(f"{key}={given} is not known{did_you_mean(given, names)} ({listing})")


def first_few(names: Sequence[object], limit: int = 10) -> str:
    """Return the names in one line, cut after `limit` with a count of the rest."""
    shown = ", ".join(map(str, names[:limit]))
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
