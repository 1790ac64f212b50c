"""A service of Cloud Run, as its API wants it:
https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.services.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mlops_cls.errors import ConfigError
from mlops_cls.google_cloud.spec import IMAGE, check_account, check_labels
from mlops_cls.service.settings import Settings

NAME = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
"""Shorter than the 49 letters that Cloud Run allows: the name of a revision adds its time, and its address a tag."""
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SECRET = re.compile(r"(projects/[\w-]+/secrets/)?[A-Za-z0-9_-]{1,255}(:(latest|\d+|[A-Za-z][\w-]*))?")
SECRETIVE = re.compile(r"(KEYS?|TOKEN|SECRET|PASSWORD)$")
MEMORY: dict[int, tuple[float, float]] = {1: (0.5, 4), 2: (0.5, 8), 4: (2, 16), 6: (4, 24), 8: (4, 32)}
"""Processors to the GiB that may go with them: https://cloud.google.com/run/docs/configuring/services/cpu."""
OURS = ("MODEL", "PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION")
"""Variables that options of their own or Cloud Run set."""
KEYS = "SERVE_API_KEYS"
STARTUP = {"periodSeconds": 3, "timeoutSeconds": 3, "failureThreshold": 80}
"""240 seconds in all, the most that Cloud Run waits for a container."""
LIVENESS = {"periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3}


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployment:
    """A bundle as a service: what runs, on what, and how many of it; `memory` in GiB, `timeout` in seconds."""

    name: str
    image: str
    model: str
    cpu: int = 1
    memory: float = 2
    concurrency: int = 16
    least: int = 0
    most: int = 3
    port: int = 8080
    timeout: int = 60
    cpu_always: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    service_account: str | None = None

    def check(self) -> None:
        """Refuse what the API's types would let through, and what the service itself would not start with.

        Raises:
            ConfigError: naming the option.
        """
        if not NAME.fullmatch(self.name):
            raise ConfigError(
                f"--service {self.name!r} is no name: a letter, then up to 39 of a-z, 0-9 and -, such as api"
            )
        if not IMAGE.fullmatch(self.image):
            raise ConfigError(
                f"--image {self.image!r} is no image, such as REGION-docker.pkg.dev/PROJECT/REPOSITORY/api:TAG"
            )
        self._check_size()
        self._check_variables()
        self._check_settings()
        check_labels(self.labels)
        check_account(self.service_account)

    def _check_size(self) -> None:
        if self.cpu not in MEMORY:
            raise ConfigError(f"--cpu {self.cpu} is impossible: {', '.join(map(str, MEMORY))} are allowed")
        least, most = MEMORY[self.cpu]
        if not least <= self.memory <= most:
            raise ConfigError(
                f"--memory {self.memory:g} is impossible with --cpu {self.cpu}: {least:g} to {most:g} GiB"
            )
        if self.least > self.most:
            raise ConfigError(f"--min {self.least} is more than --max {self.most}")
        if not 1 <= self.concurrency <= 1000:
            raise ConfigError(f"--concurrency {self.concurrency} is impossible: 1 to 1000")

    def _check_variables(self) -> None:
        for name in (*self.environment, *self.secrets):
            if not VARIABLE.fullmatch(name):
                raise ConfigError(f"{name!r} is no name of a variable: letters, digits and _")
        for name, value in self.environment.items():
            _check_value(name, value)
        for name, secret in self.secrets.items():
            if not SECRET.fullmatch(secret):
                raise ConfigError(f"--secret {name}={secret} names no secret: NAME or NAME:VERSION of Secret Manager")

    def _check_settings(self) -> None:
        # A name that is mistyped would leave the service without its keys.
        Settings.read({name: "" for name in self.secrets if name != KEYS}, {})
        settings = Settings.read({**self.environment, "MODEL": self.model, "PORT": str(self.port)}, {})
        if settings.queue < self.concurrency:
            raise ConfigError(
                f"--setting queue={settings.queue} is less than --concurrency {self.concurrency}: requests would be "
                "refused where another instance would answer them"
            )
        if settings.collect != "off" and not settings.collect_to.startswith("gs://"):
            raise ConfigError(
                f"--setting collect_to={settings.collect_to} is lost with its instance: give gs://BUCKET/FOLDER"
            )

    def revision(self, now: datetime) -> str:
        """Return the name of a revision that is made now."""
        return f"{self.name}-{now:%y%m%d-%H%M%S}"

    def service(self, revision: str) -> dict[str, Any]:
        """Return the Service, without its traffic."""
        # By the service and not by the revision, so that one without traffic keeps no instance running.
        scaling = {"minInstanceCount": self.least}
        return {"labels": dict(self.labels), "scaling": scaling, "template": self._template(revision)}

    def _template(self, revision: str) -> dict[str, Any]:
        return {
            "revision": revision,
            "labels": dict(self.labels),
            "scaling": {"maxInstanceCount": self.most},
            "timeout": f"{self.timeout}s",
            **({"serviceAccount": self.service_account} if self.service_account else {}),
            "containers": [self._container()],
            "executionEnvironment": "EXECUTION_ENVIRONMENT_GEN2",
            "maxInstanceRequestConcurrency": self.concurrency,
        }

    def _container(self) -> dict[str, Any]:
        plain = [{"name": name, "value": value} for name, value in {"MODEL": self.model, **self.environment}.items()]
        return {
            "image": self.image,
            "env": [*plain, *({"name": name, "valueSource": _reference(it)} for name, it in self.secrets.items())],
            "resources": {
                "limits": {"cpu": str(self.cpu), "memory": f"{round(self.memory * 1024)}Mi"},
                "cpuIdle": not self.cpu_always,
                "startupCpuBoost": True,
            },
            "ports": [{"containerPort": self.port}],
            "startupProbe": {**STARTUP, "httpGet": {"path": "/ready", "port": self.port}},
            "livenessProbe": {**LIVENESS, "httpGet": {"path": "/health", "port": self.port}},
        }


def _check_value(name: str, value: str) -> None:
    if SECRETIVE.search(name):
        raise ConfigError(
            f"{name} is given by its value, which all that may see the service would see: --secret {name}=NAME, after "
            "printf %s VALUE | gcloud secrets create NAME --data-file=-"
        )
    if not value.isprintable():
        raise ConfigError(f"the value of {name} has a letter that cannot be printed")


def _reference(secret: str) -> dict[str, Any]:
    name, _, version = secret.partition(":")
    return {"secretKeyRef": {"secret": name, "version": version or "latest"}}
