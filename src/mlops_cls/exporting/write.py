"""Write a bundle: aside, compared with its checkpoint, and then whole in its place."""

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from safetensors.torch import save

from mlops_cls.atomic import replacing_folder
from mlops_cls.backends.base import Backend
from mlops_cls.backends.with_onnxruntime import OnnxRuntime
from mlops_cls.bundle import FOLDER, MODEL, MODEL_CARD, OUTPUTS, REFERENCE, SAMPLES, WEIGHTS, Bundle, seal
from mlops_cls.card import ModelCard
from mlops_cls.checkpoint_forward import load_forward
from mlops_cls.data.datamodules import ImageDataModule
from mlops_cls.errors import ArtifactError, DataError
from mlops_cls.exporting.graph import OPSET, describe, write_graph
from mlops_cls.exporting.int8 import add_int8
from mlops_cls.exporting.parity import LEAST, check_parity
from mlops_cls.exporting.pictures import from_folder, open_data, pictures_of, spread
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.monitoring.making import make_reference
from mlops_cls.pictures import Pixels
from mlops_cls.run import find_checkpoint, home_of

PACKAGES = ("mlops-cls", "torch", "timm", "onnx", "onnxscript", "onnxruntime")
MOST_LOST = 0.01

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """What a bundle holds beside the model."""

    weights: bool = False
    samples: int = 0
    int8: bool = False
    most_lost: float = MOST_LOST
    """The most accuracy that the 8-bit model may lose, by the worse end of a 95 % interval on validation."""


def export_run(
    model: str | Path,
    out: str | Path | None = None,
    *,
    weights: bool = False,
    samples: int = 0,
    int8: bool = False,
    most_lost: float = MOST_LOST,
    overrides: Sequence[str] = (),
) -> Bundle:
    """Write the bundle of a run, in place of an older one.

    Args:
        model: a run folder, or a .ckpt file of ours.
        out: folder of the bundle; None: ``bundle`` in the run folder.
        weights: add the network's weights as safetensors.
        samples: add so many test pictures with the answers to them.
        int8: add the model in 8-bit numbers, if it loses little.
        most_lost: the most accuracy that it may lose, by the worse end of a 95 % interval on validation.
        overrides: where the data are now, such as ``data.root=FOLDER``.

    Raises:
        ArtifactError: not our checkpoint, something else lies at `out`, or the model answers otherwise.
        DataError: no pictures to compare on.
    """
    checkpoint = find_checkpoint(model)
    place = Path(out) if out else home_of(checkpoint) / FOLDER
    wishes = Wishes(weights=weights, samples=samples, int8=int8, most_lost=most_lost)
    return export_checkpoint(checkpoint, place, wishes, overrides=overrides)


def export_checkpoint(
    checkpoint: Path, out: Path, wishes: Wishes, *, overrides: Sequence[str] = (), pictures: Path | None = None
) -> Bundle:
    """Write a checkpoint's bundle to `out`, in place of an older one there.

    Args:
        checkpoint: a .ckpt file of ours.
        out: folder of the bundle.
        wishes: what it holds beside the model.
        overrides: where the data are now, such as ``data.root=FOLDER``.
        pictures: a folder of pictures to compare model and checkpoint on, in place of the data.

    Raises:
        ArtifactError: not our checkpoint, something else lies at `out`, or the model answers otherwise.
        DataError: no pictures to compare on.
    """
    _refuse_to_replace(out)
    classifier = ImageClassifier.from_checkpoint(checkpoint)
    data = None if pictures else open_data(classifier.card, overrides)
    if data is None and (wishes.samples or wishes.int8):
        raise DataError("--samples and --int8 need the pictures of the data set: leave out --pictures")
    images = from_folder(classifier.card, pictures, LEAST) if pictures else spread(_given(data), ("test", "val"), LEAST)
    with _writable(out), replacing_folder(out) as folder:
        card = write_model(folder, classifier, checkpoint, images)
        card = _add_from_run(folder, card, checkpoint)
        if data is not None:
            log.info("looking at training pictures, for later ones to be compared with")
            make_reference(data.prepared, OnnxRuntime(folder / MODEL).embed).save(folder / REFERENCE)
        if wishes.weights:
            write_weights(folder, classifier)
        if wishes.samples:
            write_samples(folder, card, OnnxRuntime(folder / MODEL), _given(data), wishes.samples)
        if wishes.int8:
            log.info("8 bits: ranges from training pictures, then its accuracy on all of validation")
            card = add_int8(folder, card, _given(data), most_lost=wishes.most_lost)
        seal(folder, card)
    return Bundle.open(out)


def write_model(folder: Path, classifier: ImageClassifier, checkpoint: Path, images: Pixels) -> ModelCard:
    """Write the classifier's model file, compared with its checkpoint on `images` uint8[N,C,H,W]; return the card.

    Raises:
        ArtifactError: they answer differently.
    """
    model = folder / MODEL
    log.info(
        "writing %s as one graph, then comparing it on %d pictures", classifier.card.architecture.name, len(images)
    )
    write_graph(classifier, model)
    versions = {name: version(name) for name in PACKAGES}
    describe(model, classifier.card, versions)
    _, reference = load_forward(checkpoint, "cpu")
    found = check_parity(lambda pictures: reference(pictures)[0], OnnxRuntime(model), images)
    made = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "versions": versions, "opset": OPSET}
    return replace(classifier.card, export={**made, "parity": found})


def write_weights(folder: Path, classifier: ImageClassifier) -> None:
    """Write the network's tensors under timm's names, as ``model.weights=FILE`` reads them."""
    tensors = {name: value.contiguous() for name, value in classifier.network.state_dict().items()}
    (folder / WEIGHTS).write_bytes(save(tensors))  # `save_file` would make a file that only its owner reads


def write_samples(folder: Path, card: ModelCard, backend: Backend, data: ImageDataModule, count: int) -> None:
    """Write test pictures of all classes in turn, without their names, with labels and the model's probabilities."""
    labels = data.prepared.labels("test")
    rows = _in_turn(labels)[:count]
    images = pictures_of(data, "test", rows)
    (folder / SAMPLES).mkdir()
    listed: list[dict[str, Any]] = []
    for number, (row, image, answer) in enumerate(zip(rows, images, backend(images), strict=True)):
        file = f"{number:03d}.png"
        Image.fromarray(image.transpose(1, 2, 0).squeeze()).save(folder / SAMPLES / file)
        probabilities = dict(zip(card.classes, answer.tolist(), strict=True))
        listed.append({"file": file, "label": card.classes[labels[row]], "probabilities": probabilities})
    text = json.dumps(listed, indent=2, ensure_ascii=False) + "\n"
    (folder / SAMPLES / f"{SAMPLES}.json").write_text(text, encoding="utf-8")


def _in_turn(labels: np.ndarray) -> np.ndarray:
    """Return all rows: the first of each class, the second of each class, and so on."""
    place = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        place[labels == label] = np.arange((labels == label).sum())
    return np.lexsort((labels, place))


def _add_from_run(folder: Path, card: ModelCard, checkpoint: Path) -> ModelCard:
    """Copy what a finished run has told of its model, if there is one; return the card with how many tested it."""
    run = checkpoint.parent.parent
    for source, name in ((run / "outputs" / "test.parquet", OUTPUTS), (run / MODEL_CARD, MODEL_CARD)):
        if source.is_file():
            shutil.copyfile(source, folder / name)
    if not (folder / OUTPUTS).is_file():
        return card
    return replace(card, export={**card.export, "tested": pq.read_metadata(folder / OUTPUTS).num_rows})


def _refuse_to_replace(out: Path) -> None:
    if out.exists() and not Bundle.is_at(out) and not (out.is_dir() and not any(out.iterdir())):
        raise ArtifactError(f"--out {out}: there is something else than a bundle; give another folder, or move it away")


@contextmanager
def _writable(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArtifactError(
            f"{out} cannot be written ({error.strerror or error}): make room, or give another folder with --out"
        ) from error


def _given(data: ImageDataModule | None) -> ImageDataModule:
    assert data is not None
    return data
