"""A finished run's bundle, put where others look for it: a folder of a bucket that is mounted."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from mlops_cls.bundle import FOLDER
from mlops_cls.errors import ArtifactError
from mlops_cls.exporting.write import export_run
from mlops_cls.run import Run


def deliver(run: Run, out: Path) -> None:
    """Export the run and copy its bundle to `out`, file by file: in a mounted bucket folders cannot be renamed.

    Raises:
        ArtifactError: `out` cannot be written.
    """
    with TemporaryDirectory(prefix="mlops_cls_") as aside:
        bundle = export_run(run.folder, Path(aside) / FOLDER)
        try:
            for file in bundle.folder.rglob("*"):
                _copy(file, out / file.relative_to(bundle.folder))
        except OSError as error:
            raise ArtifactError(f"{out} cannot be written ({error.strerror or error})") from error
    print(f"model {out}", flush=True)


def _copy(file: Path, to: Path) -> None:
    if file.is_dir():
        to.mkdir(parents=True, exist_ok=True)
    else:
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, to)
