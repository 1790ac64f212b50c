"""The verb's parts: every answer arrives once, in every format, in a file that is whole or not there."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mlops_cls import predict
from mlops_cls.errors import ConfigError, DataError
from mlops_cls.pictures import PictureSource
from mlops_cls.predicting import answers as answering
from mlops_cls.predicting.answers import AHEAD, Answer, predict_files
from mlops_cls.predicting.contact import AMBER, BLUE, MOST, draw_contact, positions
from mlops_cls.predicting.tally import Tally
from mlops_cls.predicting.writing import Columns, write
from mlops_cls.predictor import BATCH, Predictor


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Return 150 pictures, darkest first, of which the third cannot be read."""
    (tmp_path / "pictures").mkdir()
    paths = [tmp_path / "pictures" / f"{i:03d}.png" for i in range(150)]
    for i, path in enumerate(paths):
        Image.new("RGB", (12, 9), (i, i, i)).save(path)
    paths[2].write_bytes(b"no picture")
    return paths


def test_answers_are_mixed_up_or_lost(predictor: Predictor, pictures: list[Path]) -> None:
    found = list(predict_files(predictor, pictures, shown={0, 2, 149}))
    assert [answer.path for answer in found] == pictures
    assert found[2].error == "not a picture" and found[2].prediction is None
    sure = [answer.prediction.probabilities["light"] for answer in found if answer.prediction]
    assert sure == pytest.approx([i / 255 for i in range(150) if i != 2])
    assert [i for i, answer in enumerate(found) if answer.thumb] == [0, 149]


def test_all_pictures_are_in_memory_at_once(
    predictor: Predictor, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[PictureSource] = []
    original = answering._read

    def spying(predictor: Predictor, path: Path, *, keep: bool) -> object:
        read.append(path)
        return original(predictor, path, keep=keep)

    monkeypatch.setattr(answering, "_read", spying)
    stream = predict_files(predictor, pictures * 10)
    next(stream)
    assert len(read) <= (AHEAD + 1) * BATCH < len(pictures * 10)
    stream.close()  # as Ctrl+C would
    assert len(read) <= (AHEAD + 1) * BATCH


def table_of(path: Path) -> list[dict[str, object]]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".json":
        return json.loads(path.read_text(encoding="utf-8"))
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_a_format_lacks_something(predictor: Predictor, pictures: list[Path], tmp_path: Path, kind: str) -> None:
    out = tmp_path / f"grün.{kind}"
    write(out, kind, Columns(predictor.card, 2), predict_files(predictor, pictures[:4]))
    rows = table_of(out)
    assert [row["path"] for row in rows] == [str(path) for path in pictures[:4]]
    assert rows[2]["error"] == "not a picture"
    first = rows[0]
    if kind == "json":
        assert first["attributes"] == {"is_day": False} and first["abstains"] is False
        assert first["top"] == [{"label": "dark", "probability": 1.0}, {"label": "light", "probability": 0.0}]
    else:
        names = ["path", "label", "confidence", "abstains", "is_day", "label_2", "confidence_2", "error"]
        assert list(first) == names
        assert (first["label"], first["label_2"]) == ("dark", "light")
        assert (first["abstains"], first["is_day"]) == (("false", "false") if kind == "csv" else (False, False))
        assert float(rows[1]["confidence"]) == pytest.approx(254 / 255, abs=1e-6)
    assert not list(tmp_path.glob("*.partial"))


def test_more_classes_than_there_are_make_empty_columns(predictor: Predictor) -> None:
    assert Columns(predictor.card, 99).schema().names[-3:] == ["label_3", "confidence_3", "error"]


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_half_a_file_takes_the_place_of_an_older_one(predictor: Predictor, tmp_path: Path, kind: str) -> None:
    def breaking() -> object:
        yield Answer(tmp_path / "a.png", None, "bad")
        raise KeyboardInterrupt

    out = tmp_path / "answers"
    out.write_text("of yesterday")
    with pytest.raises(KeyboardInterrupt):
        write(out, kind, Columns(predictor.card, 1), breaking())
    assert out.read_text() == "of yesterday"
    assert list(tmp_path.iterdir()) == [out]


def test_the_summary_miscounts_or_hides_what_a_person_should_see(predictor: Predictor, pictures: list[Path]) -> None:
    tally = Tally(predictor.card)
    assert len(list(tally.counted(predict_files(predictor, pictures, shown={5})))) == 150
    head, *lines = tally.lines(2.0)
    assert head == "150 pictures in 2.0 s, 75 a second"
    assert [line.split()[:2] for line in lines] == [
        ["dark", "127"], ["light", "22"], ["unreadable", "1"], ["abstained", "73"],
    ]  # fmt: skip
    assert "below 0.70: look at them yourself" in lines[-1]
    assert len(tally.kept) == 1
    assert tally.failure() == f"1 of 150 pictures could not be read ({pictures[2]}: not a picture)"


@pytest.mark.parametrize("number", [1, 7, MOST, MOST + 1, 100_000])
def test_the_sheet_shows_other_numbers_than_it_has_room_for(number: int) -> None:
    shown = positions(number)
    assert len(shown) == min(number, MOST)
    assert {0, number - 1} <= shown <= set(range(number))


def test_the_sheet_hides_pictures_or_colours_all_alike(
    predictor: Predictor, pictures: list[Path], tmp_path: Path
) -> None:
    few = [*pictures[:5], pictures[149]]
    found = list(predict_files(predictor, few, shown=range(len(few))))
    odd = replace(found[0], path=tmp_path / "a name\nof two lines and far too many letters for any tile.png")
    draw_contact(tmp_path / "sheet.png", [*found, odd], total=7)
    with Image.open(tmp_path / "sheet.png") as image:
        sheet = np.asarray(image)

    def painted(colour: str) -> int:
        wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        return int((sheet == wanted).all(axis=2).sum())

    assert painted(BLUE) > 500 < painted(AMBER)  # one picture is abstained from
    for i in (0, 1, 3, 4, 149):
        assert (sheet == i).all(axis=2).sum() > 20_000
    draw_contact(tmp_path / "none.png", [found[2]], total=1)
    assert (tmp_path / "none.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--out", "a.txt"], r"its ending says no format; allowed are .csv .json .parquet"),
        (["--format", "parquet"], "no text for the screen"),
        (["--show", "a.jpg"], "does not end in .png"),
        (["--show", "pictures"], "is a folder"),
        (["--out", "none/a.csv"], "the folder none does not exist"),
    ],
)
def test_options_that_cannot_work_are_found_out_after_an_hour(
    pictures: list[Path], monkeypatch: pytest.MonkeyPatch, options: list[str], words: str
) -> None:
    monkeypatch.chdir(pictures[0].parents[1])
    with pytest.raises((ConfigError, DataError), match=words):
        predict.main(["no model is looked for yet", "pictures", *options])


def test_a_full_disk_or_a_reader_that_is_gone_ends_in_a_traceback(
    predictor: Predictor, pictures: list[Path], tmp_path: Path, tiny_bundle: object
) -> None:
    command = [sys.executable, "-m", "mlops_cls.predict", tiny_bundle.folder, pictures[0].parent, "--skip-bad"]
    if Path("/dev/full").exists():
        done = subprocess.run(
            [*command, "--out", "/dev/full", "--format", "csv"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].startswith("error: /dev/full cannot be written (No space left")
        assert Path("/dev/full").is_char_device()
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr
    assert done.returncode == 141
