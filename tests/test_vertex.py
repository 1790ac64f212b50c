"""Within a container of Vertex AI: where a run and its model are kept, and how several machines find each other."""

import json
import os
import shutil
from pathlib import Path

import pytest

import mlops_cls as mc
from mlops_cls import train, vertex
from mlops_cls.launch import Machines

TINY = ["experiment=quickstart", "logger=none", "data.size=8", "data.subsample=0.2", "run.report=false"]
SPEC = {
    "cluster": {
        "workerpool0": ["job-workerpool0-0:2222"],
        "workerpool1": ["job-workerpool1-0:2222", "job-workerpool1-1:2222"],
    },
    "environment": "cloud",
    "task": {"type": "workerpool1", "index": 1},
}


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a mounted bucket, in which Vertex AI wants the output."""
    monkeypatch.setenv("MLOPS_CLS_GCS", str(tmp_path / "gcs"))
    monkeypatch.setenv("AIP_CHECKPOINT_DIR", "gs://lab/jobs/tiny/checkpoints/")
    monkeypatch.setenv("AIP_MODEL_DIR", "gs://lab/jobs/tiny/model/")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gcs" / "lab").mkdir(parents=True)
    return tmp_path / "gcs" / "lab"


def test_a_job_loses_its_run_or_its_model_or_trains_again_because_its_machine_went(
    bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, model = [*TINY, "trainer.max_epochs=1"], bucket / "jobs" / "tiny" / "model"
    monkeypatch.setenv("CLOUD_ML_JOB_ID", "42")
    train.main(command)
    (run,) = runs(bucket)
    assert mc.Run.open(run).card.provenance["config"]["run"]["folder"] == str(run.parent)
    assert {path.name for path in tmp_path.iterdir()} == {"gcs", "prepared"}

    shutil.rmtree(model)  # the machine went after the run and before its model was whole
    train.main(command)
    assert runs(bucket) == [run]
    assert mc.Predictor.load(model).card.classes == mc.Run.open(run).card.classes

    monkeypatch.setenv("CLOUD_ML_JOB_ID", "43")  # another job of the same settings, which finds that it cannot train
    shutil.rmtree(tmp_path / "prepared")
    (tmp_path / "prepared").touch()
    with pytest.raises(mc.DataError, match="prepared"):
        train.main(command)


def runs(bucket: Path) -> list[Path]:
    folder = bucket / "jobs" / "tiny" / "checkpoints"
    return [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]


def test_a_folder_that_was_given_is_overruled(bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIP_MODEL_DIR")
    with pytest.raises(mc.DataError, match="nowhere"):
        train.main(["data=folder", "data.root=nowhere", "logger=none", "run.folder=own"])
    config = mc.load_config(*TINY, "run.folder=own")
    train._keep_on_vertex(config)
    assert config.run.folder == "own"


def test_a_bucket_that_is_not_mounted_is_found_out_at_the_end(bucket: Path) -> None:
    bucket.rmdir()
    with pytest.raises(mc.ConfigError, match="Vertex AI mounts buckets so"):
        train.main([*TINY, "trainer.max_epochs=1"])


def test_machines_of_a_job_do_not_find_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    told = vertex.machines({"CLUSTER_SPEC": json.dumps(SPEC)})
    assert told == {"NNODES": "3", "NODE_RANK": "2", "MASTER_ADDR": "job-workerpool0-0", "MASTER_PORT": "2222"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert Machines.of_environment() == Machines(3, 2)
    assert vertex.machines(os.environ | {"CLUSTER_SPEC": json.dumps(SPEC)}) == {}  # torchrun or a person has spoken


def test_a_job_of_one_machine_waits_for_others() -> None:
    alone = {"cluster": {"workerpool0": ["job-workerpool0-0:2222"]}, "task": {"type": "workerpool0", "index": 0}}
    assert vertex.machines({"CLUSTER_SPEC": json.dumps(alone)}) == {}
    assert vertex.machines({}) == {}


def test_each_machine_writes_the_model(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert vertex.model_folder() == bucket / "jobs" / "tiny" / "model"
    monkeypatch.setenv("NODE_RANK", "1")
    assert vertex.model_folder() is None
