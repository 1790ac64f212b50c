"""What the server keeps."""

import base64
import random
import threading
from dataclasses import dataclass, field
from typing import Any

ENTITY = "local"
Values = dict[str, Any]


@dataclass
class Run:
    """One run; `config` is as W&B keeps it: ``{key: {"value": value}}``."""

    name: str
    entity: str = ENTITY
    project: str = "uncategorized"
    display_name: str = ""
    group: str | None = None
    tags: list[str] = field(default_factory=list)
    sweep: str | None = None
    state: str = "pending"
    exit_code: int | None = None
    preempting: bool = False
    starts: int = 0
    """How often a client began or resumed it."""
    config: Values = field(default_factory=dict)
    history: list[Values] = field(default_factory=list)
    summary: Values = field(default_factory=dict)
    events: list[Values] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    artifacts: list[str] = field(default_factory=list)
    """Ids of the artifacts that it logged."""

    def values(self) -> Values:
        """The config without W&B's own entries and wrapping."""
        return {key: entry["value"] for key, entry in self.config.items() if key != "_wandb"}


@dataclass
class Sweep:
    """One sweep; `config` is the YAML text that was sent."""

    name: str
    entity: str
    project: str
    config: str
    state: str = "PENDING"
    runs: list[str] = field(default_factory=list)
    given: dict[str, Values] = field(default_factory=dict)
    """What each run that was handed out is to use, as its config begins."""


@dataclass
class Artifact:
    """One version of a collection (`entity/project/name`)."""

    id: str
    entity: str
    project: str
    type: str
    name: str
    digest: str
    version: int
    client_id: str
    run: str | None
    metadata: Values = field(default_factory=dict)
    aliases: list[str] = field(default_factory=list)
    state: str = "PENDING"
    files: dict[str, bytes] = field(default_factory=dict)
    manifest: bytes = b""


@dataclass
class State:
    """Everything, behind one lock: a request is answered before the next one is looked at."""

    url: str
    key: str
    seed: int
    runs: dict[str, Run] = field(default_factory=dict)
    sweeps: dict[str, Sweep] = field(default_factory=dict)
    agents: dict[str, str] = field(default_factory=dict)
    """Sweep of each agent."""
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    links: dict[str, list[Artifact]] = field(default_factory=dict)
    link_aliases: dict[str, dict[str, Artifact]] = field(default_factory=dict)
    """What the aliases of each registry collection point to; an artifact's own aliases are those of its sequence."""
    asked: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    forbidden: set[str] = field(default_factory=set)
    gone: bool = False
    lock: Any = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)


def global_id(kind: str, *parts: str) -> str:
    """Return an id as W&B's look: base64 of kind, version and names."""
    return base64.b64encode(":".join((kind, "v1", *parts)).encode()).decode()


def project_of(entity: str, name: str) -> Values:
    return {
        "id": global_id("Project", name, entity),
        "internalId": global_id("Project", name, entity),
        "name": name,
        "entityName": entity,
        "entity": {"id": global_id("Entity", entity), "name": entity},
    }
