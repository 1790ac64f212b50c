"""Collections as a service writes them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from collected import CLASSES, RECORD
from mlops_cls.monitoring.collection import HEADER, RECORDS, header
from mlops_cls.monitoring.storage import Folder, Storage


@pytest.fixture
def make_collection(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a record like `RECORD` for each time, ``a-0``, ``b-0``…, and returns the folder."""

    def write(*times: datetime, storage: Storage | None = None) -> Path:
        storage = storage or Folder(tmp_path / "collected")
        storage.write(HEADER, header(CLASSES, [RECORD.model]))
        for name, time in zip("abcdefghij", times, strict=False):
            line = replace(RECORD, id=f"{name}-0", request_id=name, time=time).to_line()
            storage.append(f"{time:%Y-%m-%d}/{RECORDS}", line.encode())
        return tmp_path / "collected"

    return write
