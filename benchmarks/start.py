"""Seconds to start: import, ``--help``, and from the command to the first training batch, in fresh processes.

    python benchmarks/start.py

The first batch is timed for a first start, which prepares the store, for a second one, which finds it, and for plain
Lightning over torchvision's ImageFolder of the same JPEGs. Processes are started in turn, round by round.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pairs
from loader import write_folder

HERE = Path(__file__).parent
IMPORTS = {
    "import mlops_cls": "import mlops_cls",
    "import torch, torchvision, pytorch_lightning": "import torch, torchvision, pytorch_lightning",
}


def seconds_of(command: list[str]) -> float:
    """Return how long a fresh Python takes over a command.

    Raises:
        SystemExit: it failed; its own words are shown.
    """
    environment = os.environ | {"PYTHONPATH": str(HERE)}
    start = time.perf_counter()
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return seconds


def our_command(root: Path, store: Path, runs: Path, pixels: int) -> list[str]:
    """Return the command that trains on a folder and leaves at its first batch."""
    settings = [f"data.root={root}", f"data.size={pixels}", "data.batch_size=32", "data.workers=0", "data.check=off"]
    places = [f"data.store={store}", f"run.folder={runs}", "logger=none"]
    leave = "trainer.callbacks=[{_target_: clocks.LeaveAtFirstBatch}]"
    return ["-m", "mlops_cls.train", "data=folder", "model=resnet18", *settings, *places, leave]


def first_start(command: list[str], store: Path) -> float:
    """Return the seconds of a start that has to prepare; the store is left for the second start."""
    shutil.rmtree(store, ignore_errors=True)
    return seconds_of(command)


def sides_of(home: Path, options: Namespace) -> dict[str, Callable[[], float]]:
    """Return what is started."""
    sides: dict[str, Callable[[], float]] = {name: partial(seconds_of, ["-c", code]) for name, code in IMPORTS.items()}
    sides["mlops-cls --help"] = partial(seconds_of, ["-m", "mlops_cls.cli", "--help"])
    sides["mlops-cls train --help"] = partial(seconds_of, ["-m", "mlops_cls.train", "--help"])
    root = write_folder(home / "raw", options.pictures, tuple(options.size))
    ours = our_command(root, home / "store", home / "runs", options.pixels)
    plain = [str(HERE / "peers.py"), str(root / "train"), str(options.pixels)]
    sides["first batch, ours, first start"] = partial(first_start, ours, home / "store")
    sides["first batch, ours, second start"] = partial(seconds_of, ours)
    sides["first batch, plain Lightning"] = partial(seconds_of, plain)
    return {name: side for name, side in sides.items() if any(word in name for word in options.only or [""])}


def main(arguments: list[str] | None = None) -> None:
    """Start everything in turn, report."""
    parser = pairs.parser_of(__file__, __doc__, rounds=5)
    parser.add_argument("--pictures", type=int, default=512)
    parser.add_argument("--size", type=int, nargs=2, default=(600, 450), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--pixels", type=int, default=224, help="side of the squares in a batch (224)")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="only sides with one of these words in their name")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        rounds = pairs.in_turn(sides_of(Path(folder), options), options.rounds)
    middle = pairs.medians(rounds)
    plain = middle.get("first batch, plain Lightning")
    rows = [[name, seconds, seconds / plain if plain else ""] for name, seconds in middle.items()]
    pairs.report(options, pairs.markdown(["what", "seconds", "of plain Lightning's start"], rows), rounds=rounds)


if __name__ == "__main__":
    main()
