"""The train image, from the steps of its Dockerfile: what it is started with, what it leaves, how it ends."""

import signal
import subprocess
import time
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from replay import Image

import mlops_cls as mc
from mlops_cls.data.synthetic import write_synthetic

SECONDS = 300
QUICK = ["logger=none", "run.report=false", "runtime=plain", "data.workers=0"]
DIGITS = ["experiment=quickstart", "data.size=8", "data.subsample=0.5", "trainer.max_epochs=15"]
LESIONS = ["experiment=skin_lesion", "data.size=32", "trainer.max_epochs=1"]


def end(process: "subprocess.Popen[str]", code: int) -> str:
    """Wait for a process, which must end with this code; all that it said."""
    said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == code, said
    return said


def start(image: Image, settings: list[str], folder: Path, **variables: str) -> "subprocess.Popen[str]":
    # Other tests keep the other cores busy.
    return image.start([*image.entry, *settings, *QUICK], folder, OMP_NUM_THREADS="1", **variables)


def wait_for(found: Path, pattern: str, process: "subprocess.Popen[str]") -> None:
    until = time.monotonic() + SECONDS
    while not list(found.glob(pattern)):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until, "it does not come"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def lesions(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> tuple[Path, str]:
    """Return an archive of HAM10000, the real one's part or else one of stripes, and how much of it to take."""
    try:
        return Path(request.getfixturevalue("real_data"), "skin_lesion", "HAM10000.zip").resolve(), "data.subsample=0.1"
    except pytest.skip.Exception:
        return write_synthetic("skin_lesion", tmp_path_factory.mktemp("lesions") / "HAM10000.zip"), "data.subsample=1"


def test_a_job_that_loses_its_machine_begins_anew_or_leaves_no_model(train_image: Image, tmp_path: Path) -> None:
    bucket = tmp_path / "gcs" / "lab"
    bucket.mkdir(parents=True)
    vertex = {
        "MLOPS_CLS_GCS": str(tmp_path / "gcs"),
        "AIP_CHECKPOINT_DIR": "gs://lab/job/checkpoints",
        "AIP_MODEL_DIR": "gs://lab/job/model/",
    }
    taken = start(train_image, DIGITS, tmp_path, **vertex)
    wait_for(bucket, "job/checkpoints/*/checkpoints/last.ckpt", taken)
    taken.send_signal(signal.SIGTERM)
    assert "interrupted" in end(taken, 75)
    assert not (bucket / "job" / "model").exists()
    end(start(train_image, DIGITS, tmp_path, **vertex), 0)
    (run,) = [path for path in (bucket / "job" / "checkpoints").iterdir() if path.is_dir() and not path.is_symlink()]
    provenance = mc.Run.open(run).card.provenance
    assert len(provenance["resumed"]) == 1
    assert provenance["git"] == {"commit": train_image.labels["org.opencontainers.image.revision"], "dirty": False}
    assert mc.Predictor.load(bucket / "job" / "model").card.classes == mc.Run.open(run).card.classes


def test_lesions_in_a_mounted_folder_are_not_found(
    train_image: Image, lesions: tuple[Path, str], tmp_path: Path
) -> None:
    archive, share = lesions
    end(start(train_image, [*LESIONS, share, f"data.root={archive}"], tmp_path), 0)
    assert "mel" in mc.Run.open(tmp_path / "runs" / "latest").card.classes


def test_lesions_in_a_bucket_do_not_come(
    train_image: Image, lesions: tuple[Path, str], bucket: str, tmp_path: Path
) -> None:
    archive, share = lesions
    upload = f"{bucket}/upload/storage/v1/b/pictures/o?uploadType=media&name=sets/HAM10000.zip"
    with urlopen(Request(upload, data=archive.read_bytes(), headers={"Content-Type": "application/zip"})) as answer:
        assert answer.status == 200
    asked = [*LESIONS, share, "data.source=gs", "data.url=gs://pictures/sets/HAM10000.zip"]
    end(start(train_image, asked, tmp_path, STORAGE_EMULATOR_HOST=bucket), 0)
    assert mc.Run.open(tmp_path / "runs" / "latest").card.provenance["data"]["origin"]["source"] == "gs"


def test_a_failed_job_counts_as_done(train_image: Image, tmp_path: Path) -> None:
    assert "resnet18" in end(start(train_image, ["experiment=resnet81"], tmp_path), 2)
