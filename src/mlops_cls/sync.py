"""Send to W&B what runs kept offline: ``python -m mlops_cls.sync``."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mlops_cls.cli import run_verb
from mlops_cls.errors import ArtifactError, ConfigError
from mlops_cls.run import lock_run

EXAMPLE = """examples:
  python -m mlops_cls.sync
  python -m mlops_cls.sync runs/latest
  python -m mlops_cls.sync /scratch/runs --secret projects/lab/secrets/wandb"""


def main(arguments: list[str]) -> None:
    """Send each run that W&B does not have whole; go on after one that fails, and fail at the end."""
    options = _parser().parse_args(arguments)
    from mlops_cls.tracking.sending import is_unsent, send

    waiting = [folder for folder in find_runs(options.folders) if is_unsent(folder)]
    if not waiting:
        print("nothing to send: W&B has all of it")
        return
    key = _key(options.secret)
    failures = []
    for folder in waiting:
        try:
            with _alone(folder):
                send(folder, key)
            print(f"sent {folder}", flush=True)
        except ArtifactError as error:
            failures.append(str(error))
    if failures:
        failed = f"{len(failures)} of {len(waiting)} runs could not be sent and stay as they are"
        raise ArtifactError("\n".join([failed, *failures]))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep a run from starting in the folder meanwhile, and leave one alone that is going on."""
    lock = lock_run(folder)
    if lock is None:
        raise ArtifactError(f"{folder}: its run is going on; send it when it has ended")
    with lock:
        yield


def find_runs(given: Sequence[Path]) -> list[Path]:
    """Return the run folders that were tracked: those given, and those directly below what else is given.

    Raises:
        ArtifactError: a path is no folder, or nothing in it was tracked.
    """
    from mlops_cls.tracking.identity import TRACKING

    found: list[Path] = []
    for folder in given:
        if not folder.is_dir():
            raise ArtifactError(f"{folder} is no folder: give run folders, or a folder of them such as runs")
        below = (
            [folder] if (folder / TRACKING).is_file() else sorted(path.parent for path in folder.glob(f"*/{TRACKING}"))
        )
        if not below:
            raise ArtifactError(f"{folder} holds no tracked run: {TRACKING} is expected in it, or one folder below")
        found += below
    return list({folder.resolve(): folder for folder in found}.values())


def _key(secret: str | None) -> str:
    from mlops_cls.tracking.keys import find_key
    from mlops_cls.tracking.sending import check_access

    try:
        key = find_key(secret)
        if key is None:
            raise ConfigError("no W&B key: set WANDB_API_KEY, type wandb login, or give --secret projects/P/secrets/S")
        check_access(key)
    except ConnectionError as error:
        raise ArtifactError(f"{error}: nothing was sent, try again where there is a network") from error
    return key


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_cls.sync",
        description="Send to W&B what runs kept offline, in order; what was sent before is not sent again.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folders", type=Path, nargs="*", default=[Path("runs")], help="run folders, or folders of them (default: runs)"
    )
    parser.add_argument("--secret", metavar="NAME", help="the W&B key's name in Google Secret Manager")
    return parser


if __name__ == "__main__":
    run_verb(main)
