"""Plots: whatever the classes are called and however many there are, a picture comes out and nothing is said."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlops_cls.evaluation.plots import MOST_WRITTEN, draw_confusion, draw_curves

NAMES = {
    "short": ["a", "b"],
    "long": ["a pair of very high boots with laces " * 6, "W" * 300],
    "wide": ["W" * 24, "M" * 24],
    "long without spaces": ["boots" * 40, "bags" * 40, "x"],
    "umlauts and Cyrillic": ["Schnürstiefel", "Ботинок"],
    "Chinese and Thai": ["靴子", "รองเท้า"],
    "Arabic and Hindi": ["حذاء", "जूता"],
    "emoji": ["👢", "👜"],
    "formula": ["$5_$", "$10 to $20", r"\frac", "$$"],
    "underscores": ["_a", "_b"],
    "control characters": ["two\nlines", "a\ttab", "bell\a"],
    "blank": ["", " "],
    "one": ["only"],
}


def confusion(num_classes: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 40, (num_classes, num_classes))


def read(path: Path) -> np.ndarray:
    """Return the pixels of a PNG file, once its size is plausible and it is more than a blank page."""
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture.convert("RGB"))
    assert 300 <= min(pixels.shape[:2]) <= max(pixels.shape[:2]) <= 4000
    assert pixels.std() > 10
    return pixels


@pytest.mark.parametrize("kind", NAMES)
def test_confusion_matrix_is_drawn_whatever_the_classes_are_called(kind: str, tmp_path: Path) -> None:
    names = NAMES[kind]
    draw_confusion(tmp_path / "confusion.png", confusion(len(names)), names, title="test, accuracy 0.5")
    read(tmp_path / "confusion.png")


@pytest.mark.parametrize("name", ["{}", "靴, a rather long name of class number {}"])
def test_confusion_matrix_of_60_classes_is_drawn(name: str, tmp_path: Path) -> None:
    names = [name.format(i) for i in range(60)]
    draw_confusion(tmp_path / "confusion.png", confusion(60), names, title="test")
    assert min(read(tmp_path / "confusion.png").shape[:2]) > 2000


def blue(path: Path) -> int:
    """Return the number of pixels in the darkest blue of the colour map, the colour of a share of 1."""
    return int((np.abs(read(path).astype(int) - (8, 48, 107)).sum(2) < 12).sum())


def test_share_of_the_true_class_colours_the_matrix_and_not_the_number_of_pictures(tmp_path: Path) -> None:
    # Rows of 1 and of 1000 pictures, all right: both fields are equally dark.
    equal, unequal = np.diag([7, 7]), np.diag([1, 1000])
    draw_confusion(tmp_path / "equal.png", equal, ["a", "b"], title="t")
    draw_confusion(tmp_path / "unequal.png", unequal, ["a", "b"], title="t")
    assert blue(tmp_path / "unequal.png") == pytest.approx(blue(tmp_path / "equal.png"), rel=0.05)
    draw_confusion(tmp_path / "half.png", np.array([[7, 0], [7, 0]]), ["a", "b"], title="t")
    assert blue(tmp_path / "half.png") == pytest.approx(blue(tmp_path / "equal.png"), rel=0.05)


@pytest.mark.parametrize("kind", ["short", "long", "wide"])
def test_names_do_not_squeeze_the_matrix_out_of_the_picture(kind: str, tmp_path: Path) -> None:
    names = NAMES[kind]
    draw_confusion(tmp_path / "c.png", 7 * np.eye(len(names), dtype=np.int64), names, title="t")
    height, width = read(tmp_path / "c.png").shape[:2]
    assert blue(tmp_path / "c.png") > 0.05 * height * width


def test_row_of_the_matrix_is_the_true_class(tmp_path: Path) -> None:
    draw_confusion(tmp_path / "c.png", np.array([[0, 9], [0, 9]]), ["a", "b"], title="t")
    pixels = read(tmp_path / "c.png")
    dark = np.abs(pixels.astype(int) - (8, 48, 107)).sum(2) < 12
    height, width = dark.shape
    left, right = dark[:, : width * 4 // 10].sum(), dark[:, width * 4 // 10 : width * 8 // 10].sum()
    assert right > 20 * max(left, 1)
    assert dark[: height // 2].sum() > 100


def test_absent_class_leaves_an_empty_row_and_no_warning(tmp_path: Path) -> None:
    draw_confusion(tmp_path / "c.png", np.array([[3, 1], [0, 0]]), ["a", "absent"], title="t")
    read(tmp_path / "c.png")


@pytest.mark.parametrize("num_classes", [MOST_WRITTEN, MOST_WRITTEN + 1])
def test_numbers_of_pictures_are_written_only_where_they_can_be_read(num_classes: int, tmp_path: Path) -> None:
    # The same shares from other numbers: the two pictures differ in the numbers, if any.
    for factor in (1, 5):
        counts = factor * np.eye(num_classes, dtype=np.int64)
        draw_confusion(tmp_path / f"{factor}.png", counts, [str(i) for i in range(num_classes)], title="t")
    differ = bool((read(tmp_path / "1.png") != read(tmp_path / "5.png")).any())
    assert differ == (num_classes <= MOST_WRITTEN)


ROWS = [
    {"epoch": epoch, **{f"{split}/{score}": 1 / (epoch + 2) for split in ("train", "val") for score in scores}}
    for epoch in range(5)
    for scores in [("loss", "accuracy", "balanced_accuracy")]
]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_curves_are_drawn_for_any_number_of_epochs(count: int, tmp_path: Path) -> None:
    draw_curves(tmp_path / "curves.png", ROWS[:count], monitor="loss", best=0)
    height, width = read(tmp_path / "curves.png").shape[:2]
    assert width > 2 * height


def test_curves_are_drawn_although_an_epoch_lacks_a_score_or_has_nan(tmp_path: Path) -> None:
    rows = [dict(row) for row in ROWS]
    del rows[1]["val/loss"]
    rows[2]["train/loss"] = math.nan
    draw_curves(tmp_path / "curves.png", rows, monitor="balanced_accuracy", best=4)
    read(tmp_path / "curves.png")
