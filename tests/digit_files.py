"""Files of digits, and what they show."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Digits:
    """Files of digits, drawn at random, and what they show."""

    paths: Sequence[Path]
    labels: Sequence[str]
