"""A classifier as one ONNX graph: pictures as they lie in memory go in, calibrated probabilities come out."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from mlops_cls.bundle import EMBEDDING, IMAGES, PROBABILITIES
from mlops_cls.card import ModelCard
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.models.networks import classifier_of

OPSET = 20


class Deployed(nn.Module):
    """Pictures uint8[B,C,H,W] to probabilities float[B,K] and to what the last layer is given, float[B,F]."""

    def __init__(self, classifier: ImageClassifier) -> None:
        super().__init__()
        self.normalise, self.network = classifier.normalise, classifier.network
        self.temperature = classifier.card.calibration.temperature

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        given: list[Tensor] = []
        hook = classifier_of(self.network).register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
        logits = self.network(self.normalise(images))
        hook.remove()
        return (logits / self.temperature).softmax(1), given[0].flatten(1)


def write_graph(classifier: ImageClassifier, path: Path) -> None:
    """Write a classifier as an ONNX file that needs no other file; any number of pictures fits into a call.

    Raises:
        ConfigError: the network does not say which of its parts is the classifier.
    """
    side, channels = classifier.card.preprocess.size, classifier.card.preprocess.channels
    # Two pictures: a batch of one could be taken for a constant.
    example = torch.zeros(2, channels, side, side, dtype=torch.uint8)
    with warnings.catch_warnings():
        # torch 2.13 about itself.
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*", category=FutureWarning)
        program = torch.onnx.export(
            Deployed(classifier).eval().cpu(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[IMAGES],
            output_names=[PROBABILITIES, EMBEDDING],
            dynamic_shapes={IMAGES: {0: torch.export.Dim("batch")}},
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _forget_its_making(model)
    onnx.save(model, path)


def describe(path: Path, card: ModelCard, versions: Mapping[str, str]) -> None:
    """Write the card into an ONNX file's metadata: whole under `card`, and by part for those who know no cards."""
    model = onnx.load(path)
    parts = {name: json.dumps(value, ensure_ascii=False) for name, value in card.to_dict().items() if value}
    whole = json.dumps(card.to_dict(), ensure_ascii=False)
    onnx.helper.set_model_props(model, {**parts, "card": whole, "versions": json.dumps(dict(versions))})
    onnx.save(model, path)


def _forget_its_making(model: onnx.ModelProto) -> None:
    """Take out where in whose files each node was traced: it is most of a small file, and tells of the machine."""
    graphs = [model.graph, *model.functions]
    for graph in graphs:
        for part in (*graph.node, *graph.value_info, graph):
            part.doc_string = ""
            del part.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        value.doc_string = ""
        del value.metadata_props[:]
