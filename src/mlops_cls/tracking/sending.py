"""Send to W&B what runs kept in their run folders."""

import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import requests

from mlops_cls.errors import ArtifactError, ConfigError
from mlops_cls.tracking.identity import Identity, Model
from mlops_cls.tracking.keys import base_url

# What `wandb sync` of 0.31 leaves beside a file that it has sent, says of one that ends within a record, and a file
# with nothing in it.
SENT, CUT_SHORT, HEADER = ".synced", "ends with an incomplete record", 7
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

    No run may be going on in the folder.

    Raises:
        ArtifactError: W&B did not take it; the message ends with what it said.
    """
    for part in _parts(folder):
        _send_part(folder, part, key)
    identity = Identity.read(folder)
    assert identity is not None
    if identity.model is not None:
        _send_model(folder, identity.model, identity, key)
    replace(identity, unsent=[], model=None).write(folder)


def _parts(folder: Path) -> list[Path]:
    """Return the parts of the run's story that W&B does not have yet, oldest first: one for each start."""
    identity = Identity.read(folder)
    broken = [folder / "wandb" / name for name in identity.unsent] if identity else []
    parts = [*(folder / "wandb").glob("offline-run-*"), *broken]
    return sorted(filter(_holds_news, parts), key=lambda part: part.name.removeprefix("offline-"))


def _holds_news(part: Path) -> bool:
    """Tell whether there is something in a part, and it was not sent; a run killed at once leaves a bare header."""
    return any(file.stat().st_size > HEADER for file in part.glob("*.wandb")) and not list(part.glob(f"*{SENT}"))


def _send_part(folder: Path, part: Path, key: str) -> None:
    """Let W&B's own command send a part; it puts it behind what is there of the run."""
    # WANDB_SERVICE would let it work through the process of a run of ours, in the folder where that was started.
    left_out = ("WANDB_SERVICE", "WANDB_MODE", "WANDB_RUN_ID", "WANDB_SWEEP_ID")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    environment |= {"WANDB_API_KEY": key, "WANDB_DIR": str(folder.absolute())}
    command = [sys.executable, "-m", "wandb", "sync", "--include-online", str(part.absolute())]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    said = " ".join((done.stdout + done.stderr).split())
    if CUT_SHORT in said:
        # All there is of a run that was killed. W&B leaves it unmarked, and would append it once more the next time.
        (file,) = part.glob("*.wandb")
        file.with_name(file.name + SENT).touch()
    elif not list(part.glob(f"*{SENT}")):
        raise ArtifactError(f"{folder}: W&B did not take {part.name}: {said[-500:]}")


def settings_of(key: str | None, **more: Any) -> Any:
    """Return the settings of every W&B run of ours.

    Silent, because wandb's own lines would bury ours; the run's log is kept by us. The key goes no other way than this:
    `wandb.login` would write it into a file.
    """
    import wandb

    return wandb.Settings(api_key=key, base_url=base_url(), silent=True, console="off", **more)


def _send_model(folder: Path, model: Model, identity: Identity, key: str) -> None:
    import wandb

    from mlops_cls.tracking.models import keep

    place: dict[str, Any] = {"id": identity.id, "project": identity.project, "entity": identity.entity}
    settings = settings_of(key, init_timeout=PATIENCE)
    try:
        with (
            tempfile.TemporaryDirectory() as aside,
            wandb.init(resume="allow", mode="online", dir=aside, settings=settings, **place) as run,
        ):
            keep(run, folder, model)
    except (wandb.errors.Error, ValueError) as error:
        raise ArtifactError(f"{folder}: W&B did not keep the model: {str(error).splitlines()[0]}") from error
