"""The five published data sets, from synthetic archives in their own raw layouts, and from real ones where they are."""

import shutil
import zipfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

import mlops_cls as mc
from mlops_cls import prepare as verb
from mlops_cls.data.manifest import Plan
from mlops_cls.data.prepare import prepare
from mlops_cls.data.source import Source
from mlops_cls.data.sources.archive import ArchiveSource
from mlops_cls.data.sources.dog_breed import DOG_BREED
from mlops_cls.data.sources.emotion import EMOTION
from mlops_cls.data.sources.fmnist import FashionMnistSource
from mlops_cls.data.sources.seabed import SEABED
from mlops_cls.data.sources.skin_lesion import SKIN_LESION
from mlops_cls.data.store import Prepared
from mlops_cls.data.synthetic import write_synthetic
from mlops_cls.errors import ConfigError, DataError

SOURCES: dict[str, Callable[[Path], Source]] = {
    "seabed": lambda root: ArchiveSource(SEABED, root),
    "skin_lesion": lambda root: ArchiveSource(SKIN_LESION, root),
    "emotion": lambda root: ArchiveSource(EMOTION, root),
    "dog_breed": lambda root: ArchiveSource(DOG_BREED, root),
    "fmnist": lambda root: FashionMnistSource(root, download=False),
}
ARCHIVED = sorted(set(SOURCES) - {"fmnist"})


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("archives")
    return {name: write_synthetic(name, folder / f"{name}.zip", per_class=8) for name in SOURCES}


def prepared(name: str, root: Path, store: Path, **plan: object) -> Prepared:
    return prepare(SOURCES[name](root), Plan(size=24, **plan), store)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SOURCES)
def test_zipped_unpacked_and_nested_give_the_same_data_set(
    name: str, archives: dict[str, Path], tmp_path: Path
) -> None:
    shutil.unpack_archive(archives[name], tmp_path / "unpacked")
    shutil.unpack_archive(archives[name], tmp_path / "nested" / "once" / "more")
    (tmp_path / "beside").mkdir()
    shutil.copy(archives[name], tmp_path / "beside")
    roots = [archives[name], tmp_path / "unpacked", tmp_path / "nested", tmp_path / "beside"]
    contents = {prepared(name, root, tmp_path / f"store{i}").manifest.content for i, root in enumerate(roots)}
    assert len(contents) == 1


@pytest.mark.parametrize("name", SOURCES)
def test_synthetic_archive_is_the_same_twice_and_another_for_another_seed(
    name: str, archives: dict[str, Path], tmp_path: Path
) -> None:
    again = write_synthetic(name, tmp_path / "again.zip", per_class=8)
    other = write_synthetic(name, tmp_path / "other.zip", per_class=8, seed=1)
    assert again.read_bytes() == archives[name].read_bytes() != other.read_bytes()
    assert list(tmp_path.glob("*.partial")) == []


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("seabed", ["Posidonia", "Ripple 45", "Rock", "Sand", "Silt", "Ripple vertical"]),
        ("skin_lesion", ["nv", "mel", "bkl", "bcc", "akiec", "vasc", "df"]),
        ("emotion", ["anger", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise"]),
        ("dog_breed", ["affenpinscher", "beagle", "collie", "dingo"]),
        ("fmnist", list(FashionMnistSource.classes)),
    ],
)
def test_classes_come_in_published_order(
    name: str, classes: list[str], archives: dict[str, Path], tmp_path: Path
) -> None:
    assert list(prepared(name, archives[name], tmp_path).manifest.classes) == classes


def test_no_lesion_is_in_two_splits_and_a_hundredth_is_a_hundredth(archives: dict[str, Path], tmp_path: Path) -> None:
    data = prepared("skin_lesion", archives["skin_lesion"], tmp_path)
    homes = defaultdict(set)
    for row in data.table.to_pylist():
        homes[row["group"]].add(row["split"])
    assert data.manifest.split_by == "group"
    assert {len(splits) for splits in homes.values()} == {1}
    assert data.table.num_rows > len(homes)
    half = prepared("skin_lesion", archives["skin_lesion"], tmp_path, subsample=0.5)
    assert half.table.num_rows == round(0.5 * data.table.num_rows)


def test_metadata_stays_in_the_sample_table_and_attributes_in_the_card(
    archives: dict[str, Path], tmp_path: Path
) -> None:
    data = prepared("skin_lesion", archives["skin_lesion"], tmp_path)
    assert {"age", "sex", "localization", "dx_type"} <= set(data.table.column_names)
    card = mc.make_card(data.manifest, "baseline_cnn")
    assert {name for name, is_cancer in card.attributes["is_cancer"].items() if is_cancer} == {"mel", "bcc", "akiec"}
    tiles = prepared("seabed", archives["seabed"], tmp_path)
    assert set(tiles.table["certainty"].to_pylist()) == {"sure", "unsure"}


def test_emotion_keeps_its_shipped_splits(archives: dict[str, Path], tmp_path: Path) -> None:
    data = prepared("emotion", archives["emotion"], tmp_path)
    assert data.manifest.split_by == "shipped"
    assert all(row["id"].startswith(row["split"].replace("val", "valid")) for row in data.table.to_pylist())


def test_faces_with_a_legend_are_split_by_person_with_spellings_made_one(tmp_path: Path) -> None:
    words = ("Happiness", "happy", "SADNESS", "sad")
    rows = [(f"Person_{person}_{i:04d}.jpg", words[person % 4]) for person in range(16) for i in range(3)]
    picture = zipfile.ZipFile(write_synthetic("dog_breed", tmp_path / "dogs.zip", per_class=1)).read(
        "train/" + "0" * 32 + ".jpg"
    )
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as archive:
        legend = "user.id,image,emotion\n" + "".join(f"7,{name},{word}\n" for name, word in rows)
        archive.writestr("legend.csv", legend)
        for name, _ in rows:
            archive.writestr(f"images/{name}", picture)
    data = prepared("emotion", tmp_path / "faces.zip", tmp_path)
    assert data.manifest.classes == ("happy", "sad")
    homes = defaultdict(set)
    for row in data.table.to_pylist():
        homes[row["id"].rpartition("_")[0]].add(row["split"])
    assert len(homes) == 16
    assert {len(splits) for splits in homes.values()} == {1}


def test_stanford_dogs_are_recognised_by_their_folder_names(tmp_path: Path, make_pictures: Callable[..., Path]) -> None:
    make_pictures(tmp_path / "Images", {"n02085620-Chihuahua": 4, "n02088364-beagle": 4})
    assert prepared("dog_breed", tmp_path, tmp_path / "store").manifest.classes == ("Chihuahua", "beagle")


def test_kaggles_two_picture_folders_and_their_copies_are_one_data_set(
    archives: dict[str, Path], tmp_path: Path
) -> None:
    shutil.unpack_archive(archives["skin_lesion"], tmp_path / "raw")
    raw = tmp_path / "raw"
    (raw / "metadata" / "HAM10000_metadata.csv").rename(raw / "HAM10000_metadata.csv")
    for i, picture in enumerate(sorted((raw / "images").iterdir())):
        for name in ("HAM10000_images_part_", "ham10000_images_part_"):
            folder = raw / f"{name}{1 + i % 2}"
            folder.mkdir(exist_ok=True)
            shutil.copy(picture, folder)
    shutil.rmtree(raw / "images")
    again = prepared("skin_lesion", raw, tmp_path / "a").manifest
    assert again.content == prepared("skin_lesion", archives["skin_lesion"], tmp_path / "b").manifest.content


@pytest.mark.parametrize("name", ARCHIVED)
def test_wrong_folder_is_told_what_was_looked_for_and_what_was_found(
    name: str, tmp_path: Path, make_pictures: Callable[..., Path]
) -> None:
    make_pictures(tmp_path / "pics", {"red": 2})
    with pytest.raises(DataError, match=r"Looked for: .*Found: .*2 files in .*red"):
        SOURCES[name](tmp_path / "pics").samples()


def test_two_copies_of_a_data_set_in_one_folder_are_not_chosen_between(
    archives: dict[str, Path], tmp_path: Path
) -> None:
    for copy in ("one.zip", "two.zip"):
        shutil.copy(archives["seabed"], tmp_path / copy)
    with pytest.raises(DataError, match=r"more than once \(.*one.zip, .*two.zip\)"):
        SOURCES["seabed"](tmp_path).samples()


def test_row_without_a_picture_is_named(archives: dict[str, Path], tmp_path: Path) -> None:
    shutil.unpack_archive(archives["seabed"], tmp_path)
    gone = sorted((tmp_path / "imgs").iterdir())[0]
    gone.unlink()
    with pytest.raises(DataError, match="1 of 48 rows of labels/labels.csv have no picture: " + gone.name):
        SOURCES["seabed"](tmp_path).samples()


@pytest.mark.parametrize("name", SOURCES)
def test_every_data_set_can_be_rehearsed_without_its_data(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [f"data={name}", "data.source=synthetic", "data.size=24", f"data.store={tmp_path}"]
    verb.main(settings)
    verb.main(settings)
    assert len(list(tmp_path.glob(f"{name}-*"))) == 1
    assert f"prepared in {tmp_path}" in capsys.readouterr().out


def test_synthetic_pictures_can_be_learnt(tmp_path: Path) -> None:
    folders = [f"data.store={tmp_path / 'prepared'}", f"run.folder={tmp_path / 'runs'}"]
    settings = ["experiment=quickstart", "augment=none", "data.size=32", "data.batch_size=16", "logger=none", *folders]
    run = mc.fit(mc.load_config(*settings, "data=dog_breed", "data.source=synthetic"))
    assert run.metrics["test/accuracy"] > 0.8


def test_synthetic_source_is_refused_where_it_would_not_be_used() -> None:
    with pytest.raises(ConfigError, match="impossible for data=digits: it takes local"):
        mc.load_config("data.source=synthetic")
    with pytest.raises(ConfigError, match=r"data\.root=x would not be used"):
        mc.load_config("data=seabed", "data.source=synthetic", "data.root=x")


def test_unknown_synthetic_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'seabed'"):
        write_synthetic("seabad", tmp_path / "x.zip")


@pytest.mark.parametrize(
    ("name", "path", "pictures", "classes", "split_by"),
    [
        ("seabed", "seabed/seabed_dataset.zip", 713, 3, "group"),
        ("skin_lesion", "skin_lesion/HAM10000.zip", 6974, 7, "group"),
        ("emotion", "emotion/facial_expressions.zip", 1192, 8, "group"),
        ("dog_breed", "dog_breed/dog-breed-identification.zip", 107, 14, "stratified"),
        ("dog_breed", "dog_breed/stanford_dogs_14.zip", 1680, 14, "stratified"),
    ],
)
def test_real_archive_is_recognised_and_prepared(
    real_data: Path, name: str, path: str, pictures: int, classes: int, split_by: str, tmp_path: Path
) -> None:
    manifest = prepared(name, real_data / path, tmp_path).manifest
    assert sum(manifest.size_of(split) for split in manifest.counts) == pictures
    assert (len(manifest.classes), manifest.split_by) == (classes, split_by)
