"""Side-scan sonar tiles of the seabed: `imgs/` and `labels/labels.csv`."""

import re

from mlops_cls.data.source import Sample
from mlops_cls.data.sources.archive import DataSet, Found, Layout, find_table, match_rows
from mlops_cls.data.tree import Tree

# "Ripple 45_Sure.00011.png": the class, how certain its labeller was, and a number.
CERTAINTY = re.compile(r"^(?P<label>.+)_(?P<certainty>[A-Za-z]+)\.\d+\.\w+$")
# "TRAN00_r00_c0200.png": tiles cut from one strip overlap and look alike, so they must stay together.
STRIP = re.compile(r"^(?P<strip>[A-Za-z]+\d+)_")


def _find(tree: Tree) -> Found | None:
    located = find_table(tree, ("id", "seafloor"))
    if located is None:
        return None
    name, rows = located
    return match_rows(
        tree, name, [row["id"] for row in rows], lambda i, key: _sample(key, rows[i]["seafloor"]), with_ending=True
    )


def _sample(name: str, label: str) -> Sample:
    certainty = CERTAINTY.match(name)
    if certainty and certainty["label"] == label:
        return Sample(name, label, metadata={"certainty": certainty["certainty"].lower(), "strip": None})
    strip = STRIP.match(name)
    group = strip["strip"] if strip else None
    return Sample(name, label, group=group, metadata={"certainty": None, "strip": group})


SEABED = DataSet(
    name="seabed",
    classes=("Posidonia", "Ripple 45", "Rock", "Sand", "Silt", "Ripple vertical"),
    layouts=(
        Layout("a CSV with the columns id and seafloor, and the pictures it names (imgs/, labels/labels.csv)", _find),
    ),
)
