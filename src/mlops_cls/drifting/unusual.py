"""How unusual single pictures are: whom to show, and what to label first."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_cls.monitoring.drift import Sample
from mlops_cls.monitoring.reference import Reference
from mlops_cls.monitoring.statistics import Numbers

NEIGHBOURS = 10
AT_ONCE = 1000
Floats = NDArray[np.floating[Any]]


def unusualness(reference: Reference, now: Sample) -> Floats:
    """Return float64[N], 0 to 1: the share of the reference's own pictures that are less unusual.

    It is the distance to the tenth nearest of the reference's embeddings: Sun et al., "Out-of-distribution detection
    with deep nearest neighbors", ICML 2022 (arXiv:2204.06507). A model without embeddings has how far the most unusual
    of the picture's statistics lies from their median, in deviations.
    """
    if now.projected is not None and len(reference.projected) > NEIGHBOURS:
        known = _distances(reference.projected, reference.projected, NEIGHBOURS)  # the nearest is itself
        found = _distances(now.projected, reference.projected, NEIGHBOURS - 1)
    else:
        known, found = (_deviations(reference, of) for of in (reference.statistics, now.statistics))
    ranks: Floats = np.searchsorted(np.sort(known), found) / len(known)
    return ranks + found / (1e9 * max(float(found.max()), 1e-9))  # the farthest first, of those beyond all


def _distances(rows: Numbers, known: Numbers, rank: int) -> Floats:
    parts = [_to_nearest(rows[start : start + AT_ONCE], known, rank) for start in range(0, len(rows), AT_ONCE)]
    return np.concatenate(parts)


def _to_nearest(rows: Numbers, known: Numbers, rank: int) -> Floats:
    squares = np.square(rows).sum(1)[:, None] + np.square(known).sum(1) - 2 * rows @ known.T
    nearest: Floats = np.sqrt(np.maximum(np.partition(squares, rank, axis=1)[:, rank], 0))
    return nearest


def _deviations(reference: Reference, statistics: Any) -> Floats:
    known = reference.statistics
    parts = [np.abs(statistics[name] - np.median(known[name])) / (known[name].std() or 1.0) for name in known]
    most: Floats = np.max(parts, axis=0)
    return most
