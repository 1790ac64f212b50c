"""What Vertex AI tells a container: where to keep a run and its model, and which of several machines this is.

https://cloud.google.com/vertex-ai/docs/training/code-requirements#environment-variables. Buckets are mounted in /gcs.
"""

import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from mlops_cls.atomic import write_text
from mlops_cls.errors import ConfigError

CHECKPOINTS, MODEL, CLUSTER, JOB = "AIP_CHECKPOINT_DIR", "AIP_MODEL_DIR", "CLUSTER_SPEC", "CLOUD_ML_JOB_ID"
MOUNT = "MLOPS_CLS_GCS"
"""Variable with the folder that buckets are mounted in, if it is not /gcs."""


def run_folder() -> str | None:
    """Return where runs are kept, so that a job that is started again goes on; None outside Vertex AI.

    Raises:
        ConfigError: the bucket is not mounted.
    """
    found = _mounted(CHECKPOINTS)
    return None if found is None else str(found)


def model_folder() -> Path | None:
    """Return where the finished model goes; None outside Vertex AI, and on other machines than the first.

    Raises:
        ConfigError: the bucket is not mounted.
    """
    return _mounted(MODEL) if _first_machine() else None


def finished_run(settings: str) -> Path | None:
    """Return the run of these settings that this very job has finished, before its machine went and it began anew."""
    marker = _marker(settings)
    return Path(marker.read_text(encoding="utf-8")) if marker is not None and marker.is_file() else None


def note_finished(settings: str, folder: Path) -> None:
    """Note for `finished_run` where the finished run of these settings lies."""
    marker = _marker(settings)
    if marker is not None and _first_machine():
        write_text(marker, str(folder))


def _marker(settings: str) -> Path | None:
    folder, job = _mounted(CHECKPOINTS), os.environ.get(JOB)
    if folder is None or not job:
        return None
    return folder / f".job-{sha256(f'{job} {settings}'.encode()).hexdigest()[:16]}"


def machines(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which several machines meet (docs/distributed.md), of a job with more than one."""
    if CLUSTER not in environment or "NNODES" in environment:
        return {}
    spec = json.loads(environment[CLUSTER])
    pools, task = spec["cluster"], spec["task"]
    hosts = [host for pool in sorted(pools) for host in pools[pool]]
    if len(hosts) == 1:
        return {}
    this = hosts.index(pools[task["type"]][task["index"]])
    address, _, port = hosts[0].rpartition(":")
    return {"NNODES": str(len(hosts)), "NODE_RANK": str(this), "MASTER_ADDR": address, "MASTER_PORT": port}


def _first_machine() -> bool:
    return os.environ.get("NODE_RANK", "0") == "0"


def _mounted(variable: str) -> Path | None:
    """Return the folder that is the ``gs://bucket/path`` in a variable."""
    place = os.environ.get(variable)
    if not place:
        return None
    if not place.startswith("gs://"):
        return Path(place)
    bucket, _, path = place.removeprefix("gs://").partition("/")
    mount = Path(os.environ.get(MOUNT, "/gcs")) / bucket
    if not mount.is_dir():
        raise ConfigError(
            f"{variable}={place}, and {mount} is not there: Vertex AI mounts buckets so; elsewhere say which folder "
            f"holds them in {MOUNT}, or unset {variable}"
        )
    return mount / path
