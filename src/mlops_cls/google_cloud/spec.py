"""The custom job of a training, as the API of Vertex AI wants it:
https://cloud.google.com/vertex-ai/docs/reference/rest/v1/CustomJobSpec.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlops_cls.errors import ConfigError
from mlops_cls.google_cloud.machines import Machine

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
        for key, value in self.labels.items():
            if not key or not LABEL.fullmatch(key) or not LABEL.fullmatch(value):
                raise ConfigError(
                    f"--label {key}={value} is impossible: 63 of a-z, 0-9, - and _ at most, on either side"
                )
        if self.service_account is not None and "@" not in self.service_account:
            raise ConfigError(
                f"--service-account {self.service_account} is no address, such as NAME@PROJECT.iam.gserviceaccount.com"
            )

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
