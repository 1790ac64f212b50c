"""Worse pictures, flips and the linear probe: the same every time, and what they claim to be."""

from collections.abc import Callable

import numpy as np
import pytest

from mlops_cls.evaluation.answers import Answers, calibrated
from mlops_cls.evaluation.baselines import linear_probe
from mlops_cls.evaluation.flips import flip_scores
from mlops_cls.evaluation.outputs import Outputs
from mlops_cls.evaluation.resampling import Resampling
from mlops_cls.evaluation.robustness import CORRUPTIONS, chosen_rows, corrupt, robustness
from mlops_cls.pictures import Pixels

COUNT = 90
SIDE = 24


@pytest.fixture(scope="module", params=[1, 3], ids=["grey", "colour"])
def pictures(request: pytest.FixtureRequest) -> Pixels:
    """Return uint8[N,H,W,C]: a bright spot on the left, in the middle or on the right, by N modulo 3."""
    generator = np.random.default_rng(0)
    noise = generator.integers(60, 100, (COUNT, SIDE, SIDE, request.param))
    for row, picture in enumerate(noise):
        start = row % 3 * 8
        picture[8:16, start : start + 8] += 100
    return noise.astype(np.uint8)


def where_bright(images: Pixels) -> np.ndarray:
    """Return log probabilities of a classifier that looks at the brightness of three thirds."""
    thirds = images.mean(axis=(1, 3)).reshape(len(images), 3, -1).mean(2)
    return calibrated(thirds.astype(np.float32), 2.0)


@pytest.fixture
def clean(pictures: Pixels) -> Answers:
    return Answers(np.arange(COUNT) % 3, where_bright(pictures))


IDS = [f"{i}.png" for i in range(COUNT)]


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_pictures_get_worse_with_severity_and_keep_their_form(corruption: str, pictures: Pixels) -> None:
    changes = []
    for severity in (1, 2, 3):
        worse = [corrupt(picture, sample, corruption, severity) for picture, sample in zip(pictures, IDS, strict=True)]
        assert all(w.shape == pictures.shape[1:] and w.dtype == np.uint8 for w in worse)
        changes.append(np.abs(np.stack(worse).astype(float) - pictures).mean())
    assert 0.2 < changes[0] < changes[1] < changes[2]


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_picture_gets_worse_in_the_same_way_every_time_and_does_not_change_itself(
    corruption: str, pictures: Pixels
) -> None:
    before = pictures[0].copy()
    first, again = (corrupt(pictures[0], "a.png", corruption, 2) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(pictures[0], before)


@pytest.mark.parametrize("corruption", ["noise", "brightness", "shift"])
def test_pictures_get_worse_in_different_ways(corruption: str, pictures: Pixels) -> None:
    ways = {corrupt(pictures[0], sample, corruption, 2).tobytes() for sample in IDS}
    assert len(ways) > 1


def test_robustness_scores_every_corruption_at_three_severities(pictures: Pixels, clean: Answers) -> None:
    resampling = Resampling.draw(COUNT, None, repeats=100)
    rows = robustness(where_bright, pictures, IDS, clean, resampling)
    assert [(row["corruption"], row["severity"]) for row in rows] == [(c, s) for c in CORRUPTIONS for s in (1, 2, 3)]
    for row in rows:
        worse = np.stack(
            [corrupt(p, i, row["corruption"], row["severity"]) for p, i in zip(pictures, IDS, strict=True)]
        )
        right = (where_bright(worse).argmax(1) == clean.labels).mean()
        assert row["accuracy"]["value"] == pytest.approx(right)
        assert row["change"]["value"] == pytest.approx(right - clean.right.mean())
        assert row["change"]["low"] < row["change"]["value"] + 1e-12 < row["change"]["high"] + 1e-9


def test_pictures_for_robustness_are_the_same_every_time_and_no_more_than_asked() -> None:
    rows = chosen_rows(IDS, 20)
    assert len(set(rows.tolist())) == 20
    np.testing.assert_array_equal(rows, np.sort(rows))
    by_id = {IDS[row] for row in rows}
    backwards = IDS[::-1]
    assert {backwards[row] for row in chosen_rows(backwards, 20)} == by_id
    np.testing.assert_array_equal(chosen_rows(IDS, 1000), np.arange(COUNT))


def test_flips_answer_by_the_mean_over_the_picture_and_its_mirror_image(pictures: Pixels, clean: Answers) -> None:
    told = flip_scores(where_bright, pictures, clean, Resampling.draw(COUNT, None, repeats=100))
    mirrored = where_bright(pictures[:, :, ::-1])
    mean = (np.exp(clean.log_probabilities) + np.exp(mirrored)) / 2
    accuracy = (mean.argmax(1) == clean.labels).mean()
    # Left and right can no longer be told apart.
    assert told["accuracy"]["value"] == pytest.approx(accuracy)
    assert accuracy < 0.8
    assert told["differences"][0]["difference"] == pytest.approx(accuracy - clean.right.mean())
    losses = -np.log(mean[np.arange(COUNT), clean.labels]).mean() - clean.log_losses.mean()
    assert told["differences"][2]["difference"] == pytest.approx(losses)


def test_linear_probe_learns_what_pixels_tell_and_is_the_same_every_time(pictures: Pixels) -> None:
    labels = np.arange(COUNT) % 3
    train = pictures[:60], labels[:60]
    first, again = (linear_probe(train, pictures[60:], labels[60:], Resampling.draw(30, None)) for _ in range(2))
    assert first == again
    assert [first[score]["value"] for score in ("accuracy", "balanced_accuracy")] == [1, 1]
    assert first["trained_on"] == 60
    shuffled = np.random.default_rng(0).permutation(labels[:60])
    guessing = linear_probe((pictures[:60], shuffled), pictures, labels, Resampling.draw(COUNT, None))
    assert guessing["accuracy"]["value"] < 0.8


def test_linear_probe_scores_a_class_that_the_pictures_lack_and_one_that_training_lacks(pictures: Pixels) -> None:
    labels = np.arange(COUNT) % 3
    seen = labels[:60] != 2
    train, resampling = (pictures[:60][seen], labels[:60][seen]), Resampling.draw(30, None)
    told = linear_probe(train, pictures[60:], labels[60:], resampling)
    assert told["balanced_accuracy"]["value"] == pytest.approx(2 / 3)
    only = labels == 1
    alone = linear_probe((pictures, labels), pictures[only], labels[only], resampling)
    assert alone["balanced_accuracy"]["value"] == 1


def test_outputs_for_flips_are_those_of_the_calibrated_classifier(make_outputs: Callable[..., Outputs]) -> None:
    outputs = make_outputs(20, 3)
    np.testing.assert_array_equal(calibrated(outputs.logits, 1.3), Answers.of(outputs, 1.3).log_probabilities)
    np.testing.assert_allclose(np.exp(calibrated(outputs.logits, 1.3)), outputs.probabilities(1.3), atol=1e-6)
