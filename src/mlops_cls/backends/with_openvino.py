"""Answers of OpenVINO on the CPU, from the same model files; an extra, since it is large."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mlops_cls.backends.base import Floats, cores
from mlops_cls.bundle import EMBEDDING, IMAGES, PROBABILITIES
from mlops_cls.errors import ArtifactError, ConfigError
from mlops_cls.pictures import Pixels

TELEMETRY = "openvino_telemetry"


class OpenVino:
    """A model file compiled by OpenVINO; each thread has its own request, since a request computes for one.

    Args:
        model: of a bundle.
        name: to be told by.
        precision: f32 or bf16; what an 8-bit model computes in besides.
        threads: that compute; None: as many as there are cores.
    """

    def __init__(self, model: Path, *, name: str = "openvino", precision: str = "f32", threads: int | None = None):
        self.name = name
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": str(threads or cores()),
        }
        try:
            self._compiled = _core().compile_model(str(model), "CPU", settings)
        except RuntimeError as error:
            raise ArtifactError(f"OpenVINO cannot read {model} ({error})") from error
        self._own = threading.local()

    def __call__(self, images: Pixels) -> Floats:
        return self.embed(images)[0]

    def embed(self, images: Pixels) -> tuple[Floats, Floats]:
        found = self._request().infer({IMAGES: np.ascontiguousarray(images)})
        return found[PROBABILITIES], found[EMBEDDING]

    def _request(self) -> Any:
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        return self._own.request


@cache
def _core() -> Any:
    """Return OpenVINO, which stays until the process ends.

    It gives the thread that starts it another stack for signals, and frees that with itself (2026.4): were the last
    model let go in another thread, the next signal would end the process.
    """
    try:
        with _without_telemetry():
            import openvino
    except ModuleNotFoundError as error:
        raise ConfigError("backend=openvino: it is not installed; pip install 'mlops-cls[openvino]'") from error
    return openvino.Core()


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Hide the package by which `import openvino` tells Google Analytics of itself, unasked; it does without."""
    unknown = TELEMETRY not in sys.modules
    if unknown:
        sys.modules[TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if unknown:
            del sys.modules[TELEMETRY]
