"""The verb: what it refuses before it writes anything, and that an older bundle stays until a finished one is there."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

import mlops_cls as mc
from mlops_cls import export
from mlops_cls.bundle import INT8, MODEL, Bundle
from mlops_cls.errors import ArtifactError, DataError
from mlops_cls.exporting.write import Wishes, export_checkpoint
from mlops_cls.models.classifier import ImageClassifier
from mlops_cls.models.weights import read_checkpoint

MakePictures = Callable[..., Path]


def test_the_model_file_tells_of_itself(tiny_bundle: Bundle) -> None:
    told = {prop.key: json.loads(prop.value) for prop in onnx.load(tiny_bundle.model).metadata_props}
    assert tuple(told["classes"]) == tiny_bundle.card.classes
    assert told["preprocess"]["size"] == tiny_bundle.card.preprocess.size
    assert told["calibration"] == {"temperature": tiny_bundle.card.calibration.temperature} | told["calibration"]
    assert told["scores"] == tiny_bundle.card.scores
    assert told["versions"] == tiny_bundle.card.export["versions"]
    assert mc.ModelCard.from_dict(told["card"]).provenance == tiny_bundle.card.provenance


def test_the_model_file_does_not_tell_where_it_was_made(tiny_bundle: Bundle) -> None:
    assert str(Path(torch.__file__).parent).encode() not in tiny_bundle.model.read_bytes()


def test_the_weights_are_those_of_the_checkpoint(tiny_bundle: Bundle, tiny_run: mc.Run, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    assert tiny_bundle.weights is not None
    network = ImageClassifier.from_checkpoint(tiny_run.checkpoint).network
    kept = load_file(tiny_bundle.weights)
    assert kept.keys() == network.state_dict().keys()
    assert all(torch.equal(kept[name], value) for name, value in network.state_dict().items())


def test_samples_are_test_pictures_with_the_answers_to_them(tiny_bundle: Bundle, tiny_run: mc.Run) -> None:
    predictor = mc.Predictor.load(tiny_run.checkpoint)
    for sample in tiny_bundle.samples:
        found = predictor(Image.open(sample["file"])).probabilities
        np.testing.assert_allclose([*found.values()], [*sample["probabilities"].values()], atol=1e-4)


def test_something_else_is_never_replaced(tiny_run: mc.Run, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ArtifactError, match="something else than a bundle"):
        export.main([str(tiny_run.folder), "--out", str(tmp_path)])
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_place_that_cannot_be_written_is_told(tiny_run: mc.Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match=r"file/bundle cannot be written .*--out"):
        export.main([str(tiny_run.folder), "--out", str(tmp_path / "file" / "bundle")])


def test_data_that_are_gone_are_asked_for(tiny_run: mc.Run, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    with pytest.raises(DataError, match=r"(?s)gone.*data\.root=FOLDER_OR_ZIP, or use --pictures"):
        export.main([str(tiny_run.folder), "--out", str(tmp_path / "new"), "data=folder", f"data.root={gone}"])
    assert not (tmp_path / "new").exists()


def test_too_few_pictures_are_no_check(tiny_run: mc.Run, tmp_path: Path, make_pictures: MakePictures) -> None:
    folder = make_pictures(tmp_path / "few", {"red": 3})
    with pytest.raises(DataError, match="64 pictures are needed, and there are 3"):
        export.main([str(tiny_run.folder), "--out", str(tmp_path / "new"), "--pictures", str(folder)])


def test_8_bits_cannot_be_judged_by_pictures_without_labels(tiny_run: mc.Run, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--int8 need the pictures of the data set: leave out --pictures"):
        export.main([str(tiny_run.folder), "--out", str(tmp_path / "new"), "--pictures", str(tmp_path), "--int8"])


def test_a_failed_export_leaves_the_bundle_that_was_there(
    tiny_run: mc.Run, tmp_path: Path, make_pictures: MakePictures
) -> None:
    pictures, out = make_pictures(tmp_path / "pictures", {"red": 40, "green": 40}), tmp_path / "bundle"
    (tmp_path / ".bundle.partial").mkdir()  # a killed export's
    export_checkpoint(tiny_run.checkpoint, out, Wishes(), pictures=pictures)
    before = Bundle.open(out)

    content = read_checkpoint(tiny_run.checkpoint)
    content["state_dict"]["network.head.bias"][0] = float("nan")
    torch.save(content, tmp_path / "broken.ckpt")
    with pytest.raises(ArtifactError, match="differ by nan"):
        export_checkpoint(tmp_path / "broken.ckpt", out, Wishes(), pictures=pictures)
    assert Bundle.open(out) == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["broken.ckpt", "bundle", "pictures"]
    assert before.model.name == MODEL and not (out / INT8).exists()
