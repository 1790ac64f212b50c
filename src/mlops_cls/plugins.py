"""Data sets and networks of other installed packages, found by name and loaded when they are asked for.

Entry points, since they are code that was installed on purpose: a path to import that a config or a model's card names
could be anybody's.
"""

from importlib.metadata import entry_points
from typing import Any

DATA_SETS, NETWORKS = "mlops_cls.data", "mlops_cls.networks"


def plugin_names(group: str) -> list[str]:
    """Return the names that installed packages offer in `group`."""
    return sorted(entry_points(group=group).names)


def load_plugin(group: str, name: str) -> Any:
    """Return what the entry point of that name stands for; an error of its own module keeps its traceback."""
    return entry_points(group=group)[name].load()
