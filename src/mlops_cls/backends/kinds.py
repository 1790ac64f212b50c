"""The back ends by name, and how each is opened."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mlops_cls.backends.base import Backend
from mlops_cls.bundle import INT8, Bundle
from mlops_cls.errors import ArtifactError

DEFAULT = "onnxruntime"


@dataclass(frozen=True, slots=True)
class Kind:
    """A library, the model file that it reads, and what else it is told."""

    library: str
    int8: bool = False
    precision: str | None = None

    @property
    def installed(self) -> bool:
        return find_spec(self.library) is not None


KINDS = {
    "onnxruntime": Kind("onnxruntime"),
    "onnxruntime-int8": Kind("onnxruntime", int8=True),
    "openvino": Kind("openvino"),
    "openvino-bf16": Kind("openvino", precision="bf16"),
    "openvino-int8": Kind("openvino", int8=True),
}
"""Those without an ending compute in float32, and answer as the checkpoint does."""


def open_kind(bundle: Bundle, name: str, *, threads: int | None = None) -> Backend:
    """Return one of `KINDS`.

    Raises:
        ArtifactError: the bundle has no 8-bit model, or the library cannot read it.
        ConfigError: the library is not installed.
    """
    kind = KINDS[name]
    model = _int8_of(bundle, name) if kind.int8 else bundle.model
    return _opener(kind)(model, name=name, threads=threads)


def _int8_of(bundle: Bundle, name: str) -> Path:
    if bundle.int8 is None:
        raise ArtifactError(
            f"backend={name}: {bundle.folder} has no {INT8}; python -m mlops_cls.export RUN --int8 makes one"
        )
    return bundle.int8


def _opener(kind: Kind) -> Callable[..., Backend]:
    # Imported here, so that one library does without the other.
    if kind.library == "openvino":
        from mlops_cls.backends.with_openvino import OpenVino

        more: dict[str, Any] = {} if kind.precision is None else {"precision": kind.precision}
        return partial(OpenVino, **more)
    from mlops_cls.backends.with_onnxruntime import OnnxRuntime

    return OnnxRuntime
