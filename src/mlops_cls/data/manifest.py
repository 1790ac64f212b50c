"""The prepared data set's own description: classes, geometry, statistics, counts and hashes."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from mlops_cls.config.data import fold_problems
from mlops_cls.errors import ConfigError, DataError

FILE = "manifest.json"
FORMAT = 3
MEND = "delete that folder and run again"


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """Turn whatever the damaged files of a prepared `folder` raise into a `DataError` that names it."""
    try:
        yield
    except DataError:
        raise
    except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{folder} cannot be read ({error}): {MEND}") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is asked of preparation; together with the raw files it decides every byte of the store.

    None and auto are resolved from the data. Fractions are of all pictures, except that where the test split is shipped
    or is part number `fold` of `folds`, `val_fraction` is of the other pictures.

    Raises:
        ConfigError: only one of `fold` and `folds` is given, or there is no such fold.
    """

    size: int | None = None
    resize: str = "crop"
    crop: float = 1.0
    interpolation: str = "bilinear"
    channels: str = "auto"
    split: str = "auto"
    val_fraction: float | None = None
    test_fraction: float | None = None
    subsample: float = 1.0
    seed: int = 0
    on_bad: str = "fail"
    fold: int | None = None
    folds: int | None = None

    def __post_init__(self) -> None:
        for problem in fold_problems(self.fold, self.folds):
            raise ConfigError(problem)


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """`Plan`'s geometry with every choice made; the fields of `card.Preprocess` apart from normalisation."""

    size: int
    resize: str
    crop: float
    interpolation: str
    channels: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """Written once by preparation; everything else reads class names, statistics and counts from here.

    `mean` and `std` are per channel of the training pictures, scaled to 0..1; `counts` maps split and class to a
    number of pictures; `skipped` maps ids of bad pictures to the reason; `check` counts the doctor's findings per
    severity; `content` is a hash of pixels, labels, ids and splits.
    """

    source: str
    classes: tuple[str, ...]
    attributes: Mapping[str, Mapping[str, Any]]
    geometry: Geometry
    plan: Plan
    mean: tuple[float, ...]
    std: tuple[float, ...]
    counts: Mapping[str, Mapping[str, int]]
    modes: Mapping[str, int]
    skipped: Mapping[str, str]
    check: Mapping[str, int]
    split_by: str
    split_hash: str
    content: str

    def size_of(self, split: str) -> int:
        """Return the number of pictures of a split."""
        return sum(self.counts[split].values())

    def identity(self) -> dict[str, Any]:
        """Return what tells this prepared data set from any other, for the provenance of a model."""
        return {
            "source": self.source,
            "content": self.content,
            "split": self.split_hash,
            "plan": asdict(self.plan),
            "check": dict(self.check),
        }

    def save(self, folder: Path) -> None:
        text = json.dumps({"format": FORMAT, **asdict(self)}, indent=2, ensure_ascii=False)
        (folder / FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        with readable(folder):
            values = json.loads((folder / FILE).read_text(encoding="utf-8"))
            if values.pop("format") != FORMAT:
                raise DataError(f"{folder} was prepared by another version of mlops_cls: {MEND}")
            for key in ("classes", "mean", "std"):
                values[key] = tuple(values[key])
            return cls(**values | {"geometry": Geometry(**values["geometry"]), "plan": Plan(**values["plan"])})
