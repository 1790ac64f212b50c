"""Scores of a classifier, all from one confusion matrix and a sum of losses."""

from collections.abc import Mapping

import torch
from torch import Tensor, distributed
from torchmetrics import Metric

from mlops_cls.models.rates import Floats, class_rates, mean_rates

PER_CLASS = ("precision", "recall", "f1", "support")


def confusion_matrix(predicted: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Return int64[K,K]; entry (i, j) counts the pictures of class i that were called j."""
    # Not `bincount`, for which a GPU would have to stop and tell the largest number.
    counts = torch.zeros(num_classes**2, dtype=torch.long, device=labels.device)
    counts.index_add_(0, labels * num_classes + predicted, torch.ones_like(labels))
    return counts.view(num_classes, num_classes)


def per_class(confusion: Tensor) -> dict[str, Tensor]:
    """Return float64[K] precision, recall, F1 and support per class; 0 where nothing can be divided by."""
    hits, support, called = _counts(confusion)
    rates = {**class_rates(hits, support, called), "support": support}
    return {name: torch.from_numpy(values) for name, values in rates.items()}


def summary(confusion: Tensor) -> dict[str, float]:
    """Return accuracy, balanced accuracy (mean recall of the classes present) and macro F1 (present or called).

    These are scikit-learn's `accuracy_score`, `balanced_accuracy_score` and `f1_score(average="macro")`.
    """
    rates = mean_rates(*_counts(confusion))
    return {name: float(rates[name]) for name in ("accuracy", "balanced_accuracy", "macro_f1")}


class Scores(Metric):
    """Accumulates on the device, without synchronising per step, and over all processes at the end.

    `update` takes the summed loss of a batch, logits float[B,K] and labels int64[B]; `compute` returns loss, accuracy,
    balanced_accuracy and macro_f1.
    """

    full_state_update = False
    confusion: Tensor
    loss: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_state("confusion", torch.zeros(num_classes, num_classes, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("loss", torch.zeros((), dtype=torch.float32), dist_reduce_fx="sum")

    def update(self, loss_sum: Tensor, logits: Tensor, labels: Tensor) -> None:
        self.confusion += confusion_matrix(logits.argmax(1), labels, self.num_classes)
        self.loss += loss_sum.detach()

    def compute(self) -> dict[str, float]:
        return {"loss": float(self.loss / self.confusion.sum()), **summary(self.confusion.cpu())}

    def so_far(self) -> dict[str, Tensor]:
        """Return what all processes together have accumulated, on the CPU, for a run that goes on later."""
        return {name: _over_processes(value).cpu() for name, value in self._states().items()}

    def go_on(self, before: Mapping[str, Tensor], *, here: bool) -> None:
        """Accumulate on top of what `so_far` returned; it counts in one process only, where `here` is true."""
        for name, value in self._states().items():
            setattr(self, name, before[name].to(value) if here else torch.zeros_like(value))
        self._update_count = 1  # else torchmetrics warns where nothing more comes

    def _states(self) -> dict[str, Tensor]:
        return {"confusion": self.confusion, "loss": self.loss}


def _over_processes(value: Tensor) -> Tensor:
    total = value.detach().clone()
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(total)
    return total


def _counts(confusion: Tensor) -> tuple[Floats, Floats, Floats]:
    """Return float64[K] hits, pictures and calls per class."""
    counts = confusion.double().numpy()
    return counts.diagonal().copy(), counts.sum(1), counts.sum(0)
