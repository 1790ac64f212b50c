"""Sweeps on digits whose trials take a fraction of a second."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

TRAIN = ["experiment=quickstart", "data.size=8", "data.subsample=0.3", "trainer.max_epochs=1", "logger=none"]
WriteSweep = Callable[..., Path]


@pytest.fixture
def write_sweep(tmp_path: Path) -> WriteSweep:
    """Return a function that writes a sound sweep file, the given keys in place of its own, and returns its path."""

    def write(**keys: Any) -> Path:
        command = ["${env}", "${interpreter}", "-m", "mlops_cls.train", *TRAIN, "${args_no_hyphens}"]
        sweep = {
            "name": "tiny",
            "method": "random",
            "metric": {"name": "val/accuracy", "goal": "maximize"},
            "parameters": {"optim.lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2}},
            "command": command,
        } | keys
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump({key: value for key, value in sweep.items() if value is not None}))
        return path

    return write
