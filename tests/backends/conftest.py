from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from mlops_cls.bundle import INT8, MODEL, Bundle, seal


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep what is measured in a folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mlops_cls" / "backends"


@pytest.fixture
def with_int8(tiny_bundle: Bundle, tmp_path: Path) -> Callable[..., Bundle]:
    """Return a function that makes a bundle whose "8-bit" model has its last weights multiplied by a factor."""

    def make(factor: float, *, known_difference: float = 0.0) -> Bundle:
        model = onnx.load(tiny_bundle.model)
        last = next(node for node in reversed(model.graph.node) if node.op_type == "Gemm")
        weights = next(tensor for tensor in model.graph.initializer if tensor.name == last.input[1])
        weights.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weights) * factor, weights.name))
        folder = tmp_path / "made"
        folder.mkdir()
        (folder / MODEL).write_bytes(tiny_bundle.model.read_bytes())
        onnx.save(model, folder / INT8)
        card = tiny_bundle.card.to_dict() | {"export": {"int8": {"difference_on_examples": known_difference}}}
        seal(folder, type(tiny_bundle.card).from_dict(card))
        return Bundle.open(folder)

    return make
