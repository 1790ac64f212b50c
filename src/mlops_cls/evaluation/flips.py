"""What it would bring to ask twice: the mean of the probabilities for a picture and for its mirror image."""

from collections.abc import Callable
from typing import Any

import numpy as np

from mlops_cls.evaluation.answers import Answers
from mlops_cls.evaluation.measures import Measures
from mlops_cls.evaluation.paired import differences
from mlops_cls.evaluation.resampling import Resampling
from mlops_cls.models.rates import Floats
from mlops_cls.pictures import Pixels

BATCH = 64


def flip_scores(
    log_probabilities: Callable[[Pixels], Floats], pictures: Pixels, plain: Answers, resampling: Resampling
) -> dict[str, Any]:
    """Return accuracy with flips, and the differences to that without; nothing else uses flips.

    Args:
        log_probabilities: from uint8[B,H,W,C] to float64[B,K], as for `plain`.
        pictures: uint8[N,H,W,C].
        plain: the answers for the pictures as they are.
        resampling: of these pictures.
    """
    mirrored = np.concatenate(
        [log_probabilities(pictures[start : start + BATCH, :, ::-1]) for start in range(0, len(pictures), BATCH)]
    )
    both = Answers(plain.labels, np.logaddexp(plain.log_probabilities, mirrored) - np.log(2))
    return {
        "accuracy": Measures(both, resampling).overall()["accuracy"].to_dict(),
        "differences": [difference.to_dict() for difference in differences(both, plain, resampling)],
    }
