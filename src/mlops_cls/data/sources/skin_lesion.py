"""HAM10000, dermatoscopic pictures of skin lesions: Tschandl, Rosendahl and Kittler 2018, arXiv:1803.10417."""

from mlops_cls.data.source import Sample
from mlops_cls.data.sources.archive import DataSet, Found, Layout, Row, find_table, match_rows
from mlops_cls.data.tree import Tree

CLASSES = ("nv", "mel", "bkl", "bcc", "akiec", "vasc", "df")
CANCER = frozenset({"mel", "bcc", "akiec"})
KEPT = ("dx_type", "sex", "localization", "dataset")


def _find(tree: Tree) -> Found | None:
    located = find_table(tree, ("lesion_id", "image_id", "dx"))
    if located is None:
        return None
    name, rows = located
    return match_rows(tree, name, [row["image_id"] for row in rows], lambda i, _: _sample(rows[i]), with_ending=False)


def _sample(row: Row) -> Sample:
    """One picture; several pictures of one lesion form a group, or the test would know its lesions from training."""
    metadata = {key: row[key] or None for key in KEPT if key in row}
    age = float(row["age"]) if row.get("age") else None
    return Sample(row["image_id"], row["dx"], group=row["lesion_id"], metadata={"age": age, **metadata})


SKIN_LESION = DataSet(
    name="skin_lesion",
    kaggle="datasets/kmader/skin-cancer-mnist-ham10000",
    classes=CLASSES,
    layouts=(
        Layout(
            "a CSV with the columns lesion_id, image_id and dx (HAM10000_metadata.csv), and a picture for each "
            "image_id (images/, or HAM10000_images_part_1/ and _2/)",
            _find,
        ),
    ),
    attributes={"is_cancer": {name: name in CANCER for name in CLASSES}},
)
