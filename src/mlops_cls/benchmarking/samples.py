"""A bundle's own sample pictures, asked again: does it answer here as it did where it was exported?"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image

from mlops_cls.backends.base import Floats
from mlops_cls.backends.kinds import KINDS
from mlops_cls.benchmarking.sides import Side
from mlops_cls.bundle import Bundle
from mlops_cls.errors import ArtifactError
from mlops_cls.exporting.parity import TOLERANCE
from mlops_cls.pictures import Pixels

EXACT = [name for name, kind in KINDS.items() if not kind.int8 and kind.precision is None]


def ask_samples(bundle: Bundle, sides: Iterable[Side]) -> str:
    """Return by how much the answers in float32 differ from those of the export, in a sentence.

    Raises:
        ArtifactError: by `TOLERANCE` or more.
    """
    if not bundle.samples:
        return "no samples: whether it answers here as at its export was not asked (export --samples 24 adds some)"
    images = np.stack([_pixels(sample) for sample in bundle.samples])
    expected = np.array([[sample["probabilities"][name] for name in bundle.card.classes] for sample in bundle.samples])
    gaps = {side.name: _gap(side.forward(images), expected) for side in sides if side.name in EXACT}
    for name, gap in gaps.items():
        if not gap < TOLERANCE:
            raise ArtifactError(
                f"{bundle.folder} answers otherwise here than where it was exported: by {gap:.2g} in a probability "
                f"with {name} (allowed: below {TOLERANCE:g}); export it again on this machine"
            )
    return f"{len(images)} samples answered as at the export, within {max(gaps.values()):.1g}"


def _pixels(sample: dict[str, Any]) -> Pixels:
    # As they were given to the network, geometry and all: to fit them again would crop them twice.
    with Image.open(sample["file"]) as picture:
        pixels: Pixels = np.asarray(picture)
    return pixels[np.newaxis] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _gap(found: Floats, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max())
