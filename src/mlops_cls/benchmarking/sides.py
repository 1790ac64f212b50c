"""Everything that can answer for one trained model: torch in its settings, and each back end of its bundle."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file

from mlops_cls.backends.base import Backend, Floats, cores
from mlops_cls.backends.kinds import KINDS, open_kind
from mlops_cls.bundle import FOLDER, Bundle
from mlops_cls.choices import Device, Precision
from mlops_cls.errors import ArtifactError
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.pictures import Pixels
from mlops_cls.run import BEST
from mlops_cls.runtime import Runtime

TORCH = "torch"
RUNTIMES = {
    TORCH: Runtime(Device.cpu, Precision.fp32, channels_last=False),
    "torch channels_last": Runtime(Device.cpu, Precision.fp32, channels_last=True),
    "torch bf16 channels_last": Runtime(Device.cpu, Precision.bf16, channels_last=True),
    "torch compiled": Runtime(Device.cpu, Precision.fp32, channels_last=True, compile=True),
    "torch bf16 compiled": Runtime(Device.cpu, Precision.bf16, channels_last=True, compile=True),
}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Side:
    """Something that answers pictures uint8[B,C,H,W] with probabilities float32[B,K], and its bytes on the disk."""

    name: str
    forward: Callable[[Pixels], Floats]
    bytes: int


def find_model(path: Path) -> tuple[Bundle, ImageClassifier | None]:
    """Return the bundle that a path means, and the classifier in torch where its weights are known.

    Raises:
        ArtifactError: no bundle, or a run that was not exported.
    """
    if Bundle.is_at(path):
        bundle = Bundle.open(path)
        return bundle, None if bundle.weights is None else _with_weights(bundle, bundle.weights)
    if not Bundle.is_at(path / FOLDER):
        raise ArtifactError(
            f"{path} is no bundle, and no run that was exported: python -m mlops_cls.export {path} --int8 comes first"
        )
    return Bundle.open(path / FOLDER), ImageClassifier.from_checkpoint(path / BEST)


@contextmanager
def on_all_cores() -> Iterator[None]:
    """Let torch compute with as many threads as back ends do, whatever it was told before."""
    before = torch.get_num_threads()
    torch.set_num_threads(cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)


def sides_of(bundle: Bundle, classifier: ImageClassifier | None, *, compiled: bool) -> Iterator[Side]:
    """Yield what can answer here; back ends with as many threads as there are cores, torch within `on_all_cores`."""
    for name, runtime in RUNTIMES.items():
        if classifier is not None and (compiled or not runtime.compile):
            yield Side(name, _in_torch(classifier, runtime), _bytes_of(classifier))
    for name, kind in KINDS.items():
        model = bundle.int8 if kind.int8 else bundle.model
        if kind.installed and model is not None:
            backend: Backend = open_kind(bundle, name)
            yield Side(name, backend, model.stat().st_size)


def usable(sides: Iterable[Side], images: Pixels) -> list[Side]:
    """Return the sides that answer these pictures; only to compile can fail, for want of a compiler of C++."""
    found = []
    for side in sides:
        try:
            side.forward(images)
        except RuntimeError as error:
            log.warning("%s is left out: %s", side.name, str(error).splitlines()[0])
        else:
            found.append(side)
    return found


def _in_torch(trained: ImageClassifier, runtime: Runtime) -> Callable[[Pixels], Floats]:
    classifier = deepcopy(trained).eval()
    classifier.compute_as(Runtime(runtime.device, runtime.precision, runtime.channels_last))
    if runtime.compile:
        # For each size of batch by itself: code for any size is slower.
        classifier.network.compile(dynamic=False)
    temperature = classifier.card.calibration.temperature

    @torch.inference_mode()
    def forward(images: Pixels) -> Floats:
        with runtime.autocast():
            logits = classifier(torch.from_numpy(images))
        probabilities: Floats = (logits.float() / temperature).softmax(1).numpy()
        return probabilities

    return forward


def _with_weights(bundle: Bundle, weights: Path) -> ImageClassifier:
    classifier = ImageClassifier(bundle.card)
    classifier.network.load_state_dict(load_file(weights))
    return classifier.eval()


def _bytes_of(classifier: ImageClassifier) -> int:
    return sum(tensor.nbytes for tensor in classifier.network.state_dict().values())
