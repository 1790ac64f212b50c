"""What a classifier must beat: always the most frequent class, and a linear model on small pictures."""

import warnings
from typing import Any

import numpy as np
from PIL import Image

from mlops_cls.evaluation.answers import Answers, Whole
from mlops_cls.evaluation.measures import Measures
from mlops_cls.evaluation.outputs import Outputs
from mlops_cls.evaluation.resampling import Resampling
from mlops_cls.models.rates import Floats
from mlops_cls.pictures import Pixels

SIDE = 16
MOST_PICTURES = 10_000
PENALTY = 0.1


def majority(outputs: Outputs) -> dict[str, Any]:
    """Return how good it is always to name the class most frequent among these pictures; no one answer is better."""
    support = np.bincount(outputs.labels, minlength=len(outputs.classes))
    best = int(support.argmax())
    return {
        "class": outputs.classes[best],
        "accuracy": float(support[best] / support.sum()),
        "balanced_accuracy": float(1 / (support > 0).sum()),
    }


def linear_probe(
    train: tuple[Pixels, Whole], pictures: Pixels, labels: Whole, resampling: Resampling
) -> dict[str, Any]:
    """Return the scores of scikit-learn's logistic regression on pixels, with what it is.

    Pictures are shrunk to 16x16 pixels at most by averaging, pixels are scaled to mean 0 and variance 1 over training,
    of which 10,000 pictures at most are drawn; L2 penalty with C = 0.1, at most 200 steps of L-BFGS.

    Args:
        train: pictures uint8[M,H,W,C] and labels int64[M]; of two classes at least.
        pictures: uint8[N,H,W,C], to be scored on.
        labels: int64[N].
        resampling: of the pictures.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = np.sort(np.random.default_rng(0).permutation(len(train[1]))[:MOST_PICTURES])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, max_iter=200))
    with warnings.catch_warnings():
        # A baseline need not be the very best of its kind.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(_shrunk(train[0], rows), train[1][rows])
    num_classes = 1 + max(int(labels.max()), int(train[1].max()))
    log_probabilities = np.full((len(labels), num_classes), -np.inf)
    log_probabilities[:, model.classes_] = model.predict_log_proba(_shrunk(pictures, np.arange(len(labels))))
    scores = Measures(Answers(labels, log_probabilities), resampling).overall()
    return {
        "what": f"logistic regression on pictures of at most {SIDE}x{SIDE} pixels",
        "trained_on": len(rows),
        **{name: scores[name].to_dict() for name in ("accuracy", "balanced_accuracy")},
    }


def _shrunk(pictures: Pixels, rows: Whole) -> Floats:
    """Return float64[N,F], scaled to 0..1."""
    side = min(SIDE, pictures.shape[1])

    def shrink(picture: Pixels) -> Pixels:
        image = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)
        return np.asarray(image.resize((side, side), Image.Resampling.BOX)).ravel()

    return np.stack([shrink(pictures[row]) for row in rows]) / 255.0
