"""Where a sweep's trials are kept, and who of those that run them is alive."""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from filelock import FileLock, Timeout
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy.exc import SQLAlchemyError

from mlops_cls.errors import ConfigError

JOURNAL = "trials.journal"
WORKERS = "workers"
HEARTBEAT, GRACE, BETWEEN = 30, 120, 5  # seconds


class KernelLock(JournalFileOpenLock):
    """The journal's lock, freed by the system when its holder dies; Optuna's own then costs others half a minute."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._lock = FileLock(f"{path}.lock")

    def acquire(self) -> bool:
        self._lock.acquire()
        return True

    def release(self) -> None:
        self._lock.release()


def open_storage(url: str | None, folder: Path) -> BaseStorage:
    """Return the storage: the database of `url`, or a journal in the sweep's folder.

    Raises:
        ConfigError: the database cannot be reached, or its driver is not installed.
    """
    if url is None:
        path = folder / JOURNAL
        return JournalStorage(JournalFileBackend(str(path), KernelLock(path)))
    try:
        return _open_database(url)
    except (SQLAlchemyError, ImportError) as error:
        # Not the url itself: it may hold a password.
        reason = str(error).strip().splitlines()[0]
        example = "sqlite:///sweep.db or postgresql+psycopg://USER:PASSWORD@HOST/NAME"
        raise ConfigError(f"--storage cannot be opened ({reason}); give a url such as {example}") from error


def _open_database(url: str, *, again: bool = True) -> BaseStorage:
    try:
        with as_we_mean_it():
            return RDBStorage(url, heartbeat_interval=HEARTBEAT, grace_period=GRACE)
    except SQLAlchemyError as error:
        # Of two machines that begin at once, one finds tables that the other is making.
        if not (again and "exist" in str(error)):
            raise
    time.sleep(BETWEEN)
    return _open_database(url, again=False)


def beat(storage: BaseStorage, trial_id: int) -> None:
    """Tell other machines that this one lives; a journal needs no such thing, its folder shows the locks."""
    if isinstance(storage, RDBStorage):
        storage.record_heartbeat(trial_id)


def fail_silent(study: optuna.Study, storage: BaseStorage) -> None:
    """Give up the trials of machines that were not heard of for `GRACE` seconds."""
    if isinstance(storage, RDBStorage):
        with as_we_mean_it():
            optuna.storages.fail_stale_trials(study)


def hold(folder: Path, worker: str) -> FileLock:
    """Return a lock that tells others, for as long as this process lives, that the worker does."""
    lock = FileLock(_lock_file(folder, worker))
    lock.acquire(timeout=0)
    return lock


def lives(folder: Path, worker: str) -> bool | None:
    """Tell whether the worker lives; None if it is not from here."""
    path = _lock_file(folder, worker)
    if not path.exists():
        return None
    try:
        with FileLock(path).acquire(timeout=0):
            for file in (path, path.with_suffix(".log")):
                file.unlink(missing_ok=True)
    except Timeout:
        return True
    return False


def _lock_file(folder: Path, worker: str) -> Path:
    return folder / WORKERS / f"{worker}.lock"


@contextmanager
def as_we_mean_it() -> Iterator[None]:
    """Keep back what Optuna says about things we decided on purpose: heartbeats, and these outside `optimize`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed")
        yield
