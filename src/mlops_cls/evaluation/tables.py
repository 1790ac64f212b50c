"""predictions.csv and per_class.csv."""

import csv
from pathlib import Path

import numpy as np

from mlops_cls.evaluation.outputs import Outputs
from mlops_cls.models.rates import class_rates


def write_predictions(path: Path, outputs: Outputs, temperature: float) -> None:
    """Write a CSV with id, true and predicted class, confidence and all probabilities, calibrated."""
    classes, probabilities = outputs.classes, outputs.probabilities(temperature)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "true", "predicted", "confidence", *classes])
        for sample, label, row in zip(outputs.ids, outputs.labels.tolist(), probabilities, strict=True):
            best = int(row.argmax())
            writer.writerow([sample, classes[label], classes[best], f"{row[best]:.6f}", *(f"{p:.6f}" for p in row)])


def write_per_class(path: Path, outputs: Outputs) -> None:
    """Write a CSV with precision, recall, F1 and number of pictures per class."""
    confusion = outputs.confusion.astype(np.float64)
    support = outputs.confusion.sum(1).tolist()
    scores = class_rates(confusion.diagonal(), confusion.sum(1), confusion.sum(0))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["class", *scores, "support"])
        for i, name in enumerate(outputs.classes):
            writer.writerow([name, *(f"{values[i]:.6g}" for values in scores.values()), support[i]])
