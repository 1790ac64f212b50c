"""What every score is made from: labels and calibrated log probabilities of a split, in float64."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from mlops_cls.evaluation.outputs import Outputs
from mlops_cls.models.rates import Floats

Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """True labels int64[N] and log probabilities float64[N,K]."""

    labels: Whole
    log_probabilities: Floats

    @classmethod
    def of(cls, outputs: Outputs, temperature: float = 1.0) -> "Answers":
        """Return the answers that anyone sees: the softmax of logits divided by the temperature."""
        return cls(outputs.labels, calibrated(outputs.logits, temperature))

    @property
    def num_classes(self) -> int:
        return len(self.log_probabilities.T)

    @cached_property
    def predicted(self) -> Whole:
        """int64[N]: the most probable class, the first of several."""
        return np.asarray(self.log_probabilities.argmax(1))

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        return np.asarray(self.predicted == self.labels)

    @cached_property
    def confidence(self) -> Floats:
        """float64[N]: the probability of the predicted class."""
        return np.asarray(np.exp(self.log_probabilities.max(1)))

    @cached_property
    def log_losses(self) -> Floats:
        """float64[N], in nats."""
        return np.asarray(-self.log_probabilities[np.arange(len(self.labels)), self.labels])

    @cached_property
    def brier_losses(self) -> Floats:
        """float64[N], 0 to 2: squared distance of the probabilities from 1 for the true class and 0 for the others.

        Brier 1950 (doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2).
        """
        probabilities = np.exp(self.log_probabilities)
        return np.asarray((probabilities**2).sum(1) - 2 * np.exp(-self.log_losses) + 1)

    def take(self, rows: Whole) -> "Answers":
        """Return the answers for some pictures."""
        return Answers(self.labels[rows], self.log_probabilities[rows])

    def counts(self) -> Floats:
        """Return float64[N,3K], whose sums are hits, pictures and calls per class; see `split_counts`."""
        table = np.zeros((len(self.labels), 3, self.num_classes))
        rows = np.arange(len(self.labels))
        table[rows, 0, self.labels] = self.right
        table[rows, 1, self.labels] = 1
        table[rows, 2, self.predicted] = 1
        return table.reshape(len(rows), -1)


def calibrated(logits: NDArray[np.float32], temperature: float) -> Floats:
    """Return log probabilities float64[N,K] from logits float32[N,K]."""
    return np.asarray(log_softmax(logits.astype(np.float64) / temperature, axis=1))


def split_counts(sums: Floats) -> tuple[Floats, Floats, Floats]:
    """Return float64[...,K] hits, pictures and calls from sums float64[...,3K] of `Answers.counts`."""
    hits, support, called = np.moveaxis(sums.reshape(*sums.shape[:-1], 3, -1), -2, 0)
    return hits, support, called
