"""What was collected becomes a table to train on, and nobody's labels are lost on the way."""

import csv
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mlops_cls as mc
from digit_files import Digits
from google_storage import google_storage
from mlops_cls.bundle import Bundle
from mlops_cls.card import Architecture
from mlops_cls.drift import main
from mlops_cls.drifting.items import Item
from mlops_cls.drifting.reading import gather, open_reference
from mlops_cls.drifting.table import LABELLED, TO_LABEL, Written, write_table
from mlops_cls.drifting.training import train_command
from mlops_cls.errors import ArtifactError, DataError

Draw = Callable[..., Digits]
Collect = Callable[..., str]
Row = dict[str, str]


def rows(folder: Path, name: str) -> list[Row]:
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def label(folder: Path, number: int, labels: Sequence[str]) -> None:
    """Fill in labels of the first rows of what is to be labelled, as a person would."""
    table = rows(folder, TO_LABEL)
    for row, name in zip(table[:number], labels, strict=True):
        row["label"] = name
    with (folder / TO_LABEL).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)


@pytest.fixture(scope="module")
def digits(draw_digits: Draw) -> Digits:
    return draw_digits(120, darker=4)


@pytest.fixture(scope="module")
def items(
    tiny_bundle: Bundle, digits: Digits, collect: Collect, tmp_path_factory: pytest.TempPathFactory
) -> Sequence[Item]:
    place = collect(tmp_path_factory.mktemp("told") / "collected", digits, together=3)
    return gather(tiny_bundle, open_reference(tiny_bundle), place, backend="onnxruntime").items


@pytest.fixture
def write(items: Sequence[Item], tiny_bundle: Bundle, tmp_path: Path) -> Callable[..., Written]:
    """Return a function that writes these items, or others, as a table below `tmp_path`."""

    def written(given: Sequence[Item] = items, *, group: str = "request") -> Written:
        unusual = np.linspace(0, 1, len(given))
        return write_table(tmp_path / "table", given, unusual, tiny_bundle.card.classes, group=group)

    return written


def test_the_command_that_is_printed_does_not_train(
    tiny_bundle: Bundle, digits: Digits, collect: Collect, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, table = collect(tmp_path / "collected", digits, told=1), tmp_path / "a table"
    with pytest.raises(SystemExit):
        main([str(tiny_bundle.folder), place, "--out", str(tmp_path / "out"), "--table", str(table)])
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("next  "))
    words = shlex.split(line)
    assert words[1:4] == ["python", "-m", "mlops_cls.train"]
    quick = [
        "logger=none",
        "trainer.max_epochs=1",
        f"data.store={tmp_path / 'store'}",
        f"run.folder={tmp_path / 'runs'}",
    ]
    run = mc.fit(mc.load_config(*words[4:], *quick))
    assert run.card.preprocess.size == tiny_bundle.card.preprocess.size
    assert run.card.architecture.name == tiny_bundle.card.architecture.name
    assert {row["path"] for row in rows(table, LABELLED)} == {
        f"pictures/{file.name}" for file in (table / "pictures").iterdir()
    }


def test_a_label_that_people_told_is_lost_or_is_another_pictures(
    write: Callable[..., Written], items: Sequence[Item], digits: Digits, tmp_path: Path
) -> None:
    made = write()
    assert sum(made.labelled.values()) == 30 and made.waiting == 90
    shown = {path.read_bytes(): label for path, label in zip(digits.paths, digits.labels, strict=True)}
    for row in rows(tmp_path / "table", LABELLED):
        assert row["label"] == shown[(tmp_path / "table" / row["path"]).read_bytes()]
    assert all(row["guess"] and not row["label"] for row in rows(tmp_path / "table", TO_LABEL))


def test_pictures_of_a_request_may_come_into_training_and_test(
    write: Callable[..., Written], tmp_path: Path, items: Sequence[Item]
) -> None:
    write()
    table = [*rows(tmp_path / "table", LABELLED), *rows(tmp_path / "table", TO_LABEL)]
    assert len({row["group"] for row in table}) == 40
    write(group="day")
    table = [*rows(tmp_path / "table", LABELLED), *rows(tmp_path / "table", TO_LABEL)]
    assert {row["group"] for row in table} == {"2026-11-19", "2026-11-20"}


def test_what_teaches_most_comes_last(write: Callable[..., Written], items: Sequence[Item], tmp_path: Path) -> None:
    write()
    by_source = {item.record.id: item for item in items}
    order = [by_source[row["source"]] for row in rows(tmp_path / "table", TO_LABEL)]
    unlabelled = [item for item in items if item.truth is None]
    assert {order[0].record.id, order[1].record.id} & {min(unlabelled, key=lambda item: item.margin).record.id}
    first, last = order[: len(order) // 3], order[-len(order) // 3 :]
    assert np.mean([item.margin for item in first]) < np.mean([item.margin for item in last])
    assert np.mean([list(items).index(item) for item in first]) > np.mean([list(items).index(item) for item in last])


def test_labels_that_were_filled_in_are_written_over(write: Callable[..., Written], tmp_path: Path) -> None:
    write()
    first = [row["path"] for row in rows(tmp_path / "table", TO_LABEL)[:3]]
    label(tmp_path / "table", 3, ["7", " 8 ", "0"])
    made = write()
    assert sum(made.labelled.values()) == 33 and made.waiting == 87
    labelled = {row["path"]: row["label"] for row in rows(tmp_path / "table", LABELLED)}
    assert [labelled[path] for path in first] == ["7", "8", "0"]


def test_rows_whose_pictures_retention_has_deleted_are_lost(
    write: Callable[..., Written], items: Sequence[Item], tmp_path: Path
) -> None:
    write()
    made = write(items[60:])
    assert sum(made.labelled.values()) == 30 and made.waiting == 90
    assert write(items[60:]) == made


def test_feedback_that_came_later_is_lost(write: Callable[..., Written], items: Sequence[Item], tmp_path: Path) -> None:
    write()
    later = [replace(item, truth=item.truth or "3") for item in items]
    made = write(later)
    assert made.waiting == 0
    assert sum(made.labelled.values()) == 120


def test_a_typo_in_a_label_makes_a_class_without_a_word(write: Callable[..., Written], tmp_path: Path) -> None:
    write()
    label(tmp_path / "table", 1, ["seven"])
    assert "'seven' is no class of the model (1 pictures)" in write().notes


def test_a_table_of_another_make_is_written_over(write: Callable[..., Written], tmp_path: Path) -> None:
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / TO_LABEL).write_text("path;label\npictures/a.png;3\n")
    with pytest.raises(DataError, match="has other columns than path, label, group"):
        write()
    assert (tmp_path / "table" / TO_LABEL).read_text().startswith("path;label")


def test_metadata_alone_make_an_empty_table(write: Callable[..., Written], items: Sequence[Item]) -> None:
    with pytest.raises(DataError, match="collect with --collect pictures"):
        write([replace(item, content=None) for item in items])
    made = write([replace(item, content=None) if number < 5 else item for number, item in enumerate(items)])
    assert "5 pictures were not kept" in made.notes


def test_a_place_that_cannot_be_written_ends_in_a_traceback(write: Callable[..., Written], tmp_path: Path) -> None:
    (tmp_path / "table").write_text("")
    with pytest.raises(ArtifactError, match="give another folder"):
        write()


def test_a_networks_settings_are_left_out_of_the_command(tiny_bundle: Bundle) -> None:
    made = Architecture(name="resnet18", small_stem=True, head_width=64, drop_rate=0.25, kwargs={"widths": [8, 16]})
    bundle = Bundle(tiny_bundle.folder, replace(tiny_bundle.card, architecture=made))
    words = shlex.split(train_command(bundle, Path("it's here") / LABELLED))[3:]
    config = mc.load_config(*(word for word in words if not word.startswith("model.weights")))
    assert (config.model.name, config.model.small_stem, config.model.head_width) == ("resnet18", True, 64)
    assert (config.model.drop_rate, config.model.kwargs) == (0.25, {"widths": [8, 16]})
    assert config.data.root == "it's here/labelled.csv"
    assert f"model.weights={tiny_bundle.weights}" in words


def test_a_bucket_differs_from_a_folder(
    tiny_bundle: Bundle, digits: Digits, collect: Collect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = Digits(digits.paths[:12], digits.labels[:12])
    with google_storage(tmp_path / "gcs") as address:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        place = collect("gs://pictures/collected", few)
        with pytest.raises(SystemExit):
            main([str(tiny_bundle.folder), place, "--out", str(tmp_path), "--table", str(tmp_path / "table")])
    assert len(list((tmp_path / "table" / "pictures").iterdir())) == 12
