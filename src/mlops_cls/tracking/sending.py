"""Send to W&B what runs kept in their run folders."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import requests

from mlops_cls.errors import ArtifactError, ConfigError
from mlops_cls.tracking.identity import Identity
from mlops_cls.tracking.keys import base_url

SENT = "*.synced"
"""`wandb sync` marks what it has sent by such a file."""
PATIENCE = 15  # seconds


def check_access(key: str) -> None:
    """Ask W&B who the key belongs to; its own client would try for minutes.

    Raises:
        ConfigError: W&B refuses the key.
        ConnectionError: W&B cannot be reached.
    """
    try:
        answer = requests.post(
            f"{base_url()}/graphql",
            json={"query": "query Viewer { viewer { id } }"},
            auth=("api", key),
            timeout=PATIENCE,
        )
    except requests.RequestException as error:
        raise ConnectionError(f"W&B cannot be reached at {base_url()}") from error
    if answer.status_code in (401, 403) or (answer.ok and not (answer.json().get("data") or {}).get("viewer")):
        raise ConfigError(f"W&B at {base_url()} refuses the key: copy it again from {base_url()}/authorize")
    if not answer.ok:
        raise ConnectionError(f"W&B at {base_url()} answers {answer.status_code}")


def is_unsent(folder: Path) -> bool:
    """Tell whether W&B lacks something of a tracked run."""
    identity = Identity.read(folder)
    return bool(_parts(folder)) or (identity is not None and identity.model is not None)


def send(folder: Path, key: str) -> None:
    """Send all that W&B lacks of a run, in order; what was sent is noted, so that it is sent once.

    Raises:
        ArtifactError: W&B did not take it; the message ends with what it said.
    """
    parts = _parts(folder)
    output = _wandb_sync(parts, key) if parts else ""
    identity = Identity.read(folder)
    assert identity is not None
    sent = [name for name in identity.unsent if list((folder / "wandb" / name).glob(SENT))]
    identity = replace(identity, unsent=[name for name in identity.unsent if name not in sent])
    identity.write(folder)
    if left := _parts(folder):
        raise ArtifactError(f"{folder}: W&B did not take {left[0].name}: {output}")
    _send_model(folder, identity, key)


def _parts(folder: Path) -> list[Path]:
    """Return the parts of the run's story that W&B does not have yet, oldest first: one for each start."""
    identity = Identity.read(folder)
    broken = [folder / "wandb" / name for name in identity.unsent] if identity else []
    kept = [part for part in (folder / "wandb").glob("offline-run-*") if not list(part.glob(SENT))]
    return sorted([*kept, *broken], key=lambda part: part.name.removeprefix("offline-"))


def _wandb_sync(parts: Sequence[Path], key: str) -> str:
    """Let W&B's own command send the parts; it strings together those of one run. Return what it said last."""
    # WANDB_SERVICE would let it work through the process of a run of ours, in the folder where that was started.
    ours = ("WANDB_SERVICE", "WANDB_MODE", "WANDB_RUN_ID", "WANDB_SWEEP_ID", "WANDB_DIR")
    environment = {name: value for name, value in os.environ.items() if name not in ours} | {"WANDB_API_KEY": key}
    command = [sys.executable, "-m", "wandb", "sync", "--include-online", *(str(part.absolute()) for part in parts)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return " ".join((done.stdout + done.stderr).split())[-500:]


def settings_of(key: str | None, **more: Any) -> Any:
    """Return the settings of every W&B run of ours.

    Silent, because wandb's own lines would bury ours; the run's log is kept by us. The key goes no other way than this:
    `wandb.login` would write it into a file.
    """
    import wandb

    return wandb.Settings(api_key=key, base_url=base_url(), silent=True, console="off", **more)


def _send_model(folder: Path, identity: Identity, key: str) -> None:
    if identity.model is None:
        return
    import wandb

    from mlops_cls.tracking.models import keep

    place: dict[str, Any] = {"id": identity.id, "project": identity.project, "entity": identity.entity}
    settings = settings_of(key, init_timeout=PATIENCE)
    try:
        with (
            tempfile.TemporaryDirectory() as aside,
            wandb.init(resume="allow", mode="online", dir=aside, settings=settings, **place) as run,
        ):
            keep(run, folder, identity.model)
    except (wandb.errors.Error, ValueError) as error:
        raise ArtifactError(f"{folder}: W&B did not keep the model: {str(error).splitlines()[0]}") from error
    replace(identity, model=None).write(folder)
