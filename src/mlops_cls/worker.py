"""One of the processes of a run, started by `launch` and never typed: ``python -m mlops_cls.worker FOLDER``."""

import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

from mlops_cls.errors import Interrupted, MlopsError
from mlops_cls.importing import without_collection
from mlops_cls.launch import FAILURE, RUN, TASK


def main(place: Path) -> None:
    """Fit as the task in the folder says; leave there where the run lies or, without printing it, what went wrong."""
    threading.Thread(target=_end_with_launcher, daemon=True).start()
    try:
        _fit(place)
    except Interrupted as interrupted:
        _note(place, type(interrupted).__name__, str(interrupted))
        sys.exit(interrupted.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except MlopsError as error:
        _note(place, type(error).__name__, str(error))
        sys.exit(2)
    except Exception:
        _note(place, None, traceback.format_exc())
        sys.exit(1)


def _fit(place: Path) -> None:
    from mlops_cls.compose import change_data

    with without_collection():
        from mlops_cls.training import fit

    task = json.loads((place / TASK).read_text())
    sys.argv = task["command"]  # what was typed, for the provenance
    run = fit(change_data(task["config"], ()))
    if os.environ["LOCAL_RANK"] == "0":
        (place / RUN).write_text(json.dumps(run.plain()))


def _end_with_launcher() -> None:
    os.read(0, 1)  # Nothing ever comes; it returns when the other end of the pipe is gone.
    os.kill(os.getpid(), signal.SIGTERM)


def _note(place: Path, kind: str | None, text: str) -> None:
    failure = {"time": time.time(), "kind": kind, "text": text}
    (place / FAILURE.format(os.environ["RANK"])).write_text(json.dumps(failure))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
