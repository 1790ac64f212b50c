"""A stand-in of the W&B server on 127.0.0.1, as much of it as the tests use.

    with WandbServer() as server:
        environment = os.environ | server.environment(folder)   # for a process that talks to it
        ...
        server.runs["3fe1"].history

It answers what wandb 0.31's client and its `sweep`, `agent` and `sync` commands ask; to any other question it answers
with an error, and `server.refused` names it. Nothing leaves the machine and nothing is stored on disk.
"""

import threading
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

from wandb_server.artifacts import ARTIFACTS
from wandb_server.http import Handler
from wandb_server.projects import PROJECTS
from wandb_server.runs import RUNS
from wandb_server.state import Artifact, Run, State, Sweep
from wandb_server.sweeps import SWEEPS

KEY = "0123456789abcdef" * 2 + "01234567"
__all__ = ["KEY", "Artifact", "Run", "Sweep", "WandbServer"]


class WandbServer:
    """Runs, sweeps and artifacts that were sent to it are plain values, by their W&B id.

    Args:
        key: the API key that opens it; any other is refused as W&B does, with 401.
        seed: of the values that a random sweep draws.
    """

    def __init__(self, key: str = KEY, *, seed: int = 0) -> None:
        self.key = key
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._state = State(url=self.url, key=key, seed=seed)
        Handler.serve(self._http, self._state, PROJECTS | RUNS | SWEEPS | ARTIFACTS)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop answering, as a server behind a lost network; what it has stays to be looked at."""
        self._state.gone = True
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(10)

    def environment(self, folder: Path) -> dict[str, str]:
        """Return the variables with which wandb talks to this server, and keeps all files of its own below `folder`."""
        places = ("WANDB_DIR", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_ARTIFACT_DIR")
        for name in places:
            (folder / name.lower()).mkdir(parents=True, exist_ok=True)
        return {
            "WANDB_BASE_URL": self.url,
            "WANDB_API_KEY": self.key,
            "WANDB_MODE": "online",
            "NETRC": str(folder / "netrc"),
            **{name: str(folder / name.lower()) for name in places},
        }

    @property
    def runs(self) -> dict[str, Run]:
        return self._state.runs

    @property
    def sweeps(self) -> dict[str, Sweep]:
        return self._state.sweeps

    @property
    def artifacts(self) -> list[Artifact]:
        """All versions that were committed and not deleted, oldest first."""
        return [artifact for artifact in self._state.artifacts.values() if artifact.state == "COMMITTED"]

    @property
    def links(self) -> dict[str, list[Artifact]]:
        """What each registry collection, written as project/collection, points to, oldest first."""
        return self._state.links

    @property
    def aliases(self) -> dict[str, dict[str, Artifact]]:
        """What the aliases of each registry collection point to."""
        return self._state.link_aliases

    @property
    def asked(self) -> list[str]:
        """The operations that were asked for, in order."""
        return self._state.asked

    @property
    def refused(self) -> list[str]:
        """The operations that this stand-in does not know."""
        return self._state.refused

    @property
    def forbidden(self) -> set[str]:
        """Operations that the key does not permit; a test adds to them."""
        return self._state.forbidden
