"""What a classifier must beat: always the most frequent class, and a linear model on small pictures."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mlops_cls.evaluation.outputs import Outputs


def majority(outputs: Outputs, train_counts: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Return how good it is always to name the class most frequent in training; of the outputs if that is unknown."""
    support = np.bincount(outputs.labels, minlength=len(outputs.classes))
    frequency = [train_counts.get(name, 0) for name in outputs.classes] if train_counts else support.tolist()
    best = int(np.argmax(frequency))
    return {
        "class": outputs.classes[best],
        "accuracy": float(support[best] / support.sum()),
        "balanced_accuracy": float((support[best] > 0) / (support > 0).sum()),
    }
