"""Everything a service can be told, by flags or by variables of the environment; one list for both."""

import re
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from mlops_cls.backends.kinds import DEFAULT
from mlops_cls.errors import ConfigError, did_you_mean

PREFIX = "SERVE_"
UNPREFIXED = ("model", "port")
"""Names that platforms set themselves, such as Cloud Run its PORT."""
KUBERNETES = re.compile(PREFIX + r"(SERVICE|PORT)(_\w+)?")
"""Variables that Kubernetes sets where a service is called "serve"."""
MIB = 2**20


class Settings(BaseModel):
    """A field `max_bytes` is the flag ``--max-bytes`` and the variable ``SERVE_MAX_BYTES``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field("", description="bundle: a folder, dvc:NAME, wandb:COLLECTION:ALIAS or gs://BUCKET/FOLDER")
    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for every one, as a container needs")
    port: int = Field(8080, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    backend: str = Field(DEFAULT, description="what computes the answers, or auto for the fastest here")
    threads: int = Field(0, ge=0, description="that compute one batch; 0: as many as there are cores")

    queue: int = Field(64, ge=1, description="pictures that may wait; more are refused with 503")
    batch: int = Field(8, ge=1, le=256, description="most pictures that go through the network at once")
    max_bytes: int = Field(20 * MIB, ge=1, description="of one picture")
    max_request_bytes: int = Field(64 * MIB, ge=1, description="of all pictures of a request together")
    max_pixels: int = Field(50_000_000, ge=4, description="of one picture")
    max_files: int = Field(32, ge=1, description="pictures in one request")
    read_seconds: float = Field(30, gt=0, description="in which a request must have arrived whole")
    drain_seconds: float = Field(20, gt=0, description="in which requests are finished after SIGTERM")

    api_keys: SecretStr = Field(SecretStr(""), description="keys, one of which a client must show; separated by commas")
    cors: str = Field("", description="origins whose pages may call the service; separated by commas")
    rate: int = Field(0, ge=0, description="requests a minute that one client may send; 0: no limit")
    docs: bool = Field(True, description="serve the description of all routes at /docs and /openapi.json")
    compat: str = Field("", description="old clients to answer too; separated by commas")

    collect: Literal["off", "metadata", "pictures"] = Field("off", description="what to keep of what was asked")
    collect_to: str = Field("", description="folder or gs://BUCKET/FOLDER to keep it in")
    collect_share: float = Field(1.0, gt=0, le=1, description="of the requests that are kept")
    collect_days: int = Field(30, ge=1, description="after which it is deleted")
    collect_bytes: int = Field(1024 * MIB, ge=1, description="that it may take up")
    window: int = Field(1000, ge=100, description="pictures that /monitoring looks back on")
    logs: Literal["auto", "text", "json"] = Field("auto", description="auto: text on a terminal, else JSON")

    @classmethod
    def read(cls, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Self:
        """Return settings from variables and, before them, flags that were given.

        Raises:
            ConfigError: a name that is none of ours, or a value that is not allowed; keys are never shown.
        """
        variables = {variable(name): name for name in cls.model_fields}
        for name in environment:
            if name.startswith(PREFIX) and name not in variables and not KUBERNETES.fullmatch(name):
                raise ConfigError(
                    f"{name} in the environment is no setting{did_you_mean(name, variables)}; --help lists them"
                )
        found = {variables[name]: value for name, value in environment.items() if name in variables}
        return cls.checked({**found, **flags})

    @classmethod
    def checked(cls, values: Mapping[str, Any]) -> Self:
        """Return settings with these values.

        Raises:
            ConfigError: one of them is not allowed; the message names the flag and the variable.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise ConfigError("; ".join(map(_said, error.errors()))) from None


def variable(name: str) -> str:
    """Return the variable of a field."""
    return name.upper() if name in UNPREFIXED else PREFIX + name.upper()


def flag(name: str) -> str:
    """Return the flag of a field."""
    return "--" + name.replace("_", "-")


def listed(text: str) -> tuple[str, ...]:
    """Return the parts of a text that are separated by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _said(problem: Mapping[str, Any]) -> str:
    name = str(problem["loc"][0])
    given = "" if name == "api_keys" else f"={problem['input']}"
    return f"{flag(name)} ({variable(name)}){given}: {problem['msg']}"
