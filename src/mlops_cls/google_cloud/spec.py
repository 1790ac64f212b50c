"""The custom job of a training, as the API of Vertex AI wants it:
https://cloud.google.com/vertex-ai/docs/reference/rest/v1/CustomJobSpec.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops_cls.atomic import write_text
from mlops_cls.errors import ArtifactError, ConfigError
from mlops_cls.google_cloud.machines import Machine
from mlops_cls.provenance import git_state

LABEL = re.compile(r"[a-z0-9_-]{0,63}")
IMAGE = re.compile(r"[a-z0-9.-]+(:\d+)?(/[\w.-]+)+(:[\w.-]+|@sha256:[0-9a-f]{64})?")
BUCKET = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/[\w.=-]+)*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """A training on Vertex AI: what runs, on what, for how long at most, and where its output goes."""

    name: str
    settings: Sequence[str]
    image: str
    bucket: str
    machine: Machine
    replicas: int = 1
    spot: bool = False
    hours: float = 24
    disk: int = 100
    service_account: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def output(self) -> str:
        """Where checkpoints and model go; the same for a job of the same name, which so goes on with its run."""
        return f"{self.bucket.rstrip('/')}/{self.name}"

    @property
    def price(self) -> float | None:
        """Dollars an hour, or None where a part has no price."""
        return None if self.machine.price is None else self.replicas * self.machine.price

    def check(self) -> None:
        """Refuse what the API's types would let through.

        Raises:
            ConfigError: naming the option.
        """
        if not IMAGE.fullmatch(self.image):
            raise ConfigError(
                f"--image {self.image!r} is no image, such as REGION-docker.pkg.dev/PROJECT/REPOSITORY/train:TAG"
            )
        if not BUCKET.fullmatch(self.bucket.rstrip("/")):
            raise ConfigError(f"--bucket {self.bucket!r} is no bucket or folder of one, such as gs://BUCKET/jobs")
        check_labels(self.labels)
        check_account(self.service_account)

    def spec(self) -> dict[str, Any]:
        """Return the CustomJobSpec; the first pool has one replica, by which the others meet."""
        pool = {
            "machineSpec": self.machine.spec,
            "replicaCount": 1,
            "diskSpec": {"bootDiskType": "pd-ssd", "bootDiskSizeGb": self.disk},
            "containerSpec": {
                "imageUri": self.image,
                "args": list(self.settings),
                "env": [{"name": "PYTHONUNBUFFERED", "value": "1"}],
            },
        }
        others = [{**pool, "replicaCount": self.replicas - 1}] if self.replicas > 1 else []
        account = {"serviceAccount": self.service_account} if self.service_account else {}
        return {
            "workerPoolSpecs": [pool, *others],
            "scheduling": {
                "strategy": "SPOT" if self.spot else "STANDARD",
                "restartJobOnWorkerRestart": True,
                "timeout": f"{round(3600 * self.hours)}s",
            },
            **account,
            "baseOutputDirectory": {"outputUriPrefix": self.output},
        }

    def job(self) -> dict[str, Any]:
        """Return the whole CustomJob."""
        return {"displayName": self.name, "jobSpec": self.spec(), "labels": dict(self.labels)}


def label_of(text: str) -> str:
    """Return a text in the letters that a label may have."""
    return re.sub(r"[^a-z0-9_-]", "_", text.lower())[:63]


def check_labels(labels: Mapping[str, str]) -> None:
    """Refuse labels that Google Cloud would.

    Raises:
        ConfigError: naming it.
    """
    for key, value in labels.items():
        if not key or not LABEL.fullmatch(key) or not LABEL.fullmatch(value):
            raise ConfigError(f"--label {key}={value} is impossible: 63 of a-z, 0-9, - and _ at most, on either side")


def check_account(address: str | None) -> None:
    """Refuse what is no address of a service account.

    Raises:
        ConfigError: it has no @.
    """
    if address is not None and "@" not in address:
        raise ConfigError(f"--service-account {address} is no address, such as NAME@PROJECT.iam.gserviceaccount.com")


def given_labels(words: Sequence[str]) -> dict[str, str]:
    """Return labels of the form KEY=VALUE.

    Raises:
        ConfigError: one has another form.
    """
    pairs = [word.partition("=") for word in words]
    for word, (_, sign, _) in zip(words, pairs, strict=True):
        if not sign:
            raise ConfigError(f"--label {word} is not of the form KEY=VALUE")
    return {key: value for key, _, value in pairs}


def commit_label() -> dict[str, str]:
    """Return the label of the commit that this folder is at, if it is one's checkout."""
    git = git_state(Path.cwd())
    return {"commit": git["commit"][:12]} if git else {}


def keep(path: Path, written: Mapping[str, Any]) -> Path:
    """Write what is about to be sent as JSON, and return where.

    Raises:
        ArtifactError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(written, indent=2) + "\n")
    except OSError as error:
        raise ArtifactError(f"{path} cannot be written ({error.strerror}): give --folder FOLDER") from error
    return path
