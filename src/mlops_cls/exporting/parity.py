"""Does a model file answer as its checkpoint does? Asked of real pictures, before anybody relies on it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_cls.backends.base import Backend, Floats
from mlops_cls.errors import ArtifactError
from mlops_cls.pictures import Pixels

LEAST = 64
"""Pictures."""
BATCHES = (1, 16)
TOLERANCE = 1e-4
"""Of a probability."""


def check_parity(reference: Callable[[Pixels], Floats], backend: Backend, images: Pixels) -> dict[str, Any]:
    """Return by how much the answers to pictures uint8[N,C,H,W] differ at most, by the size of the batch.

    Raises:
        ArtifactError: by `TOLERANCE` or more, or another class is the most probable (unless two are equally probable).
    """
    expected = reference(images)
    differences = {}
    for batch in BATCHES:
        found = in_batches(backend, images, batch)
        differences[str(batch)] = float(np.abs(found - expected).max())
        others = int(disagreements(expected, found).sum())
        if not differences[str(batch)] < TOLERANCE or others:
            raise ArtifactError(
                f"nothing was exported: {backend.name} and the checkpoint differ by {differences[str(batch)]:.2g} in a "
                f"probability (allowed: below {TOLERANCE:g}) and in the answer to {others} of {len(images)} pictures "
                f"(batch {batch}); this network cannot be exported as it is"
            )
    return {"pictures": len(images), "tolerance": TOLERANCE, "largest_difference": differences, "other_answers": 0}


def in_batches(forward: Callable[[Pixels], Floats], images: Pixels, batch: int) -> Floats:
    """Return the answers to all pictures, so many at a time."""
    return np.concatenate([forward(images[start : start + batch]) for start in range(0, len(images), batch)])


def disagreements(expected: Floats, found: Floats) -> NDArray[np.bool_]:
    """Return bool[N]: another class is the most probable, and it was not equally probable before."""
    rows = np.arange(len(expected))
    lead = expected[rows, expected.argmax(1)] - expected[rows, found.argmax(1)]
    wrong: NDArray[np.bool_] = lead > TOLERANCE
    return wrong
