"""Google Cloud Storage through gcsfs, which is an extra and loaded only when asked for."""

import importlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from mlops_cls.errors import ConfigError

LOG_IN = "gcloud auth application-default login, or GOOGLE_APPLICATION_CREDENTIALS=FILE of a service account"
SETTINGS = {"GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
"""Else gcsfs asks for the kind of the bucket first, of the real Google even where an emulator serves it."""


def open_buckets(wish: str) -> Any:
    """Return gcsfs's file system, with the credentials that Google's own tools would use.

    Args:
        wish: what needs it, for the message.

    Raises:
        ConfigError: gcsfs is not installed.
    """
    if find_spec("gcsfs") is None:
        raise ConfigError(f'{wish} needs gcsfs: pip install "mlops-cls[gs]" (in a checkout: uv sync --extra gs)')
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    # What they log, with a traceback or once per request, is raised too.
    for name in ("gcsfs", "google.auth"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return importlib.import_module("gcsfs").GCSFileSystem()


@contextmanager
def as_os_errors() -> Iterator[None]:
    """Turn whatever gcsfs raises, its transport's and Google's authentication's errors too, into OSError."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # a dozen kinds, of three packages
        raise OSError(str(error) or type(error).__name__) from error
