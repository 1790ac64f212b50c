"""A classifier's answers on a whole split, from which every score and picture is made."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlops_cls.data.loader import StoreDataset, make_loader
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.models.losses import log_loss
from mlops_cls.models.metrics import confusion_matrix, per_class, summary

BATCH = 64


@dataclass(frozen=True, slots=True)
class Outputs:
    """Logits float32[N,K] and true labels int64[N] of the samples `ids`."""

    ids: list[str]
    labels: Tensor
    logits: Tensor

    @property
    def confusion(self) -> Tensor:
        """int64[K,K], rows are true classes."""
        return confusion_matrix(self.logits.argmax(1), self.labels, self.logits.shape[1])

    def scores(self) -> dict[str, float]:
        """Return loss (cross entropy in nats), accuracy, balanced accuracy and macro F1."""
        loss = float(log_loss(self.logits, self.labels)) / len(self.labels)
        return {"loss": loss, **summary(self.confusion)}

    def probabilities(self) -> NDArray[np.float32]:
        """Return float32[N,K], rows sum to 1."""
        probabilities: NDArray[np.float32] = self.logits.softmax(1).numpy()
        return probabilities


def collect(classifier: ImageClassifier, dataset: StoreDataset, ids: Sequence[str], device: torch.device) -> Outputs:
    """Run the classifier over a split in float32, in store order."""
    classifier.eval().to(device)
    batches = [
        logits_of(classifier, images.to(device)) for images, _ in make_loader(dataset, batch_size=BATCH, workers=0)
    ]
    return Outputs(list(ids), dataset.labels, torch.cat(batches))


@torch.inference_mode()
def logits_of(classifier: ImageClassifier, images: Tensor) -> Tensor:
    """Return float32[B,K] on the CPU for uint8[B,C,H,W]; the one forward pass of evaluation and prediction."""
    logits: Tensor = classifier(images).float().cpu()
    return logits


def write_predictions(path: Path, outputs: Outputs, classes: Sequence[str]) -> None:
    """Write a CSV with id, true and predicted class, confidence and all probabilities."""
    probabilities = outputs.probabilities()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "true", "predicted", "confidence", *classes])
        for sample, label, row in zip(outputs.ids, outputs.labels.tolist(), probabilities, strict=True):
            best = int(row.argmax())
            writer.writerow([sample, classes[label], classes[best], f"{row[best]:.6f}", *(f"{p:.6f}" for p in row)])


def write_per_class(path: Path, outputs: Outputs, classes: Sequence[str]) -> None:
    """Write a CSV with precision, recall, F1 and number of pictures per class."""
    scores = per_class(outputs.confusion)
    support = scores.pop("support").long().tolist()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["class", *scores, "support"])
        for i, name in enumerate(classes):
            writer.writerow([name, *(f"{values[i]:.6g}" for values in scores.values()), support[i]])
