"""Whether probabilities can be believed, and the temperature and threshold that are fitted on validation."""

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from mlops_cls.card import Calibration
from mlops_cls.evaluation.answers import Answers
from mlops_cls.evaluation.intervals import plain
from mlops_cls.evaluation.outputs import Outputs
from mlops_cls.evaluation.selective import choose_threshold
from mlops_cls.models.rates import Floats

BINS = 15
LOWEST, HIGHEST = 0.05, 20.0
TARGET = 0.95


def calibrate(val: Outputs, *, target: float = TARGET) -> Calibration:
    """Return the temperature that fits validation best, and the confidence above which `target` of it is right."""
    temperature = fit_temperature(val)
    threshold = choose_threshold(Answers.of(val, temperature), target)
    return Calibration(temperature=temperature, threshold=threshold, target=target)


def fit_temperature(val: Outputs) -> float:
    """Return what logits are divided by to minimise the log loss: Guo et al. 2017 (arXiv:1706.04599).

    A normal prior on its logarithm weighs as much as one picture: on pictures that are all right the log loss alone
    would have no minimum above 0.
    """
    logits, labels = val.logits.astype(np.float64), val.labels

    def loss(log_temperature: float) -> float:
        log_p = log_softmax(logits / np.exp(log_temperature), axis=1)
        return float(-log_p[np.arange(len(labels)), labels].sum() + log_temperature**2 / 2)

    found = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded")
    return float(np.exp(found.x))


def gaps(answers: Answers) -> Floats:
    """Return float64[N,15], confidence less whether right, in the bin of the confidence; see `calibration_error`."""
    table = np.zeros((len(answers.labels), BINS))
    table[np.arange(len(table)), _bin_of(answers)] = answers.confidence - answers.right
    return table


def calibration_error(gaps_per_bin: Floats) -> Floats:
    """Return float64[...], the expected calibration error of the top class, from mean `gaps` float64[...,15].

    Bins of equal width: Naeini et al. 2015, Guo et al. 2017.
    """
    return np.asarray(np.abs(gaps_per_bin).sum(-1))


def reliability(answers: Answers) -> list[dict[str, Any]]:
    """Return for each bin of confidence its pictures, mean confidence and accuracy; null for an empty bin."""
    where = _bin_of(answers)
    count = np.bincount(where, minlength=BINS)
    with np.errstate(invalid="ignore"):
        confidence, accuracy = (
            np.bincount(where, values, BINS) / count for values in (answers.confidence, answers.right)
        )
    edges = np.linspace(0, 1, BINS + 1).tolist()
    return [
        {
            "low": edges[i],
            "high": edges[i + 1],
            "count": int(count[i]),
            "confidence": plain(confidence[i]),
            "accuracy": plain(accuracy[i]),
        }
        for i in range(BINS)
    ]


def _bin_of(answers: Answers) -> np.ndarray:
    """Return int64[N]; bins hold their upper edge, as Guo et al. have them."""
    return np.clip(np.ceil(answers.confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
