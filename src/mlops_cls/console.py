"""What a run says: plain lines on standard output and, while a log file is given, in that file too."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

ROOT = "mlops_cls"


class _AboveProgressBars(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stdout)


@contextmanager
def say_to(path: Path) -> Iterator[None]:
    """Send the package's log lines to standard output and append them, with the time, to `path`."""
    logger = logging.getLogger(ROOT)
    screen, file = _AboveProgressBars(), logging.FileHandler(path, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    before = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for handler in (screen, file):
        logger.addHandler(handler)
    try:
        yield
    finally:
        logger.setLevel(before[0])
        logger.propagate = before[1]
        for handler in (screen, file):
            logger.removeHandler(handler)
            handler.close()


def shows_progress() -> bool:
    """Tell whether a person watches: progress bars go to a terminal only."""
    return sys.stderr.isatty()
