"""Files into a bucket."""

import warnings
from collections.abc import Mapping
from pathlib import Path

from mlops_cls.bucket import LOG_IN, as_os_errors, open_buckets
from mlops_cls.errors import ArtifactError


def put_files(files: Mapping[str, Path], folder: str, *, unless: str) -> bool:
    """Put files into a folder of a bucket, in their order; return whether they were not there yet.

    Args:
        files: their names there.
        folder: ``gs://BUCKET/FOLDER``.
        unless: name of the file that, if it is there, tells that all are; best the last.

    Raises:
        ArtifactError: the bucket cannot be written.
        ConfigError: gcsfs is not installed.
    """
    storage, place = open_buckets(folder), folder.removeprefix("gs://")
    try:
        # aiohttp warns of the large bodies that gcsfs gives it.
        with as_os_errors(), warnings.catch_warnings(action="ignore", category=ResourceWarning):
            if storage.exists(f"{place}/{unless}"):
                return False
            for name, file in files.items():
                storage.put_file(str(file), f"{place}/{name}")
    except OSError as error:
        reason = " ".join(str(error).split())[:300]
        bucket = f"python -m mlops_cls.cloud bucket gs://{place.partition('/')[0]} --region REGION"
        raise ArtifactError(
            f"{folder} cannot be written ({reason}): may you write it ({LOG_IN}), is the bucket there ({bucket})?"
        ) from error
    return True
