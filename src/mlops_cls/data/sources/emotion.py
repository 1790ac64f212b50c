"""Facial expressions: AffectNet in YOLO form, or a folder of faces with `legend.csv`."""

import re
from pathlib import PurePosixPath

from mlops_cls.data.source import Sample
from mlops_cls.data.sources.archive import DataSet, Found, Layout, find_table, match_rows, pictures_of
from mlops_cls.data.tree import Tree
from mlops_cls.errors import DataError, first_few

CLASSES = ("anger", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise")
SPELLINGS = {"happiness": "happy", "sadness": "sad", "angry": "anger", "surprised": "surprise"}
YOLO = re.compile(r"(?:^|/)(?P<split>train|valid|test)/images/(?P<stem>[^/]+)\.\w+$")
SPLITS = {"train": "train", "valid": "val", "test": "test"}
# "Abbas_Kiarostami_0001.jpg": the person, then the number of the picture.
PERSON = re.compile(r"^(?P<person>.*?[^\W\d_].*?)[_-]?\d*\.\w+$")


def _find_yolo(tree: Tree) -> Found | None:
    matches = [(name, match) for name in pictures_of(tree) if (match := YOLO.search(name))]
    labels = {name for name in tree.names if name.endswith(".txt")}
    if not matches or not labels:
        return None
    files: dict[str, str] = {}
    samples: list[Sample] = []
    missing: list[str] = []
    for name, match in matches:
        label_file = str(PurePosixPath(name).parent.parent / "labels" / f"{match['stem']}.txt")
        if label_file not in labels:
            missing.append(name)
            continue
        id_ = f"{match['split']}/{PurePosixPath(name).name}"
        samples.append(Sample(id_, _class_of(tree, label_file), SPLITS[match["split"]]))
        files[id_] = name
    if missing:
        raise DataError(f"{tree.root}: {len(missing)} pictures have no label file beside them: {first_few(missing)}")
    return Found(samples, files)


def _class_of(tree: Tree, label_file: str) -> str:
    """Return the class of a YOLO label: the first number of the line ``class cx cy w h``."""
    fields = tree.read(label_file).split()
    if not fields or not fields[0].isdigit() or int(fields[0]) >= len(CLASSES):
        raise DataError(f"{tree.root}: {label_file} does not begin with a class from 0 to {len(CLASSES) - 1}")
    return CLASSES[int(fields[0])]


def _find_legend(tree: Tree) -> Found | None:
    located = find_table(tree, ("image", "emotion"))
    if located is None:
        return None
    name, rows = located

    def sample(i: int, key: str) -> Sample:
        person = PERSON.match(key)
        group = person["person"].lower() if person else None
        return Sample(key, _emotion(rows[i]["emotion"]), group=group, metadata={"labeller": rows[i].get("user.id")})

    return match_rows(tree, name, [row["image"] for row in rows], sample, with_ending=True)


def _emotion(given: str) -> str:
    """Return the published spelling; a word that is none of the classes is kept, and becomes a class of its own."""
    word = given.strip().lower()
    return SPELLINGS.get(word, word)


EMOTION = DataSet(
    name="emotion",
    classes=CLASSES,
    kaggle="datasets/fatihkgg/affectnet-yolo-format",
    layouts=(
        Layout("train/, valid/ and test/, each with images/ and labels/*.txt (AffectNet in YOLO form)", _find_yolo),
        Layout(
            "a CSV with the columns image and emotion (legend.csv), and the pictures it names (images/)", _find_legend
        ),
    ),
)
