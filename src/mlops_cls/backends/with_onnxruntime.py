"""Answers of onnxruntime on the CPU."""

from pathlib import Path

import numpy as np
import onnxruntime

from mlops_cls.backends.base import Floats, cores
from mlops_cls.bundle import EMBEDDING, IMAGES, PROBABILITIES
from mlops_cls.errors import ArtifactError
from mlops_cls.pictures import Pixels

_ERRORS_ONLY = 3


class OnnxRuntime:
    """A model file in an onnxruntime session, which threads may share."""

    def __init__(self, model: Path, *, name: str = "onnxruntime", threads: int | None = None) -> None:
        self.name = name
        try:
            self._session = onnxruntime.InferenceSession(model, _options(threads), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exceptions share no base
            raise ArtifactError(f"onnxruntime cannot read {model} ({error})") from error

    def __call__(self, images: Pixels) -> Floats:
        probabilities: Floats = self._run(images, [PROBABILITIES])[0]
        return probabilities

    def embed(self, images: Pixels) -> tuple[Floats, Floats]:
        probabilities, embedding = self._run(images, [PROBABILITIES, EMBEDDING])
        return probabilities, embedding

    def _run(self, images: Pixels, outputs: list[str]) -> list[Floats]:
        found: list[Floats] = self._session.run(outputs, {IMAGES: np.ascontiguousarray(images)})
        return found


def _options(threads: int | None) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads or cores()
    # Threads that wait in a loop take the processor from whatever else runs. On two busy cores a picture at 224 took
    # resnet18 97 ms and 41 ms of processor time with such loops, 51 and 21 without; four callers got 15 and 24 pictures
    # a second.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
