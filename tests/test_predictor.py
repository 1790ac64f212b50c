"""The predictor: what it takes, what it answers, what it refuses, and what it does without."""

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mlops_cls as mc
from mlops_cls.bundle import Bundle
from mlops_cls.card import Architecture, Calibration
from mlops_cls.errors import ArtifactError, ConfigError, MlopsError
from mlops_cls.pictures import PictureError, Pixels
from mlops_cls.predictor import BATCH, Predictor

CARD = mc.ModelCard(
    classes=("benign", "malignant"),
    preprocess=mc.Preprocess(size=4, mean=(0.5,), std=(0.5,)),
    architecture=Architecture(name="by hand"),
    attributes={"is_cancer": {"benign": False, "malignant": True}, "icd": {"malignant": "C43"}},
    calibration=Calibration(threshold=0.8),
)


def by_brightness(images: Pixels) -> tuple[np.ndarray, np.ndarray]:
    """Return the brightness as the probability of `malignant`, and two numbers as embedding."""
    bright = images.reshape(len(images), -1).mean(1, dtype=np.float32) / 255
    return np.stack([1 - bright, bright], axis=1), np.stack([bright, -bright], axis=1)


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(CARD, by_brightness)


def grey(level: int, size: int = 4) -> Pixels:
    return np.full((size, size), level, np.uint8)


def encoded(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_a_prediction_lacks_what_the_card_knows_of_its_class(predictor: Predictor) -> None:
    sure, unsure = predictor(grey(250)), predictor(grey(100))
    assert (sure.label, sure.index, sure.attributes, sure.abstains) == (
        "malignant", 1, {"is_cancer": True, "icd": "C43"}, False,
    )  # fmt: skip
    assert (unsure.label, unsure.attributes, unsure.abstains) == ("benign", {"is_cancer": False}, True)
    assert sure.confidence == sure.probabilities["malignant"] == pytest.approx(250 / 255)
    assert [name for name, _ in unsure.top(5)] == ["benign", "malignant"]


def test_a_classifier_without_a_threshold_abstains() -> None:
    card = replace(CARD, calibration=Calibration())
    assert not Predictor(card, by_brightness)(grey(128)).abstains


def test_pictures_differ_by_the_way_they_are_handed_over(predictor: Predictor, tmp_path: Path) -> None:
    data = encoded(grey(200))
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with path.open("rb") as file, Image.open(path) as image:
        answers = predictor.batch([data, path, str(path), file, io.BytesIO(data), image, grey(200)])
    assert len({answer.confidence for answer in answers}) == 1
    assert len(answers) == 7


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        ("https://example.org/a.png", "a URL, and nothing is fetched"),
        ("gs://bucket/a.png", "a URL, and nothing is fetched"),
        ("data:image/png;base64,AAAA", "a URL, and nothing is fetched"),
        ("nowhere.png", "no such file"),
        (b"nothing", "not a picture"),
        (None, "NoneType is no picture: give a path, bytes"),
        ([1, 2], "list is no picture"),
        (np.zeros((3, 4, 4), np.float32), "allowed: uint8"),
    ],
)
def test_what_is_no_picture_ends_in_a_traceback_or_a_download(
    predictor: Predictor, picture: object, words: str
) -> None:
    with pytest.raises(PictureError, match=words):
        predictor(picture)


@pytest.mark.parametrize("kind", ["bytes", "image", "array"])
def test_a_picture_of_too_many_pixels_is_decoded(kind: str) -> None:
    predictor = Predictor(CARD, by_brightness, max_pixels=100)
    large = grey(9, 11)
    handed = {"bytes": encoded(large)[:60], "image": Image.fromarray(large), "array": large}[kind]
    # 60 bytes hold the header and no pixels, so that decoding them would fail otherwise.
    with pytest.raises(PictureError, match=r"^more than 100 pixels$"):
        predictor(handed)
    assert predictor(grey(9, 10)).label == "benign"


def test_a_batch_is_answered_otherwise_than_picture_by_picture(predictor: Predictor) -> None:
    pictures = [grey(level % 256) for level in range(2 * BATCH + 3)]
    together = predictor.batch(iter(pictures))
    assert [answer.confidence for answer in together] == [predictor(picture).confidence for picture in pictures]
    assert predictor.embed(pictures).shape == (len(pictures), 2)
    assert predictor.batch([]) == []


def test_a_network_without_a_last_layer_has_embeddings() -> None:
    predictor = Predictor(CARD, lambda images: (by_brightness(images)[0], None))
    assert predictor(grey(9)).label == "benign"
    with pytest.raises(ArtifactError, match="no separate last layer"):
        predictor.embed([grey(9)])


def test_a_table_lacks_a_column_or_a_list_of_predictions_is_no_list(predictor: Predictor) -> None:
    answers = predictor.batch([grey(250), grey(100)])
    assert isinstance(answers, list) and answers[0].label == "malignant" and len(answers[:1]) == 1
    frame = answers.to_frame()
    assert list(frame) == ["label", "confidence", "abstains", "is_cancer", "icd", "p(benign)", "p(malignant)"]
    assert frame["abstains"].tolist() == [False, True]
    assert frame["p(malignant)"].tolist() == [answer.probabilities["malignant"] for answer in answers]


def test_without_pandas_a_table_ends_in_a_traceback(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = predictor.batch([grey(9)])
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MlopsError, match="pip install pandas"):
        answers.to_frame()


def test_a_bundle_answers_or_embeds_otherwise_than_its_checkpoint(tiny_run: mc.Run, tiny_bundle: Bundle) -> None:
    bundle, checkpoint = Predictor.load(tiny_bundle.folder), Predictor.load(tiny_run.checkpoint)
    pictures = list(np.random.default_rng(0).integers(0, 256, (70, 20, 20, 3)).astype(np.uint8))
    ours, theirs = bundle.batch(pictures), checkpoint.batch(pictures)
    for one, other in zip(ours, theirs, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4)
    np.testing.assert_allclose(bundle.embed(pictures), checkpoint.embed(pictures), atol=1e-3, rtol=1e-3)


def test_settings_that_would_not_be_used_are_taken(tiny_run: mc.Run, tiny_bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match="a bundle computes on the CPU"):
        Predictor.load(tiny_bundle.folder, device="cuda")
    with pytest.raises(ConfigError, match="a checkpoint is computed by torch"):
        Predictor.load(tiny_run.folder, backend="openvino")
    with pytest.raises(ConfigError, match="did you mean 'onnxruntime'"):
        Predictor.load(tiny_bundle.folder, backend="onxruntime")


WITHOUT = """
import json, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "pytorch_lightning", "lightning", "hydra", "omegaconf", "wandb", "timm"}:
            raise ImportError(f"{name} must not be needed")

sys.meta_path.insert(0, Refuse())
from mlops_cls import Predictor
from mlops_cls.bundle import Bundle
from mlops_cls.monitoring.reference import Reference
from mlops_cls.monitoring.statistics import measure
from mlops_cls.predict import main

folder, picture, out = sys.argv[1:]
predictor = Predictor.load(folder)
seen = predictor.read(picture)
reference = Reference.load(Bundle.open(folder).reference)
assert reference.classes == predictor.card.classes
assert set(measure(seen.pixels[None], [seen.sides])) == set(reference.statistics)
assert reference.projection(predictor.embed([picture])).shape == reference.projected[:1].shape
main([folder, picture, "--out", out, "--top", "99"])
print(json.dumps(predictor(picture).probabilities))
try:
    import torch
except ImportError:
    print("refused")
"""


def test_a_bundle_is_used_with_torch_lightning_hydra_or_wandb(tiny_bundle: Bundle, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 20, 3)).astype(np.uint8)).save(picture)
    command = [sys.executable, "-c", WITHOUT, tiny_bundle.folder, picture, tmp_path / "out.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    said, refused = done.stdout.splitlines()
    assert refused == "refused"
    expected = Predictor.load(tiny_bundle.folder)(picture).probabilities
    assert json.loads(said) == pytest.approx(expected, abs=1e-6)
    (answer,) = json.loads((tmp_path / "out.json").read_text())
    assert {each["label"]: each["probability"] for each in answer["top"]} == pytest.approx(expected, abs=1e-6)
