"""The model in 8-bit numbers, made without training, and what it costs: measured on validation before it is kept.

Static quantisation of onnxruntime in the QDQ form, which OpenVINO reads too: activations in unsigned 8 bits, weights in
signed 8 bits per channel. Pictures, normalisation, the last layer and the softmax stay as they are.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from mlops_cls.backends.fastest import example_pictures
from mlops_cls.backends.with_onnxruntime import OnnxRuntime
from mlops_cls.bundle import IMAGES, INT8, MODEL
from mlops_cls.card import ModelCard
from mlops_cls.data.datamodules import ImageDataModule
from mlops_cls.exporting.cost import measure_cost
from mlops_cls.exporting.graph import describe
from mlops_cls.exporting.pictures import spread
from mlops_cls.pictures import Pixels

PICTURES = 128
BATCH = 16
RANGES: dict[str, Any] = {"calibrate_method": CalibrationMethod.MinMax, "extra_options": {"CalibMovingAverage": True}}
"""The mean of the batches' least and greatest values: the best of six ways that `docs/export.md` compares."""
WITH_WEIGHTS = ("Conv", "Gemm", "MatMul")
QUANTISED = (*WITH_WEIGHTS, "Add", "Clip", "MaxPool", "Relu")


class _Batches(CalibrationDataReader):
    def __init__(self, images: Pixels) -> None:
        self._rest = iter(np.split(images, range(BATCH, len(images), BATCH)))

    def get_next(self) -> dict[str, Pixels] | None:
        batch = next(self._rest, None)
        return None if batch is None else {IMAGES: batch}


def quantise(model: Path, images: Pixels, out: Path) -> None:
    """Write the model in 8-bit numbers, with ranges as seen on pictures uint8[N,C,H,W]."""
    content = onnx.load(model)
    # The exporter's shapes of inner values are in the way of those that quantisation finds.
    del content.graph.value_info[:]
    with _quiet():
        quantize_static(
            content,
            out,
            _Batches(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[_last_layer(content)],
            **RANGES,
        )


def add_int8(folder: Path, card: ModelCard, data: ImageDataModule, *, most_lost: float) -> ModelCard:
    """Add the 8-bit model to a bundle's folder if it loses little, and what it costs to the card in any case.

    Args:
        folder: with the exact model in it.
        card: of the bundle.
        data: gives training pictures for the ranges, and those of validation to measure on.
        most_lost: the most accuracy that it may lose, by the worse end of the interval.
    """
    exact = OnnxRuntime(folder / MODEL)
    quantise(folder / MODEL, spread(data, ["train"], PICTURES), folder / INT8)
    describe(folder / INT8, replace(card, export={}), card.export["versions"])
    faster = OnnxRuntime(folder / INT8)
    examples = example_pictures(card.preprocess.size, card.preprocess.channels)
    cost = measure_cost(exact, faster, data, "val")
    kept = cost.low >= -most_lost
    facts = {
        "kept": kept,
        "most_lost": most_lost,
        "cost": cost.to_dict(),
        "difference_on_examples": float(np.abs(exact(examples) - faster(examples)).max()),
        "size_ratio": (folder / INT8).stat().st_size / (folder / MODEL).stat().st_size,
    }
    if not kept:
        (folder / INT8).unlink()
    return replace(card, export={**card.export, "int8": facts})


def _last_layer(model: onnx.ModelProto) -> str:
    names: list[str] = [node.name for node in model.graph.node if node.op_type in WITH_WEIGHTS]
    return names[-1]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back the advice to prepare a model that is prepared; it comes from the root logger."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
