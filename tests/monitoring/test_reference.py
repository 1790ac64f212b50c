"""A reference comes from the right pictures, survives a file, and tells other pictures from more of the same kind."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import ks_2samp
from sklearn.decomposition import PCA

from mlops_cls.data.facts import sizes_of
from mlops_cls.data.manifest import Plan
from mlops_cls.data.prepare import prepare
from mlops_cls.data.sources.digits import DigitsSource
from mlops_cls.data.sources.folder import FolderSource
from mlops_cls.data.store import Prepared
from mlops_cls.errors import ArtifactError
from mlops_cls.monitoring import making
from mlops_cls.monitoring.making import make_reference
from mlops_cls.monitoring.reference import Projection, Reference
from mlops_cls.monitoring.statistics import measure
from mlops_cls.pictures import Pixels


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(DigitsSource(), Plan(size=8), tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def forward() -> Callable[[Pixels], making.Answers]:
    """Return a small network: one random layer and a softmax."""
    generator = np.random.default_rng(0)
    hidden, last = generator.normal(size=(64, 20)), generator.normal(size=(20, 10))

    def answer(images: Pixels) -> making.Answers:
        embeddings = np.maximum(images.reshape(len(images), -1) / 255 @ hidden, 0)
        powers = np.exp(embeddings @ last / 10)
        return (powers / powers.sum(1, keepdims=True)).astype(np.float32), embeddings.astype(np.float32)

    return answer


@pytest.fixture(scope="module")
def reference(digits: Prepared, forward: Callable[[Pixels], making.Answers]) -> Reference:
    return make_reference(digits, forward)


def test_looks_are_not_those_of_training_pictures_or_answers_not_those_of_held_out_ones(
    digits: Prepared, forward: Callable[[Pixels], making.Answers], reference: Reference
) -> None:
    train, val = digits.images("train"), digits.images("val")
    looks = measure(train, sizes_of(digits, "train"))
    probabilities, embeddings = forward(val.transpose(0, 3, 1, 2))
    # All of both splits, since there are fewer than would be drawn; in the order of the draw.
    assert {name: np.sort(v).tolist() for name, v in reference.statistics.items()} == {
        name: np.sort(v).tolist() for name, v in looks.items()
    }
    np.testing.assert_allclose(np.sort(reference.confidence), np.sort(probabilities.max(1)), rtol=1e-6)
    assert (
        np.bincount(reference.predicted, minlength=10).tolist()
        == np.bincount(probabilities.argmax(1), minlength=10).tolist()
    )
    assert list(reference.shares) == list(digits.manifest.classes)
    assert sum(reference.shares.values()) == pytest.approx(1)
    expected = reference.projection(embeddings)
    np.testing.assert_allclose(np.sort(reference.projected, axis=0), np.sort(expected, axis=0), atol=1e-4)


def test_axes_are_not_those_of_scikit_learn() -> None:
    embeddings = np.random.default_rng(0).normal(size=(300, 30)).astype(np.float32) @ np.diag(np.arange(30, 0, -1))
    ours, theirs = Projection.fit(embeddings, 8), PCA(8, svd_solver="full").fit(embeddings)
    np.testing.assert_allclose(np.abs(ours(embeddings)[:, :8]), np.abs(theirs.transform(embeddings)), atol=1e-2)
    far = np.linalg.norm(embeddings - theirs.inverse_transform(theirs.transform(embeddings)), axis=1)
    np.testing.assert_allclose(ours(embeddings)[:, 8], far, rtol=1e-3)


def test_a_draw_differs_from_the_same_draw(
    digits: Prepared, forward: Callable[[Pixels], making.Answers], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "MOST_MEASURED", 50)
    monkeypatch.setattr(making, "MOST_ANSWERED", 30)
    for name, seed in {"one": 0, "same": 0, "other": 1}.items():
        make_reference(digits, forward, seed=seed).save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "same").read_bytes() != (tmp_path / "other").read_bytes()
    drawn = Reference.load(tmp_path / "one")
    assert (len(drawn.statistics["entropy"]), len(drawn.confidence)) == (50, 30)


def test_a_file_loses_something_of_a_reference_or_is_large(reference: Reference, tmp_path: Path) -> None:
    reference.save(tmp_path / "reference.npz")
    again = Reference.load(tmp_path / "reference.npz")
    assert again.classes == reference.classes
    for ours, theirs in (
        *((again.statistics[name], values) for name, values in reference.statistics.items()),
        (again.predicted, reference.predicted),
        (again.confidence, reference.confidence),
        (again.projected, reference.projected),
        (again.projection.axes, reference.projection.axes),
        (again.projection.centre, reference.projection.centre),
    ):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype
    largest = Reference(
        classes=tuple(map(str, range(1000))),
        statistics={name: np.random.default_rng(0).random(2000, np.float32) for name in reference.statistics},
        predicted=np.zeros(1000, np.int64),
        confidence=np.random.default_rng(0).random(1000, np.float32),
        projection=Projection(np.zeros(2048, np.float32), np.random.default_rng(0).random((16, 2048), np.float32)),
        projected=np.random.default_rng(0).random((1000, 17), np.float32),
    )
    largest.save(tmp_path / "large.npz")
    assert (tmp_path / "large.npz").stat().st_size < 300_000


def test_a_missing_damaged_or_newer_file_ends_in_a_traceback(reference: Reference, tmp_path: Path) -> None:
    path = tmp_path / "reference.npz"
    with pytest.raises(ArtifactError, match="does not exist"):
        Reference.load(path)
    reference.save(path)
    whole = path.read_bytes()
    for damaged in (b"", whole[:200], whole[:-50], whole.replace(b"entropy", b"entrapy"), b"no archive" * 50):
        path.write_bytes(damaged)
        with pytest.raises(ArtifactError, match="damaged"):
            Reference.load(path)
    np.savez(path, header=np.array('{"format": 9, "classes": []}'))
    with pytest.raises(ArtifactError, match="format 9; this version of mlops_cls reads 1"):
        Reference.load(path)
    np.savez(path, header=np.array([{"a": print}], dtype=object))
    with pytest.raises(ArtifactError, match="damaged"):
        Reference.load(path)


def test_sides_of_one_picture_are_given_to_another(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / "raw" / label).mkdir(parents=True)
        for i in range(10):
            tone = 10 * i + 5 * (label == "b")
            Image.new("L", (20 + i, 60 - tone // 5), tone).save(tmp_path / "raw" / label / f"{i}.png")
    prepared = prepare(FolderSource(tmp_path / "raw"), Plan(size=8), tmp_path / "prepared")
    for split in ("train", "val", "test"):
        tones = prepared.images(split)[:, 0, 0, 0].astype(int)
        assert sizes_of(prepared, split).tolist() == [[20 + tone // 10, 60 - tone // 5] for tone in tones.tolist()]


def test_what_lies_off_all_axes_looks_as_if_it_lay_on_them() -> None:
    generator = np.random.default_rng(0)
    plane = np.zeros((200, 10), np.float32)
    plane[:, :3] = generator.normal(size=(200, 3)) * [5, 3, 1]
    projection = Projection.fit(plane, 16)
    assert projection.axes.shape == (3, 10)  # there is nothing in the other directions
    assert projection(plane)[:, -1].max() < 1e-4
    off = plane.copy()
    off[:, 7] = 4
    np.testing.assert_allclose(projection(off)[:, -1], 4, rtol=1e-4)
    np.testing.assert_allclose(projection(off)[:, :-1], projection(plane)[:, :-1], atol=1e-4)


def test_pictures_of_the_same_kind_alarm_or_changed_ones_do_not(
    digits: Prepared, forward: Callable[[Pixels], making.Answers], reference: Reference
) -> None:
    def least_p(pictures: Pixels) -> float:
        looks = measure(pictures, [(8, 8)] * len(pictures))
        probabilities, embeddings = forward(pictures.transpose(0, 3, 1, 2))
        later = [looks[name] for name in ("brightness", "contrast", "sharpness", "entropy")]
        known = [reference.statistics[name] for name in ("brightness", "contrast", "sharpness", "entropy")]
        later += [probabilities.max(1), *reference.projection(embeddings).T]
        known += [reference.confidence, *reference.projected.T]
        tests = [ks_2samp(ours, theirs).pvalue for ours, theirs in zip(known, later, strict=True)]
        return min(1.0, min(tests) * len(tests))  # Bonferroni

    test = digits.images("test")
    draws = [test[np.random.default_rng(seed).permutation(len(test))[:40]] for seed in range(20)]
    assert sum(least_p(draw) < 0.05 for draw in draws) <= 2
    assert all(least_p(draw // 2) < 1e-3 for draw in draws)
    assert all(least_p(255 - draw) < 1e-3 for draw in draws)
