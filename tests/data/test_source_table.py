"""A table's text stays text, its columns are found by name, and what cannot be read is named."""

import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_cls.data.manifest import Plan
from mlops_cls.data.prepare import prepare
from mlops_cls.data.source import Sample, class_order
from mlops_cls.data.sources.table import TableSource
from mlops_cls.errors import DataError

MakePictures = Callable[..., Path]


def write_table(path: Path, columns: dict[str, list[object]]) -> Path:
    """Write CSV or Parquet, by the ending of `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path)
    else:
        rows = zip(*columns.values(), strict=True)
        lines = [",".join(columns), *(",".join("" if cell is None else str(cell) for cell in row) for row in rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(params=["data.csv", "data.parquet"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return the path of a table that is still to be written."""
    return tmp_path / "some where" / request.param


def test_a_table_is_read_otherwise(table: Path) -> None:
    write_table(table, {"path": ["a/1.png", "b 2.png"], "label": ["Kätzchen", "dog"]})
    source = TableSource(table)
    assert source.samples() == [Sample("a/1.png", "Kätzchen"), Sample("b 2.png", "dog")]
    assert source.picture(source.samples()[0]) == table.parent / "a" / "1.png"


def test_numbers_as_labels_become_numbers(table: Path) -> None:
    labels = ["2", "10", "010"] if table.suffix == ".csv" else [2, 10, 7]
    write_table(table, {"path": ["a", "b", "c"], "label": labels})
    found = [s.label for s in TableSource(table).samples()]
    assert found == [str(label) for label in labels]
    assert class_order(found[:2], None) == ("2", "10")


def test_words_for_nothing_become_missing(table: Path) -> None:
    write_table(table, {"path": ["1e5", "null", "0x1"], "label": ["NA", "nan", "None"]})
    assert [(s.id, s.label) for s in TableSource(table).samples()] == [("1e5", "NA"), ("null", "nan"), ("0x1", "None")]


def test_split_and_group_columns_are_ignored(table: Path) -> None:
    columns = {"path": ["a", "b", "c"], "label": ["x", "x", "y"]}
    write_table(table, columns | {"split": ["train", "Validation", "TEST"], "group": [7, 7, None]})
    samples = TableSource(table).samples()
    assert [s.split for s in samples] == ["train", "val", "test"]
    assert [s.group for s in samples] == ["7", "7", None]
    assert all(not s.metadata for s in samples)


def test_columns_of_other_names_are_not_found(table: Path) -> None:
    write_table(table, {"file": ["a"], "dx": ["mel"], "fold": ["test"], "lesion": ["L1"], "split": ["train"]})
    names = {"path_column": "file", "label_column": "dx", "split_column": "fold", "group_column": "lesion"}
    source = TableSource(table, **names)
    assert source.samples() == [Sample("a", "mel", "test", "L1", {"split": "train"})]
    assert TableSource(table, **names | {"split_column": None}).fingerprint() != source.fingerprint()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"no column 'label'; did you mean 'labels'\?; set data\.label_column to one of: path, labels, age"),
        ({"path_column": "pth"}, r"no column 'pth'; did you mean 'path'\?; set data\.path_column"),
        ({"label_column": "labels", "split_column": "fold"}, r"no column 'fold'; set data\.split_column"),
        ({"label_column": "labels", "group_column": "aeg"}, r"no column 'aeg'; did you mean 'age'.*data\.group_column"),
    ],
)
def test_a_missing_column_is_a_key_error(table: Path, options: dict[str, str], message: str) -> None:
    write_table(table, {"path": ["a"], "labels": ["x"], "age": [3]})
    with pytest.raises(DataError, match=message):
        TableSource(table, **options).samples()


def test_a_picture_named_twice_is_in_two_splits(table: Path) -> None:
    write_table(table, {"path": ["a", "b", "a", "b", "a"], "label": ["x"] * 5})
    with pytest.raises(DataError, match="names 3 pictures more than once: a, b, a"):
        TableSource(table).samples()


def test_an_empty_table_passes(table: Path) -> None:
    write_table(table, {"path": [], "label": []})
    with pytest.raises(DataError, match="has no rows"):
        TableSource(table).samples()


def test_an_unknown_split_is_dropped(table: Path) -> None:
    write_table(table, {"path": ["a", "b"], "label": ["x", "y"], "split": ["train", "dev"]})
    with pytest.raises(DataError, match="split 'dev' of b is not known; allowed: train, val, test"):
        TableSource(table).samples()


@pytest.mark.parametrize("column", ["path", "label"])
def test_a_row_without_path_or_label_is_dropped(table: Path, column: str) -> None:
    columns = {"path": ["a", "b"], "label": ["x", "y"], "age": [1, 2]}
    columns[column][1] = None
    write_table(table, columns)
    with pytest.raises(DataError, match=f"a row has no path or no label.*'{column}': None"):
        TableSource(table).samples()


def test_a_missing_label_in_a_column_of_numbers_is_a_class(tmp_path: Path) -> None:
    path = write_table(tmp_path / "data.parquet", {"path": ["a", "b"], "label": [2.0, float("nan")]})
    with pytest.raises(DataError, match="a row has no path or no label"):
        TableSource(path).samples()


UNREADABLE = {
    "binary": bytes(range(256)) * 8,
    "a picture": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "nothing": b"",
    "a cell short": b"path,label\na,x\nb\n",
    "a cell too many": b"path,label\na,x\nb,y,z\n",
    "an open quote": b'path,label\n"a,x\n',
    "Latin-1 cells": "path,label\na,Kätzchen\n".encode("latin-1"),
    "Latin-1 names": "path,Größe,label\na,1,x\n".encode("latin-1"),
    "UTF-16": "path,label\na,x\n".encode("utf-16"),
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_unreadable_csv_is_a_traceback(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"data\.csv cannot be read as a table .*allowed: \.csv in UTF-8, \.parquet"):
        TableSource(path).samples()


def test_an_unreadable_parquet_is_a_traceback(tmp_path: Path) -> None:
    path = write_table(tmp_path / "data.parquet", {"path": [f"p{i}" for i in range(3000)], "label": ["x"] * 3000})
    whole = path.read_bytes()
    # Without its end, no Parquet at all, and with its first pages overwritten.
    for content in (whole[:-40], b"path,label\na,x\n", whole[:100] + b"\xff" * 3000 + whole[3100:]):
        path.write_bytes(content)
        with pytest.raises(DataError, match="cannot be read as a table"):
            TableSource(path).samples()


def test_a_csv_from_excel_has_no_path_column(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes("\ufeffpath,label\r\na,x\r\n".encode())  # with a byte order mark
    assert TableSource(path).samples() == [Sample("a", "x")]
    path.write_text("path;label\na;x\n")
    with pytest.raises(DataError, match=r"no column 'path'; set data\.path_column to one of: path;label"):
        TableSource(path).samples()


def test_the_last_of_two_columns_of_one_name_wins(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("path,label,label\na,x,y\n")
    with pytest.raises(DataError, match="more than one column label: rename all but one"):
        TableSource(path).samples()


def test_a_wrong_table_path_is_a_traceback(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.root=.* is a folder: give the CSV or Parquet file itself"):
        TableSource(tmp_path).fingerprint()
    with pytest.raises(DataError, match=r"gone\.csv does not exist"):
        TableSource(tmp_path / "gone.csv").fingerprint()


def test_a_changed_picture_of_a_table_goes_unnoticed(tmp_path: Path, make_pictures: MakePictures) -> None:
    make_pictures(tmp_path, {"cat": 2})
    path = write_table(tmp_path / "data.csv", {"path": ["cat/000.png", "cat/001.png"], "label": ["x", "y"]})
    before = TableSource(path).fingerprint()
    assert TableSource(path).fingerprint() == before
    (tmp_path / "cat" / "001.png").write_bytes(b"changed")
    changed = TableSource(path).fingerprint()
    (tmp_path / "cat" / "001.png").unlink()
    assert len({before, changed, TableSource(path).fingerprint()}) == 3


def test_metadata_is_lost_on_the_way_to_the_store(table: Path, make_pictures: MakePictures) -> None:
    make_pictures(table.parent, {"cat": 5, "dog": 5})
    relative = [f"{name}/{i:03d}.png" for name in ("cat", "dog") for i in range(5)]
    paths = [str(table.parent / path) if i % 2 else path for i, path in enumerate(relative)]  # every other one absolute
    columns = {"path": paths, "label": [path.split("/")[0] for path in relative]}
    write_table(table, columns | {"age in years": list(range(10)), "Ort": ["Köln", None] * 5})
    prepared = prepare(TableSource(table), Plan(size=8), table.parent / "store")
    rows = {row["id"]: row for row in prepared.table.to_pylist()}
    assert list(rows[paths[0]]) == ["id", "split", "row", "label", "class", "group", "age in years", "Ort"]
    for i, path in enumerate(paths):
        row = rows[path]
        assert (str(row["age in years"]), row["Ort"], row["class"]) == (str(i), ["Köln", None][i % 2], relative[i][:3])
        assert row["label"] == ["cat", "dog"].index(row["class"])


@pytest.mark.parametrize("name", ["id", "class", "row"])
def test_a_column_of_the_sample_table_is_overwritten(tmp_path: Path, make_pictures: MakePictures, name: str) -> None:
    make_pictures(tmp_path, {"cat": 4})
    paths = [f"cat/{i:03d}.png" for i in range(4)]
    path = write_table(tmp_path / "data.csv", {"path": paths, "label": ["cat"] * 4, name: list("wxyz")})
    with pytest.raises(DataError, match=re.escape(f"the column name '{name}' is taken by the sample table: rename it")):
        prepare(TableSource(path), Plan(size=8), tmp_path / "store")


def test_a_taken_column_name_is_found_out_after_an_hour_of_decoding(tmp_path: Path) -> None:
    rows = "".join(f"missing{i}.png,{'ab'[i % 2]},{i}\n" for i in range(12))
    (tmp_path / "t.csv").write_text("path,label,row\n" + rows)
    with pytest.raises(DataError, match="the column name 'row' is taken"):
        prepare(TableSource(tmp_path / "t.csv"), Plan(), tmp_path / "store")
