"""The heart of the suite: whichever way a picture goes through the library, it gets the same probabilities."""

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

import mlops_cls as mc
from mlops_cls import evaluate, export, predict
from odd_pictures import ODD, write_in_odd_ways

TOLERANCE = 1e-4
Probabilities = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Trained:
    """A run on raw pictures of every mode, the folder of its test pictures, and its bundle."""

    run: mc.Run
    raw: Path
    bundle: Path
    labels: dict[str, str]


@pytest.fixture(scope="module", params=["digits", "fmnist", "skin_lesion"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    home = tmp_path_factory.mktemp(request.param)
    pictures = _DATA[request.param](request)
    labels = write_in_odd_ways(home / "raw", pictures)
    overrides = [
        "experiment=quickstart", "data=folder", f"data.root={home / 'raw'}", "data.size=28", "data.channels=rgb",
        "logger=none", f"data.store={home / 'prepared'}", f"run.folder={home / 'runs'}", "trainer.max_epochs=3",
        "data.check=off", "data.test_fraction=0.4",
    ]  # fmt: skip
    run = mc.fit(mc.load_config(*overrides))
    export.main([str(run.folder), "--out", str(home / "bundle")])
    return Trained(run, home / "raw", home / "bundle", labels)


def _digits(request: pytest.FixtureRequest) -> Iterator[tuple[np.ndarray, str]]:
    images, labels = load_digits(return_X_y=True)
    for image, label in zip(images[:600], labels[:600], strict=True):
        yield (image.reshape(8, 8) * 15).astype(np.uint8), f"number {label}"


def _fmnist(request: pytest.FixtureRequest) -> Iterator[tuple[np.ndarray, str]]:
    folder = request.getfixturevalue("real_data") / "fmnist"
    names = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
    with (
        gzip.open(folder / "t10k-images-idx3-ubyte.gz") as images,
        gzip.open(folder / "t10k-labels-idx1-ubyte.gz") as labels,
    ):
        pixels = np.frombuffer(images.read(), np.uint8, offset=16).reshape(-1, 28, 28)[:600]
        for image, label in zip(pixels, np.frombuffer(labels.read(), np.uint8, offset=8)[:600], strict=True):
            yield image, names[label]


def _skin_lesion(request: pytest.FixtureRequest) -> Iterator[tuple[np.ndarray, str]]:
    with zipfile.ZipFile(request.getfixturevalue("real_data") / "skin_lesion" / "HAM10000.zip") as archive:
        (table,) = (name for name in archive.namelist() if name.endswith("HAM10000_metadata.csv"))
        rows = list(csv.DictReader(archive.read(table).decode().splitlines()))
        paths = {Path(name).stem: name for name in archive.namelist() if name.endswith(".jpg")}
        for diagnosis in ("nv", "mel", "bkl"):
            for row in [row for row in rows if row["dx"] == diagnosis and row["image_id"] in paths][:150]:
                picture = Image.open(io.BytesIO(archive.read(paths[row["image_id"]])))
                yield np.asarray(picture.convert("L")), diagnosis


_DATA = {"digits": _digits, "fmnist": _fmnist, "skin_lesion": _skin_lesion}


@pytest.fixture(scope="module")
def by_datamodule(trained: Trained) -> Probabilities:
    """Return what a checkpoint makes of the batches of the DataModule."""
    classifier = mc.ImageClassifier.from_checkpoint(trained.run.checkpoint)
    plan = mc.Plan(**trained.run.card.provenance["data"]["plan"])
    data = mc.FolderDataModule(trained.raw, plan=plan, store=trained.raw.parent / "prepared", check="off")
    with torch.inference_mode():
        logits = torch.cat([classifier(images) for images, _ in data.test_dataloader()])
    probabilities = (logits / classifier.card.calibration.temperature).softmax(1).numpy()
    return dict(zip(data.prepared.ids("test"), probabilities, strict=True))


@pytest.fixture(scope="module")
def by_evaluate(trained: Trained) -> Probabilities:
    out = trained.raw.parent / "evaluation"
    evaluate.main([str(trained.run.folder), "--out", str(out)])
    with (out / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return {row["id"]: np.array([float(row[name]) for name in _classes(trained)]) for row in csv.DictReader(file)}


def test_evaluate_gives_other_probabilities_than_the_checkpoint_on_batches_of_the_datamodule(
    by_datamodule: Probabilities, by_evaluate: Probabilities
) -> None:
    assert by_evaluate.keys() == by_datamodule.keys()
    _assert_close(by_evaluate, by_datamodule)


def test_a_bundle_gives_other_probabilities_for_raw_files_than_the_datamodule(
    trained: Trained, by_datamodule: Probabilities
) -> None:
    predictor = mc.Predictor.load(trained.bundle)
    answers = predictor.batch(trained.raw / sample for sample in by_datamodule)
    found = {s: np.array(list(a.probabilities.values())) for s, a in zip(by_datamodule, answers, strict=True)}
    _assert_close(found, by_datamodule)


@pytest.mark.parametrize("model", ["checkpoint", "bundle"])
def test_predict_on_raw_files_gives_other_probabilities_or_accuracy_than_evaluate(
    trained: Trained, model: str, by_datamodule: Probabilities
) -> None:
    found = _predict(trained, trained.bundle if model == "bundle" else trained.run.folder, list(by_datamodule))
    _assert_close(found, by_datamodule)
    right = [_classes(trained)[row.argmax()] == trained.labels[sample] for sample, row in found.items()]
    assert sum(right) / len(right) == trained.run.metrics["test/accuracy"]


def test_a_mode_or_format_is_left_out_of_the_comparison(by_datamodule: Probabilities) -> None:
    assert {Path(sample).stem.partition(" ")[2] for sample in by_datamodule} == ODD.keys()


def _predict(trained: Trained, model: Path, samples: list[str]) -> Probabilities:
    out = trained.raw.parent / "answers.json"
    files = [str(trained.raw / sample) for sample in samples]
    predict.main([str(model), *files, "--top", str(len(_classes(trained))), "--out", str(out)])
    found = {}
    for answer in json.loads(out.read_text(encoding="utf-8")):
        by_class = {entry["label"]: entry["probability"] for entry in answer["top"]}
        sample = Path(answer["path"]).relative_to(trained.raw).as_posix()
        found[sample] = np.array([by_class[name] for name in _classes(trained)])
    return found


def _classes(trained: Trained) -> tuple[str, ...]:
    return trained.run.card.classes


def _assert_close(found: Probabilities, expected: Probabilities) -> None:
    for sample, row in expected.items():
        np.testing.assert_allclose(found[sample], row, rtol=0, atol=TOLERANCE, err_msg=sample)
