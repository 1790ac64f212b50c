"""Every family of networks becomes a model file that answers as its checkpoint does, to any number of pictures."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mlops_cls.backends.with_onnxruntime import OnnxRuntime
from mlops_cls.bundle import MODEL
from mlops_cls.card import Architecture, Calibration, ModelCard, Preprocess
from mlops_cls.errors import ArtifactError
from mlops_cls.exporting.parity import TOLERANCE, check_parity, disagreements
from mlops_cls.exporting.write import write_model
from mlops_cls.models.classifier import CARD_KEY, ImageClassifier
from mlops_cls.models.networks import fit_to_size
from mlops_cls.pictures import Pixels

# timm's narrow networks of each family, and ours.
FAMILIES = {
    "resnet": Architecture(name="test_resnet"),
    "efficientnet": Architecture(name="test_efficientnet"),
    "mobilenetv3": Architecture(name="mobilenetv3_small_050"),
    "convnext": Architecture(name="test_convnext"),
    "vit": Architecture(name="test_vit"),
    "baseline_cnn": Architecture(name="baseline_cnn", kwargs={"widths": [8, 16]}),
    "mini_resnet": Architecture(name="mini_resnet", kwargs={"widths": [8, 16]}, drop_rate=0.3),
    "two_conv_cnn": Architecture(name="two_conv_cnn", kwargs={"widths": [4, 8, 16]}),
    "small_stem and head_width": Architecture(
        name="resnet18", small_stem=True, head_width=24, kwargs={"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]}
    ),
}
CLASSES = ("round", "square", "neither")


def pictures(number: int, size: int) -> Pixels:
    """Return coloured noise of another brightness per picture, uint8[N,3,H,W]."""
    generator = np.random.default_rng(0)
    level = generator.integers(0, 200, (number, 3, 1, 1))
    return (level + generator.integers(0, 56, (number, 3, size, size))).astype(np.uint8)


def trained(architecture: Architecture, size: int = 48) -> ImageClassifier:
    """Return a classifier after two steps, by which BatchNorm has seen pictures."""
    torch.manual_seed(0)
    card = ModelCard(
        classes=CLASSES,
        preprocess=Preprocess(size=size, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3)),
        architecture=fit_to_size(architecture, size),
        calibration=Calibration(temperature=1.7),
    )
    classifier = ImageClassifier(card).train()
    optimizer = torch.optim.SGD(classifier.parameters(), 0.05)
    images = torch.from_numpy(pictures(12, size))
    for _ in range(2):
        loss = torch.nn.functional.cross_entropy(classifier(images), torch.arange(12) % 3)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return classifier.eval()


def save(classifier: ImageClassifier, folder: Path) -> Path:
    path = folder / "best.ckpt"
    torch.save({"state_dict": classifier.state_dict(), CARD_KEY: classifier.card.to_dict()}, path)
    return path


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_answers_as_its_checkpoint_does(family: str, tmp_path: Path) -> None:
    classifier = trained(FAMILIES[family])
    card = write_model(tmp_path, classifier, save(classifier, tmp_path), pictures(64, 48))
    assert card.export["parity"]["pictures"] == 64
    assert set(card.export["parity"]["largest_difference"]) == {"1", "16"}

    images, network = pictures(5, 48), classifier.network
    probabilities, embedding = OnnxRuntime(tmp_path / MODEL).embed(images)
    with torch.no_grad():
        features = network.forward_features(classifier.normalise(torch.from_numpy(images)))
        expected = network.forward_head(features, pre_logits=True).numpy()
        logits = classifier(torch.from_numpy(images))
    np.testing.assert_allclose(embedding, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(probabilities, (logits / 1.7).softmax(1).numpy(), atol=1e-5)


def test_an_export_of_other_normalisation_is_refused(tmp_path: Path) -> None:
    classifier = trained(FAMILIES["baseline_cnn"])
    checkpoint = save(classifier, tmp_path)
    classifier.normalise.mean += 3  # a hundredth of what a pixel may be
    with pytest.raises(ArtifactError, match="nothing was exported: onnxruntime and the checkpoint differ by"):
        write_model(tmp_path, classifier, checkpoint, pictures(64, 48))


def test_an_export_of_another_temperature_is_refused(tmp_path: Path) -> None:
    classifier = trained(FAMILIES["baseline_cnn"])
    checkpoint = save(classifier, tmp_path)
    classifier.card = ModelCard.from_dict(classifier.card.to_dict() | {"calibration": {"temperature": 1.0}})
    with pytest.raises(ArtifactError, match="nothing was exported"):
        write_model(tmp_path, classifier, checkpoint, pictures(64, 48))


def test_answers_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    classifier = trained(FAMILIES["baseline_cnn"])
    checkpoint = save(classifier, tmp_path)
    torch.nn.init.constant_(classifier.network.head.weight, float("nan"))  # type: ignore[union-attr, arg-type]
    with pytest.raises(ArtifactError, match="differ by nan"):
        write_model(tmp_path, classifier, checkpoint, pictures(64, 48))


def test_two_classes_that_are_equally_probable_are_no_disagreement() -> None:
    expected = np.array([[0.5, 0.5, 0.0], [0.6, 0.4, 0.0]], np.float32)
    nearly = np.array([[0.5 - TOLERANCE / 3, 0.5 + TOLERANCE / 3, 0.0], [0.4, 0.6, 0.0]], np.float32)
    assert disagreements(expected, nearly).tolist() == [False, True]


def test_each_size_of_batch_is_compared(tmp_path: Path) -> None:
    class RightForOnePicture:
        name = "one"

        def __call__(self, images: Pixels) -> np.ndarray:
            return np.full((len(images), 2), 0.5 if len(images) == 1 else 0.6, np.float32)

        def embed(self, images: Pixels) -> tuple[np.ndarray, np.ndarray]:
            return self(images), self(images)

    def reference(images: Pixels) -> np.ndarray:
        return np.full((len(images), 2), 0.5, np.float32)

    with pytest.raises(ArtifactError, match="batch 16"):
        check_parity(reference, RightForOnePicture(), pictures(64, 8))
