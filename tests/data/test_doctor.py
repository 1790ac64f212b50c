"""Planted faults are found with their numbers and pictures, and clean data raise no alarm."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from scipy.stats import ks_2samp

import mlops_cls as mc
from mlops_cls import check as verb
from mlops_cls.build import make_datamodule
from mlops_cls.choices import CheckPolicy
from mlops_cls.data.doctor.findings import Finding, Report, Severity
from mlops_cls.data.doctor.markdown import summarise
from mlops_cls.data.doctor.policy import judge, told
from mlops_cls.data.manifest import Plan
from mlops_cls.data.prepare import prepare
from mlops_cls.data.sources.archive import ArchiveSource
from mlops_cls.data.sources.folder import FolderSource
from mlops_cls.data.sources.skin_lesion import SKIN_LESION
from mlops_cls.data.sources.table import TableSource
from mlops_cls.data.split import SPLITS
from mlops_cls.data.store import Prepared
from mlops_cls.data.synthetic import stripes, write_synthetic
from mlops_cls.errors import DataError

CLASSES = ("ash", "birch", "cedar")
SIZES = {"train": 30, "val": 8, "test": 8}


def picture(split: str, label: int, number: int, side: int = 64) -> Image.Image:
    return Image.fromarray(stripes(label, 3, (side, side), group=(SPLITS.index(split), label, number)))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with three splits of three classes, without a fault; in a format that does not compress."""
    for split, number in SIZES.items():
        for label, name in enumerate(CLASSES):
            folder = tmp_path / "raw" / split / name
            folder.mkdir(parents=True)
            for i in range(number):
                picture(split, label, i).save(folder / f"{i:03d}.bmp")
    return tmp_path / "raw"


def examined(root: Path, **plan: object) -> dict[str, Finding]:
    prepared = prepare(FolderSource(root), Plan(on_bad="skip", **plan), root.parent / "store")  # type: ignore[arg-type]
    report = Report.load(prepared.folder)
    assert report.summary() == prepared.manifest.check
    return {finding.kind: finding for finding in report.findings}


def cases(finding: Finding) -> set[frozenset[str]]:
    return {frozenset(case) for case in finding.cases}


def test_clean_pictures_raise_an_alarm(root: Path) -> None:
    assert examined(root) == {}


@pytest.mark.parametrize("name", ["seabed", "skin_lesion", "fmnist", "emotion", "dog_breed"])
def test_clean_synthetic_data_set_is_refused_or_warned_of(name: str, tmp_path: Path) -> None:
    config = mc.load_config(f"data={name}", "data.source=synthetic", "logger=none", f"data.store={tmp_path}")
    found = Report.load(make_datamodule(config).prepared.folder)
    assert [f.title for f in found.findings if f.severity is not Severity.note] == []


def test_duplicate_across_splits_is_overlooked(root: Path) -> None:
    picture("train", 1, 5).save(root / "test" / "birch" / "copy.bmp")
    found = examined(root)
    leak = found.pop("duplicate_leak")
    assert found == {}
    assert leak.severity is Severity.fail
    assert cases(leak) == {frozenset({"train/birch/005.bmp", "test/birch/copy.bmp"})}
    assert leak.numbers == {"pictures": 1, "val_and_test": 1}
    assert "1 picture has equal copies in another split; 1 of the 49 val and test pictures" in leak.title


def test_one_copy_among_hundreds_of_scored_pictures_stops_a_run(root: Path) -> None:
    for i in range(400):
        picture("test", i % 3, 1000 + i, side=20).save(root / "test" / CLASSES[i % 3] / f"{1000 + i}.bmp")
    picture("train", 1, 5).save(root / "test" / "birch" / "copy.bmp")
    assert examined(root, size=64)["duplicate_leak"].severity is Severity.warn


def test_copy_within_a_split_is_called_a_leak(root: Path) -> None:
    picture("train", 1, 5).save(root / "train" / "birch" / "copy.bmp")
    found = examined(root)
    assert list(found) == ["duplicates"]
    assert found["duplicates"].severity is Severity.note


ENCODINGS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "jpeg": lambda p: through_jpeg(p, 40),
    "half": lambda p: p.resize((p.width // 2, p.height // 2), Image.Resampling.BILINEAR),
    "grey": lambda p: p.convert("L"),
    "brighter": lambda p: p.point(lambda level: min(int(level * 1.05) + 5, 255)),
}


def through_jpeg(original: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    original.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert(original.mode)


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS.keys())
def test_copy_in_another_encoding_is_overlooked(root: Path, encode: Callable[[Image.Image], Image.Image]) -> None:
    encode(picture("train", 2, 7)).save(root / "val" / "cedar" / "copy.bmp")
    leak = examined(root)["near_duplicate_leak"]
    assert leak.severity is Severity.warn
    assert cases(leak) == {frozenset({"train/cedar/007.bmp", "val/cedar/copy.bmp"})}


def test_contradicting_labels_are_overlooked(root: Path) -> None:
    picture("train", 0, 3).save(root / "train" / "birch" / "again.bmp")
    through_jpeg(picture("train", 0, 4), 80).save(root / "train" / "cedar" / "again.bmp")
    found = examined(root)
    assert set(found) == {"label_conflict", "near_label_conflict"}
    assert cases(found["label_conflict"]) == {frozenset({"train/ash/003.bmp", "train/birch/again.bmp"})}
    assert cases(found["near_label_conflict"]) == {frozenset({"train/ash/004.bmp", "train/cedar/again.bmp"})}


def test_file_type_that_tells_the_class_is_overlooked(root: Path) -> None:
    # One of another class too, and one of the class not: a shortcut need not be perfect.
    for path in [*sorted(root.glob("*/ash/*"))[1:], root / "train" / "birch" / "000.bmp"]:
        Image.open(path).save(path.with_suffix(".jpg"), quality=95)
        path.unlink()
    shortcut = examined(root)["shortcut_file_format"]
    assert shortcut.severity is Severity.warn
    assert list(shortcut.numbers) == ["ash"]
    assert "file format alone tells ash (JPEG: 98% of it, 1% of the rest)" in shortcut.title
    assert {next(iter(case)).split("/")[1] for case in cases(shortcut)} == {"ash"}


def test_size_that_tells_the_class_is_overlooked(root: Path) -> None:
    for split, number in SIZES.items():
        for i in range(number):
            picture(split, 2, i, side=80).save(root / split / "cedar" / f"{i:03d}.bmp")
    found = examined(root)
    assert found["shortcut_width"].severity is found["shortcut_height"].severity is Severity.warn
    assert "width alone tells cedar (above 64: 100% of it, 0% of the rest)" in found["shortcut_width"].title


def test_measure_of_a_shortcut_differs_from_the_kolmogorov_smirnov_statistic(root: Path) -> None:
    generator = np.random.default_rng(0)
    for path in sorted(root.glob("*/birch/*")):
        darker = np.asarray(Image.open(path)) * generator.uniform(0.3, 0.6)
        Image.fromarray(darker.astype(np.uint8)).save(path)
    prepared = prepare(FolderSource(root), Plan(), root.parent / "store")
    light = pq.read_table(prepared.folder / "facts.parquet")["brightness"].to_numpy()
    inside = np.array(prepared.table["class"].to_pylist()) == "birch"
    expected = ks_2samp(light[inside], light[~inside]).statistic
    n, m = inside.sum(), (~inside).sum()
    found = {f.kind: f for f in Report.load(prepared.folder).findings}["shortcut_brightness"]
    assert found.numbers["birch"] == pytest.approx(expected - 1.63 * np.sqrt((n + m) / (n * m)), abs=1e-3)


def test_class_that_a_split_lacks_is_overlooked(root: Path) -> None:
    for path in (root / "val" / "cedar").iterdir():
        path.unlink()
    (root / "val" / "cedar").rmdir()
    missing = examined(root)["missing_class"]
    assert missing.severity is Severity.warn
    assert missing.title == "val holds no picture of cedar"


def test_tiny_class_and_imbalance_are_overlooked(root: Path) -> None:
    for path in sorted((root / "train" / "cedar").iterdir())[3:]:
        path.unlink()
    found = examined(root)
    assert found["tiny_class"].numbers == {"cedar": 3}
    assert found["imbalance"].numbers == {"ratio": 10.0}


def test_corrupt_and_odd_files_are_overlooked(root: Path) -> None:
    (root / "train" / "ash" / "900.bmp").write_bytes(b"no picture")
    Image.new("RGB", (64, 64), "navy").save(root / "train" / "ash" / "901.bmp")
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (20, 90, 3)).astype(np.uint8)).save(
        root / "train" / "ash" / "902.bmp"
    )
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 40)).astype(np.uint8)).save(
        root / "train" / "ash" / "903.bmp"
    )
    found = examined(root)
    expected = {"unreadable": "900", "blank": "901", "narrow": "902", "enlarged": "902", "grey_among_colour": "903"}
    assert {kind: cases(finding) for kind, finding in found.items()} == {
        kind: {frozenset({f"train/ash/{number}.bmp"})} for kind, number in expected.items()
    }
    assert "train/ash/900.bmp: not a picture" in found["unreadable"].title


def lesions(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield path, label and group of pictures of which every two show one thing."""
    for i in range(60):
        label = i % 3
        Image.fromarray(stripes(label, 3, (32, 32), group=(9, label, i))).save(folder / f"{i:03d}.bmp")
        yield f"{i:03d}.bmp", CLASSES[label], f"lesion{i // 6 * 3 + label}"


def test_group_in_two_splits_is_overlooked(tmp_path: Path) -> None:
    rows = list(lesions(tmp_path))
    (tmp_path / "t.csv").write_text("path,label,group\n" + "".join(f"{','.join(row)}\n" for row in rows))
    source = TableSource(tmp_path / "t.csv", group_column="group")
    whole = prepare(source, Plan(), tmp_path / "store")
    assert "group_leak" not in {f.kind for f in Report.load(whole.folder).findings}

    torn = prepare(source, Plan(split="stratified"), tmp_path / "store")
    (leak,) = (f for f in Report.load(torn.folder).findings if f.kind == "group_leak")
    homes: dict[str, set[str]] = {}
    groups = {path: group for path, _, group in rows}
    for split in SPLITS:
        for i in torn.ids(split):
            homes.setdefault(groups[i], set()).add(split)
    expected = [group for group, splits in homes.items() if len(splits) > 1]
    assert leak.numbers == {"groups": len(expected), "pictures": 2 * len(expected), "all_groups": 30}
    assert {groups[i] for case in leak.cases for i in case} == set(expected)
    with pytest.raises(DataError, match=r"(?s)dishonest.*groups with .* are in more than one split.*data\.check=warn"):
        judge(torn, CheckPolicy.fail)
    judge(torn, CheckPolicy.warn)
    judge(whole, CheckPolicy.fail)
    assert told(torn, CheckPolicy.warn)[0].startswith("check fail: ")
    assert told(torn, CheckPolicy.off) == []


def test_random_split_of_lesions_trains_without_a_word(tmp_path: Path) -> None:
    archive = write_synthetic("skin_lesion", tmp_path / "skin.zip", per_class=12)
    options = {"store": tmp_path / "store", "plan": Plan(size=24, split="stratified")}
    leaky = mc.SkinLesionDataModule(archive, **options)
    with pytest.raises(DataError, match=r"groups with \d+ pictures are in more than one split"):
        leaky.prepare_data()
    mc.SkinLesionDataModule(archive, check="warn", **options).prepare_data()
    assert ArchiveSource(SKIN_LESION, archive).samples()[0].group is not None


def test_check_verb_stops_at_the_first_bad_file_or_passes_leaks(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture("train", 1, 5).save(root / "test" / "birch" / "copy.bmp")
    settings = ["data=folder", f"data.root={root}", f"data.store={tmp_path / 's'}", "logger=none"]
    with pytest.raises(DataError, match="1 picture has equal copies in another split"):
        verb.main(settings)
    (root / "train" / "ash" / "900.bmp").write_bytes(b"no picture")
    with pytest.raises(DataError, match="1 of 140 files cannot be used"):
        verb.main(settings)
    told_all = capsys.readouterr().out
    assert "fail  1 picture has equal copies" in told_all
    assert "warn  1 file cannot be used (train/ash/900.bmp: not a picture)" in told_all
    assert "data.on_bad=skip" in told_all
    verb.main([*settings, "data.on_bad=skip", "data.check=warn"])
    assert "folder, 139 pictures: 1 fail, 1 warn, 0 note" in capsys.readouterr().out


def test_summary_of_refused_data_is_not_written(root: Path, tmp_path: Path) -> None:
    picture("train", 1, 5).save(root / "test" / "birch" / "copy.bmp")
    (root / "train" / "ash").rename(root / "train" / "<b>|@ash")
    (root / "val" / "ash").rename(root / "val" / "<b>|@ash")
    (root / "test" / "ash").rename(root / "test" / "<b>|@ash")
    settings = ["data=folder", f"data.root={root}", f"data.store={tmp_path / 's'}", "logger=none"]
    with pytest.raises(DataError, match="1 picture has equal copies in another split"):
        verb.main([*settings, "--markdown", str(tmp_path / "data.md")])
    heading, _, finding, *rest = (tmp_path / "data.md").read_text(encoding="utf-8").splitlines()
    assert heading == "### folder: 139 pictures, 1 fail, 0 warn, 0 note"
    assert finding.startswith("- **fail** 1 picture has equal copies in another split")
    table = [line for line in rest if line.startswith("|")]
    assert table[0] == "| class | train | val | test | all |"
    assert table[2].startswith("| \\<b\\>\\|@\u200bash | ")
    assert table[-1].endswith("| 139 |")


def test_many_classes_push_the_findings_out_of_sight(root: Path) -> None:
    for number in range(30):
        for split in ("train", "val", "test"):
            folder = root / split / f"class {number}"
            folder.mkdir()
            picture(split, number, 7).save(folder / "a.bmp")
    assert "<details><summary>" in summarise(prepare(FolderSource(root), Plan(), root.parent / "store"))


def test_summary_has_nowhere_to_go(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"--markdown .*: the folder .* does not exist"):
        verb.main(["data=digits", "--markdown", str(tmp_path / "gone" / "data.md")])


def test_page_needs_other_files_or_shows_no_pictures(root: Path) -> None:
    picture("train", 1, 5).save(root / "test" / "birch" / "<b>copy.bmp")
    prepared = prepare(FolderSource(root), Plan(), root.parent / "store")
    page = (prepared.folder / "check.html").read_text(encoding="utf-8")
    assert page.count("<img ") == page.count("data:image/jpeg;base64,") == 2
    assert "&lt;b&gt;copy.bmp" in page
    assert "<b>copy" not in page
    assert [word for word in ("http:", "https:", "<script", "<link", "url(") if word in page] == []
    report = json.loads((prepared.folder / "check.json").read_text(encoding="utf-8"))
    assert report["summary"] == {"fail": 1, "warn": 0, "note": 0}


def test_findings_reach_the_provenance_of_a_model(root: Path) -> None:
    prepared = prepare(FolderSource(root), Plan(), root.parent / "store")
    assert prepared.manifest.identity()["check"] == {"fail": 0, "warn": 0, "note": 0}


def test_random_split_of_ham10000_is_reported_with_its_lesions(real_data: Path, tmp_path: Path) -> None:
    plan = Plan(size=16, split="stratified", val_fraction=0.175, test_fraction=0.3)
    data = mc.SkinLesionDataModule(real_data / "skin_lesion", plan=plan, store=tmp_path)
    with pytest.raises(DataError, match=r"898 groups with 2,122 pictures are in more than one split, of 5,219 groups"):
        data.prepare_data()


def test_prepared_without_a_report_is_a_traceback(root: Path) -> None:
    prepared: Prepared = prepare(FolderSource(root), Plan(), root.parent / "store")
    (prepared.folder / "check.json").unlink()
    with pytest.raises(DataError, match=r"cannot be read .*delete that folder and run again"):
        told(prepared, CheckPolicy.warn)
