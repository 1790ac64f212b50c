"""A disk that is full or may not be written, told as what to do about it."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlops_cls.errors import DataError

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}


@contextmanager
def writable(folder: Path, setting: str) -> Iterator[None]:
    """Make the folder, and turn a full disk or a missing permission into a `DataError` that names its `setting`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise DataError(
                f"no room left in {folder}: free some space or set {setting}=FOLDER on another disk"
            ) from error
        if error.errno in NOT_ALLOWED:
            raise DataError(f"{folder} cannot be written ({error.strerror}): set {setting}=FOLDER") from error
        raise
