"""What a run says: plain lines on standard output and, while a log file is given, in that file too."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tqdm import tqdm

from mlops_cls.processes import first

ROOT = "mlops_cls"


class _AboveProgressBars(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        # Where nobody reads any more, as behind `| head`, the run goes on, and its file has it all.
        with suppress(BrokenPipeError):
            tqdm.write(self.format(record), file=sys.stdout)
            sys.stdout.flush()  # into a pipe or a job's log too, where someone waits for the line


@contextmanager
def say_to(path: Path | None) -> Iterator[None]:
    """Send the package's log lines to standard output and append them, with the time, to `path` if there is one.

    Of several processes the first one's alone, since all say the same.
    """
    logger = logging.getLogger(ROOT)
    handlers = _handlers(path) if first() else [logging.NullHandler()]
    before = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        logger.setLevel(before[0])
        logger.propagate = before[1]
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


def _handlers(path: Path | None) -> list[logging.Handler]:
    screen = _AboveProgressBars()
    if path is None:
        return [screen]
    file = logging.FileHandler(path, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    return [screen, file]


def shows_progress() -> bool:
    """Tell whether a person watches: progress bars go to a terminal only."""
    return sys.stderr.isatty()


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep back what Lightning says about things we decided on purpose."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # Lightning 2.6 on torch 2.13.
            warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
            # Reading the memory map in the training process is faster than any number of workers.
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            # The scores are the same in all processes already: the counts behind them were summed.
            warnings.filterwarnings("ignore", message=".*sync_dist=True.*")
            # Gradients of 1x1 convolutions have two equal layouts, and DDP's is the other; they are small.
            warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
            # What is done with logits here makes new tensors.
            warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
            # Only where every process has the whole network are its weights averaged; the config sees to that.
            warnings.filterwarnings("ignore", message=".*WeightAveraging doesn't support sharding model layers.*")
            # The folder was made by the run a moment ago.
            warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
            yield
    finally:
        logger.setLevel(level)
