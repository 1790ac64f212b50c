"""report.html, as text and in a browser."""

import base64
import html
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mlops_cls as mc
from browser import Open
from mlops_cls.card import Calibration
from mlops_cls.evaluation.assess import assess
from mlops_cls.evaluation.outputs import Outputs
from mlops_cls.report.gallery import Gallery
from mlops_cls.report.page import Subject, render, write_report

ESTIMATE = {"value": 0.5, "low": 0.25, "high": 0.75}
CHANGE = {"score": "accuracy", "difference": 0.031, "low": -0.01, "high": 0.07, "p": 0.0004}
ASKED = {
    "robustness": [
        {"corruption": name, "severity": severity, "accuracy": ESTIMATE, "change": ESTIMATE | {"value": -0.125}}
        for name in ("noise", "blur")
        for severity in (1, 2, 3)
    ],
    "flips": {"accuracy": ESTIMATE, "differences": [CHANGE]},
    "against": [{"run": "runs/other_with_a_rather_long_name_of_its_own", **CHANGE}],
}


@pytest.fixture(scope="module")
def page(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(path, subject)
    return path


@pytest.fixture(scope="module")
def many(subject: Subject) -> Subject:
    """Return the same pictures with names of 120 classes, most of which have none, and all that can be asked for."""
    names = tuple(f"{'long-named ' * (i % 4)}class_{i}" for i in range(120))
    logits = np.random.default_rng(0).normal(size=(len(subject.outputs.ids), 120)).astype(np.float32)
    labels = np.arange(len(subject.outputs.ids)) % 120
    logits[np.arange(len(labels)), labels] += 3
    outputs = replace(subject.outputs, labels=labels, logits=logits, classes=names)
    return _answering(subject, outputs, **ASKED)


def _answering(subject: Subject, outputs: Outputs, **asked: object) -> Subject:
    """Return the subject with other answers, and what is measured of them."""
    evaluation = assess(outputs, calibration=Calibration()).to_dict()
    card = replace(subject.card, classes=outputs.classes, calibration=Calibration())
    return replace(subject, card=card, outputs=outputs, evaluation=evaluation | asked, explain=None)


def _check(visit: Open, page: Path, *, width: int, dark: bool) -> None:
    with visit(page, width=width, dark=dark) as seen:
        assert seen.complaints == []
        assert seen.requests == []
        assert seen.sticks_out == []
    with visit(page, width=width, dark=dark, policy=False) as seen:
        assert seen.barriers() == []


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)], ids=["desktop", "phone"])
def test_the_report_opens_without_complaints_or_requests(page: Path, visit: Open, width: int, dark: bool) -> None:
    _check(visit, page, width=width, dark=dark)


@pytest.mark.parametrize(("width", "dark"), [(1280, True), (390, False)], ids=["desktop", "phone"])
def test_a_report_of_many_classes_fits_the_screen(
    many: Subject, visit: Open, width: int, dark: bool, tmp_path: Path
) -> None:
    write_report(tmp_path / "many.html", many)
    _check(visit, tmp_path / "many.html", width=width, dark=dark)


def test_the_report_of_real_lesions_opens_without_complaints_or_requests(
    real_data: Path, visit: Open, tmp_path: Path
) -> None:
    run = mc.fit(
        mc.load_config(
            "experiment=skin_lesion", f"data.root={real_data / 'skin_lesion'}", "data.subsample=0.1", "data.size=32",
            "trainer.max_epochs=1", "trainer.limit_batches=5", "logger=none", f"run.folder={tmp_path / 'runs'}",
            f"data.store={tmp_path / 'prepared'}",
        )
    )  # fmt: skip
    assert {"Slices", "Where it looked", "Most confused"} <= set(_headings(run.folder / "report.html"))
    for width, dark in ((1280, False), (1280, True), (390, False), (390, True)):
        _check(visit, run.folder / "report.html", width=width, dark=dark)


def _headings(page: Path) -> list[str]:
    return re.findall(r"<h2[^>]*>(.*?)</h2>", page.read_text(encoding="utf-8"))


def test_the_page_needs_no_other_file_and_no_script(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["'](?!data:|#)|<script|@import|url\(""", text)
    assert "default-src 'none'" in html.unescape(text)


def test_the_page_tells_the_measured_numbers(page: Path, subject: Subject) -> None:
    text = page.read_text(encoding="utf-8").replace("\N{NARROW NO-BREAK SPACE}", " ")
    score = subject.evaluation["scores"]["balanced_accuracy"]
    assert f"{100 * score['value']:.1f} %" in text
    assert f"{100 * score['low']:.1f} to {100 * score['high']:.1f} %" in text
    assert f"{100 * subject.evaluation['baselines']['majority']['accuracy']:.1f} %" in text
    assert f"python -m mlops_cls.reproduce {subject.place}" in text


def test_what_was_asked_for_besides_is_on_the_page(many: Subject) -> None:
    text = render(many)
    assert re.search(r"noise</th>\s*<td>.*?−12\.5", text, re.S)
    assert "+3.1" in text and "p &lt; 0.001" in text


def test_names_from_the_data_cannot_become_part_of_the_page(subject: Subject) -> None:
    evil = "</title><script>alert(1)</script>\"'"
    names = (evil, *subject.card.classes[1:])
    ids = [f'"><img src=x onerror=alert({i})>' for i in range(len(subject.outputs.ids))]
    text = render(_answering(subject, replace(subject.outputs, classes=names, ids=ids)))
    assert "<script" not in text
    assert "onerror=alert(0)>" not in text


def test_a_classifier_without_mistakes_has_no_gallery_of_them(subject: Subject) -> None:
    perfect = 20 * np.eye(len(subject.card.classes), dtype=np.float32)[subject.outputs.labels]
    text = render(_answering(subject, replace(subject.outputs, logits=perfect)))
    assert 'id="mistakes"' not in text
    assert 'id="pairs"' not in text
    assert 'aria-label="Accuracy over the share of pictures that are answered"' in text


def test_the_surest_mistakes_come_first_and_one_of_a_group(subject: Subject) -> None:
    groups = tuple(str(i // 3) for i in range(len(subject.outputs.ids)))
    outputs = replace(subject.outputs, groups=groups)
    shown = Gallery(outputs, 2.0, subject.prepared.images("test").__getitem__).worst()
    rows = [outputs.ids.index(entry.id) for entry in shown]
    probabilities = outputs.probabilities(2.0)
    wrong = np.flatnonzero(outputs.logits.argmax(1) != outputs.labels)
    assert rows[0] == max(wrong, key=lambda row: probabilities[row].max())
    assert [entry.p_predicted for entry in shown] == sorted((e.p_predicted for e in shown), reverse=True)
    assert len({groups[row] for row in rows}) == len(rows)
    assert all(
        entry.p_true == pytest.approx(probabilities[row, outputs.labels[row]])
        for entry, row in zip(shown, rows, strict=True)
    )


def test_a_small_picture_keeps_its_pixels(subject: Subject) -> None:
    images = subject.prepared.images("test")
    gallery = Gallery(subject.outputs, 1.0, images.__getitem__)
    for entry in gallery.uncertain() + gallery.worst():
        encoded = base64.b64decode(entry.uri.partition("base64,")[2])
        pixels = np.asarray(Image.open(io.BytesIO(encoded)).convert("L"))
        np.testing.assert_array_equal(pixels, images[subject.outputs.ids.index(entry.id)][..., 0])


def test_a_confused_pair_shows_pictures_of_just_these_classes(subject: Subject) -> None:
    pairs = Gallery(subject.outputs, 1.0, subject.prepared.images("test").__getitem__).pairs(
        subject.evaluation["confused"]
    )
    assert pairs
    for pair in pairs:
        assert {(entry.true, entry.predicted) for entry in pair.mistaken} == {(pair.true, pair.predicted)}
        assert pair.typical is None or pair.typical.true == pair.typical.predicted == pair.predicted


def test_pictures_of_all_splits_are_found_by_their_row(subject: Subject) -> None:
    from mlops_cls.data.split import SPLITS
    from mlops_cls.report.page import pictures_of

    picture, row = pictures_of(subject.prepared, "all"), 0
    for split in SPLITS:
        images = subject.prepared.images(split)
        np.testing.assert_array_equal(picture(row), images[0])
        np.testing.assert_array_equal(picture(row + len(images) - 1), images[-1])
        row += len(images)


def test_a_run_ends_with_its_report(tiny_run: mc.Run, subject: Subject) -> None:
    text = (tiny_run.folder / "report.html").read_text(encoding="utf-8")
    assert text == render(subject)
