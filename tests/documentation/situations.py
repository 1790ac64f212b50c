"""What stands in a reader's folder before the first command, and what a mark ``<!-- given: NAME -->`` adds to it."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import requests
from pages import ROOT, Block, read
from PIL import Image
from sklearn.datasets import load_digits
from stage import Stage

from google_storage import google_storage
from mlops_cls.data.synthetic import write_synthetic

CLASSES = ("bag", "boot", "shirt")
SIZE, OURS = 32, 130  # so many of each class that those of validation are enough to tell drift
# Two finished runs on my_pictures, the second of which is `latest`; a bundle; what a service of it collected.
MADE = """
train() {
    mlops-cls train experiment=quickstart data=folder data.root=my_pictures data.size=16 data.batch_size=16 \\
        trainer.max_epochs=4 logger=none "$@"
}
train run.name=other trainer.max_epochs=2
train run.name=mine
for name in OTHER ANOTHER A my_resnet18; do ln -s "$(cd runs && ls -d *_other)" "runs/$name"; done
ln -s "$(readlink runs/latest)" runs/B
mlops-cls export runs/latest --samples 24
mlops-cls serve runs/latest/bundle --collect pictures --collect-to collected
"""


def cook(stage: Stage) -> None:
    """Make what most pages start with, by the commands themselves; it takes seconds, and is done once."""
    draw_pictures(stage.folder)
    stage.run(Block("situations.py", 1, "bash", MADE))


def draw_pictures(folder: Path, each: int = OURS) -> None:
    """Write digits as pictures of three classes: a folder, `each` so many; another, a table of the first, some more."""
    digits = load_digits()
    rows = ["path,label,patient"]
    for number, name in enumerate(CLASSES):
        shown = digits.images[digits.target == number]
        for i, values in enumerate(shown[: each + 30]):
            place = folder / ("my_pictures" if i < each else "new_pictures") / name / f"{i:03d}.png"
            _write(place, values)
            if i < each:
                rows.append(f"{place.relative_to(folder)},{name},p{number}{i // 2:02d}")
    (folder / "scans.csv").write_text("\n".join([*rows, ""]))
    for place in ("pictures", "new"):
        for name in CLASSES:
            _write(folder / place / name / "000.jpg", digits.images[digits.target == CLASSES.index(name)][-1])
    for name in CLASSES:
        shutil.copy(folder / "new" / name / "000.jpg", folder / f"{name}.jpg")
    for name in ("picture", "a", "b"):
        shutil.copy(folder / "boot.jpg", folder / f"{name}.jpg")


def _write(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray((values * 255 / 16).astype(np.uint8))
    picture.resize((SIZE, SIZE), Image.Resampling.BICUBIC).convert("RGB").save(path)


def bring(cooked: Path, stage: Stage) -> None:
    """Copy what was cooked into a reader's folder."""
    shutil.copytree(
        cooked, stage.folder, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".reader", ".git")
    )


@contextmanager
def given(name: str, stage: Stage) -> Iterator[None]:
    """Prepare a situation of the table below, until the chapter ends."""
    with contextmanager(SITUATIONS[name])(stage):
        yield


def _repository(stage: Stage) -> Iterator[None]:
    """All that is there is committed, as in a clone; nothing was put under DVC yet."""
    for line in ("git add .", "git commit --quiet --message Start"):
        subprocess.run(line.split(), cwd=stage.folder, env=stage.env, check=True)
    yield


def _bucket(stage: Stage) -> Iterator[None]:
    """Google Cloud Storage, emulated, with the bucket `lab`."""
    with google_storage(stage.aside / "gcs") as address:
        requests.post(f"{address}/storage/v1/b", json={"name": "lab"}, timeout=10).raise_for_status()
        stage.env["STORAGE_EMULATOR_HOST"] = address
        yield


def _published(stage: Stage) -> Iterator[None]:
    """The latest model is under DVC, by the names that pages use."""
    line = "mlops-cls publish runs/latest --to dvc --name"
    stage.run(Block("situations.py", 1, "bash", f"{line} skin_lesion\n{line} fashion"))
    yield


def _service(stage: Stage) -> Iterator[None]:
    """The bundle is served, in another terminal."""
    stage.run(Block("situations.py", 1, "bash", "mlops-cls serve runs/latest/bundle"))
    yield


def _skin_lesions(stage: Stage) -> Iterator[None]:
    """HAM10000.zip as it is published, but with striped pictures."""
    write_synthetic("skin_lesion", stage.folder / "HAM10000.zip")
    yield


def _packages(stage: Stage) -> Iterator[None]:
    """The packages that pages write of their blocks of Python, as `pip install` leaves them in a folder of sys.path."""
    for page, start, name in (("own_data", "import hashlib", "scans"), ("from_lightning", "from timm", "lenet")):
        blocks = [block for _, block in read((ROOT / f"docs/{page}.md").read_text(), page)]
        (code,) = (block.text for block in blocks if block.language == "python" and block.text.startswith(start))
        (about,) = (block.text for block in blocks if block.language == "toml")
        entry = re.sub(r'project\.entry-points\."(.*)"', r"\1", about[about.index("[project.entry") :]).replace('"', "")
        (stage.folder / f"{name}.py").write_text(code[: code.index("\n\ndata = ")] + "\n")
        place = stage.folder / f"{name}-1.dist-info"
        place.mkdir()
        (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (place / "entry_points.txt").write_text(entry)
    yield


SITUATIONS: dict[str, Callable[[Stage], Iterator[None]]] = {
    "a repository": _repository,
    "a bucket": _bucket,
    "a published model": _published,
    "a service": _service,
    "HAM10000.zip": _skin_lesions,
    "the packages of the pages": _packages,
}
