"""What travels with the weights, as plain JSON values: class names, preprocessing, architecture, provenance, scores."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from mlops_cls.atomic import write_text
from mlops_cls.errors import ArtifactError, first_few

FORMAT = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocess:
    """How a picture becomes the network's input: the one owner of size, channels and normalisation.

    `size` is the side of the square in pixels; `resize` is crop, stretch or pad; `crop` is the share of the resized
    short side that the centre crop keeps; `interpolation` is bilinear or bicubic; `mean` and `std` are per channel, for
    pictures scaled to 0..1.
    """

    size: int
    resize: str = "crop"
    crop: float = 1.0
    interpolation: str = "bilinear"
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def channels(self) -> int:
        return len(self.mean)

    @property
    def geometry(self) -> dict[str, Any]:
        """All but the normalisation, as `pictures.load_picture` takes it."""
        return {
            "size": self.size,
            "resize": self.resize,
            "crop": self.crop,
            "interpolation": self.interpolation,
            "channels": self.channels,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """What timm needs to build the network again, apart from the number of classes and channels."""

    name: str
    small_stem: bool = False
    head_width: int | None = None
    drop_rate: float = 0.0
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """How logits become probabilities that can be believed, and when the classifier abstains.

    Logits are divided by `temperature` before the softmax: Guo et al. 2017 (arXiv:1706.04599). Below `threshold` of
    confidence it abstains, so that it has the accuracy `target` on val where it does not; None: it never does.
    """

    temperature: float = 1.0
    threshold: float | None = None
    target: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCard:
    """Everything a consumer of the weights may want to know; nothing of it is kept in a second place.

    `attributes` maps a class attribute, such as ``is_cancer``, to its value per class name. `scores` maps logged names,
    such as ``test/accuracy``, to numbers, and `intervals` some of them to a 95 % interval. `export` is what was
    measured when a bundle was made, its versions and the SHA-256 of its files; empty in a checkpoint.
    """

    classes: tuple[str, ...]
    preprocess: Preprocess
    architecture: Architecture
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    calibration: Calibration = field(default_factory=Calibration)
    export: dict[str, Any] = field(default_factory=dict)

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def title(self) -> str:
        """What the run was called, else the network."""
        run = self.provenance.get("config", {}).get("run", {})
        return str(run.get("name", self.architecture.name))

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that tell this model from any other; a bundle's card has the hash of its files."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return {"format": FORMAT, **values}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild a card.

        Raises:
            ArtifactError: a key is missing or unknown, or the card was written by a newer version.
        """
        found = values.get("format") if isinstance(values, Mapping) else None
        if found != FORMAT:
            raise ArtifactError(
                f"this model card has format {found!r}; this version of mlops_cls reads format {FORMAT}"
            )
        known = {setting.name for setting in fields(cls)}
        given = {key: value for key, value in values.items() if key != "format"}
        if given.keys() != known:
            raise ArtifactError(f"not a model card: {_difference(sorted(known), sorted(given))}")
        try:
            preprocess = dict(given.pop("preprocess"))
            preprocess.update(mean=tuple(preprocess["mean"]), std=tuple(preprocess["std"]))
            return cls(
                classes=tuple(given.pop("classes")),
                preprocess=Preprocess(**preprocess),
                architecture=Architecture(**given.pop("architecture")),
                calibration=Calibration(**given.pop("calibration")),
                intervals={name: (low, high) for name, (low, high) in given.pop("intervals").items()},
                **given,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"not a model card: one of its parts is damaged ({error})") from error

    def save(self, path: Path) -> None:
        write_text(path, json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n")

    def check_classes(self, classes: Sequence[str], *, whose: str) -> None:
        """Raise `ArtifactError` with the difference unless `classes` are the card's, in the same order."""
        if tuple(classes) != self.classes:
            difference = _difference(self.classes, classes)
            raise ArtifactError(f"the model was trained on other classes than {whose} has: {difference}")


def _difference(expected: Sequence[str], found: Sequence[str]) -> str:
    missing, extra = [c for c in expected if c not in found], [c for c in found if c not in expected]
    if not missing and not extra:
        return f"same names in another order, expected {first_few(expected)}, found {first_few(found)}"
    parts = [f"missing {first_few(missing)}" if missing else "", f"unexpected {first_few(extra)}" if extra else ""]
    return ", ".join(part for part in parts if part)
