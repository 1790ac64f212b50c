"""The command that trains such a network as the bundle's on a table."""

import re
import shlex
from pathlib import Path

from mlops_cls.bundle import Bundle
from mlops_cls.overrides import written
from mlops_cls.run import BEST

CHANNELS = {1: "grey", 3: "rgb"}


def train_command(bundle: Bundle, table: Path) -> str:
    """Return a line for the shell; it starts from the bundle's weights where they can be found."""
    made, preprocess = bundle.card.architecture, bundle.card.preprocess
    settings = {
        "data": "table",
        "data.root": table,
        "data.size": preprocess.size,
        "data.resize": preprocess.resize,
        "data.channels": CHANNELS[preprocess.channels],
        "model.name": made.name,
        **({"model.small_stem": "true"} if made.small_stem else {}),
        **({"model.head_width": made.head_width} if made.head_width else {}),
        **({"model.drop_rate": made.drop_rate} if made.drop_rate else {}),
        **({"+model.kwargs": made.kwargs} if made.kwargs else {}),
        **({"model.weights": weights} if (weights := _weights(bundle)) else {}),
    }
    return shlex.join(
        ["python", "-m", "mlops_cls.train", *(f"{key}={_plain(value)}" for key, value in settings.items())]
    )


def _weights(bundle: Bundle) -> Path | None:
    beside = bundle.folder.parent / BEST
    return bundle.weights or (beside if beside.is_file() else None)


def _plain(value: object) -> str:
    """Return a value in Hydra's notation; a path only in quotes if it needs them."""
    text = str(value)
    return text if re.fullmatch(r"[\w./-]+", text) else written(value if isinstance(value, dict) else text)
