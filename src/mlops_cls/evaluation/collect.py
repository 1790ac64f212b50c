"""Run a classifier over a split."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlops_cls.data.loader import StoreDataset, make_loader
from mlops_cls.data.store import COLUMNS
from mlops_cls.evaluation.outputs import Outputs
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.models.losses import log_loss
from mlops_cls.models.metrics import summary

BATCH = 64


def collect(classifier: ImageClassifier, dataset: StoreDataset, device: torch.device) -> Outputs:
    """Run the classifier over a split in float32, in store order."""
    classifier.eval().to(device)
    batches = [
        logits_of(classifier, images.to(device)) for images, _ in make_loader(dataset, batch_size=BATCH, workers=0)
    ]
    return describe(dataset, torch.cat(batches).numpy(), classifier.card.classes)


def describe(dataset: StoreDataset, logits: NDArray[np.float32], classes: Sequence[str]) -> Outputs:
    """Return logits float32[N,K] of a whole split, in store order, with all that is known of its pictures."""
    rows = dataset.prepared.rows(dataset.split)
    groups = rows["group"].to_pylist()
    return Outputs(
        ids=dataset.prepared.ids(dataset.split),
        labels=dataset.prepared.labels(dataset.split),
        logits=logits,
        classes=tuple(classes),
        groups=None if None in groups else tuple(map(str, groups)),
        metadata=_metadata(rows),
    )


@torch.inference_mode()
def logits_of(classifier: ImageClassifier, images: Tensor) -> Tensor:
    """Return float32[B,K] on the CPU for uint8[B,C,H,W]; the one forward pass of evaluation and prediction."""
    logits: Tensor = classifier(images).float().cpu()
    return logits


def training_scores(outputs: Outputs) -> dict[str, float]:
    """Return what training logs of a split: loss (cross entropy in nats), accuracy, balanced accuracy and macro F1."""
    loss = log_loss(torch.from_numpy(outputs.logits), torch.from_numpy(outputs.labels))
    return {"loss": float(loss) / len(outputs.labels), **summary(torch.from_numpy(outputs.confusion))}


def _metadata(rows: pa.Table) -> pa.Table:
    return rows.drop_columns([name for name in COLUMNS if name in rows.column_names])
