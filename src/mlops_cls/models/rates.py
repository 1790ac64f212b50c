"""Accuracy, precision, recall, F1 and their means, from three counts per class: the one owner of these formulas.

`hits` counts the pictures of a class that were called it, `support` its pictures, `called` the pictures called it. All
have the shape [...,K]; counts of many resamples are scored at once. What cannot be divided is 0, as in scikit-learn.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def class_rates(hits: Floats, support: Floats, called: Floats) -> dict[str, Floats]:
    """Return float64[...,K] precision, recall and F1 per class."""
    return {
        "precision": ratio(hits, called),
        "recall": ratio(hits, support),
        "f1": ratio(2 * hits, support + called),
    }


def mean_rates(hits: Floats, support: Floats, called: Floats) -> dict[str, Floats]:
    """Return float64[...] accuracy, balanced accuracy and macro means.

    Balanced accuracy is the mean recall of the classes present; the macro means are over classes present or called, as
    scikit-learn's `balanced_accuracy_score` and `average="macro"` have them.
    """
    each = class_rates(hits, support, called)
    present = support > 0
    seen = present | (called > 0)
    return {
        "accuracy": ratio(hits.sum(-1), support.sum(-1)),
        "balanced_accuracy": mean_where(each["recall"], present),
        **{f"macro_{name}": mean_where(values, seen) for name, values in each.items()},
    }


def ratio(part: Floats, whole: Floats) -> Floats:
    """Return part / whole, 0 where whole is 0."""
    return np.divide(part, whole, out=np.zeros(np.broadcast_shapes(part.shape, whole.shape)), where=whole > 0)


def mean_where(values: Floats, chosen: NDArray[np.bool_]) -> Floats:
    """Return the mean over the last axis of the chosen values, 0 where none is."""
    return ratio(np.where(chosen, values, 0).sum(-1), chosen.sum(-1).astype(np.float64))
