"""A record as a service writes it."""

from datetime import UTC, datetime

import numpy as np

from mlops_cls.monitoring.records import Record

CLASSES = ("Stiefel", "naïve ankle\nboot", "shirt")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
RECORD = Record(
    id="request-0",
    request_id="request",
    time=NOON,
    model="0123456789ab",
    label=CLASSES[1],
    index=1,
    confidence=float(np.float32(0.7)),
    probabilities=np.array([0.1, 0.7, 0.2], np.float32),
    abstains=False,
    width=640,
    height=480,
    statistics={"brightness": 99.1, "contrast": 0, "sharpness": 1e-8, "entropy": 4, "width": 640, "height": 480},
    embedding=np.array([1 / 3, -2e-9, 5e7], np.float32),
)
