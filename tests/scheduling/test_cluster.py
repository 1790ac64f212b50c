"""Jobs of a cluster: what is refused before one is written, what is written, and how it goes below a scheduler."""

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import mlops_cls as mc
from batch_systems import BatchSystem
from mlops_cls import cluster

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="job scripts are for bash")

TINY = ["experiment=quickstart", "logger=none", "data.size=8", "data.subsample=0.2", "run.report=false"]
CPU = ["--gpus", "0", "--cores", "1", "--memory", "2"]

# Records what it is started with, and ends with the code that lies in the file `code`.
RECORDER = """#!/bin/bash
echo "NNODES=$NNODES NODE_RANK=$NODE_RANK MASTER_ADDR=$MASTER_ADDR MASTER_PORT=$MASTER_PORT" > "rank$NODE_RANK"
printf '%s\\0' "$@" > "words$NODE_RANK"
exit "$(cat code)"
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that the commands are typed in; it has a space in its name."""
    folder = tmp_path / "my project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def recorder(home: Path) -> list[str]:
    """Return options by which the job finds, instead of Python, a program that records how it is started."""
    (home / "bin").mkdir()
    (home / "bin" / "python").write_text(RECORDER)
    (home / "bin" / "python").chmod(0o755)
    (home / "code").write_text("0")
    return ["--setup", 'PATH="$PWD/bin:$PATH"']


def lint(script: Path, *options: str) -> str:
    found = Path(sys.executable).with_name("shellcheck")
    return subprocess.run([found, *options, script], capture_output=True, text=True, check=False).stdout


def words(home: Path, rank: str = "") -> list[str]:
    return (home / f"words{rank}").read_text().split("\0")[:-1]


def epochs_of(home: Path) -> Callable[[], int]:
    def count() -> int:
        tables = [path for path in home.glob("runs/*/metrics.csv") if not path.parent.is_symlink()]
        return max((path.read_text().count("\n") - 1 for path in tables), default=0)

    return count


def submit(batch: BatchSystem, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setenv("PATH", batch.path)
    cluster.main([batch.name, *arguments, "--submit"])


def test_a_job_whose_time_is_up_begins_anew_or_is_not_started_again_on_slurm(
    home: Path, python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, epochs = BatchSystem(tmp_path / "slurm", "slurm"), epochs_of(home)
    monkeypatch.setattr(sys, "executable", python)
    submit(batch, monkeypatch, *TINY, "trainer.max_epochs=4", *CPU)
    batch.run(lambda task, attempt: attempt == 1 and epochs() >= 1)
    assert batch.codes == {1: [75, 0]}
    assert len([mc.Run.open(path.parent) for path in home.glob("runs/2*/metrics.json")]) == 1
    assert "going on in" in (home / "jobs" / "quickstart-41.out").read_text()
    assert (home / "jobs" / "quickstart-41.started").read_text().count("\n") == 2


def test_a_job_whose_processes_are_all_told_to_end_loses_its_run_on_lsf(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, epochs = BatchSystem(tmp_path / "lsf", "lsf"), epochs_of(home)
    # Of these processes W&B's own ends at once, and a loader's leaves the end to the run.
    tracked = [word for word in TINY if word != "logger=none"]
    submit(batch, monkeypatch, *tracked, "trainer.max_epochs=4", "data.workers=1", "--stage", "--offline", *CPU)
    batch.run(lambda task, attempt: attempt == 1 and epochs() >= 1)
    assert batch.codes == {1: [75, 0]}
    (run,) = (mc.Run.open(path.parent) for path in home.glob("runs/2*/metrics.json"))
    assert "mlops_cls." in run.card.provenance["config"]["data"]["store"]
    assert not Path(run.card.provenance["config"]["data"]["store"]).exists()
    assert "going on in" in (home / "jobs" / "quickstart-41.out").read_text()


@pytest.mark.parametrize("name", ["slurm", "lsf"])
def test_machines_of_a_job_meet_at_different_places(
    name: str, home: Path, recorder: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = BatchSystem(tmp_path / name, name, machines=["first", "second", "third"])
    several = ["trainer=ddp", "--nodes", "3", "--gpus", "2"]
    submit(batch, monkeypatch, "experiment=resnet18", *several, *recorder)
    batch.run()
    assert batch.codes == {1: [0]}
    told = [(home / f"rank{rank}").read_text().split() for rank in range(3)]
    assert [line[:3] for line in told] == [["NNODES=3", f"NODE_RANK={rank}", "MASTER_ADDR=first"] for rank in range(3)]
    assert {line[3] for line in told} == {"MASTER_PORT=20041"}
    assert words(home, "2") == ["-m", "mlops_cls.train", "experiment=resnet18", "trainer=ddp"]


@pytest.mark.parametrize("name", ["slurm", "lsf"])
def test_a_job_that_is_interrupted_each_time_runs_for_ever_or_says_that_it_is_done(
    name: str, home: Path, recorder: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "code").write_text("75")
    batch = BatchSystem(tmp_path / name, name)
    submit(batch, monkeypatch, "experiment=resnet18", "--restarts", "2", *recorder)
    batch.run()
    assert batch.codes == {1: [75, 75, 1]}


@pytest.mark.parametrize("name", ["slurm", "lsf"])
def test_a_run_that_failed_is_started_again(
    name: str, home: Path, recorder: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "code").write_text("2")
    batch = BatchSystem(tmp_path / name, name)
    submit(batch, monkeypatch, "experiment=resnet18", *recorder)
    batch.run()
    assert batch.codes == {1: [2]}


def test_settings_are_changed_by_the_shell(
    home: Path, recorder: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "run.name='it is 5 o$clock `x` $(date) ; & ! ~ %j #'"
    batch = BatchSystem(tmp_path / "lsf", "lsf")
    submit(batch, monkeypatch, "-m", "experiment=resnet18", name, "optim.lr=1e-3,3e-3", *recorder)
    (script,) = (home / "jobs").glob("*.lsf.sh")
    assert lint(script, "--exclude=SC2016") == ""  # nothing is to be filled in
    batch.run()
    assert words(home) == ["-m", "mlops_cls.train", "experiment=resnet18", name, "optim.lr=0.003"]


SEVERAL = ["trainer=ddp", "--nodes", "2", "--gpus", "4"]
SWEEP = ["--sweep", "sweep", "--count", "4", "--agents", "3", "--gpus", "0"]


@pytest.mark.parametrize("name", ["slurm", "lsf"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["experiment=resnet18", "--stage", "--offline", "--queue", "gpuv100", "--account", "lab"],
        ["-m", "experiment=resnet18,quickstart", "--at-once", "1"],
        ["experiment=resnet18", *SEVERAL],
        SWEEP,
        ["--wandb-agent", "team/mlops_cls/ab12cd34", "--agents", "2", "--setup", "module load python"],
    ],
)
def test_a_job_script_has_a_fault_that_shellcheck_knows(name: str, arguments: list[str], home: Path) -> None:
    cluster.main([name, *arguments])
    (script,) = (home / "jobs").glob("*.sh")
    assert lint(script) == ""


def test_agents_of_a_sweep_are_not_as_many_as_asked_or_search_other_sweeps(
    home: Path, recorder: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    batch = BatchSystem(tmp_path / "slurm", "slurm")
    submit(batch, monkeypatch, *SWEEP, "logger=none", *recorder)
    batch.run()
    assert batch.codes == {1: [0], 2: [0], 3: [0]}
    assert words(home) == ["-m", "mlops_cls.sweep", "sweep", "--count", "4", "logger=none"]
    said = capfd.readouterr().out
    assert "written jobs/sweep.slurm.sh: 3 tasks, each 4 cores, 20 GB; 1:00 hours" in said
    assert "Submitted batch job 41" in said


REFUSED: dict[str, tuple[list[str], str]] = {
    "a mistyped setting": (["optim.lrr=1"], "optim.lrr is not a setting"),
    "each wrong one of several": (["-m", "optim.lr=1e-3,-1", "trainer.max_epochs=0"], "at least 1"),
    "several without -m": (["optim.lr=1e-3,2e-3"], "several runs want -m"),
    "idle GPUs": (["runtime.device=cpu"], "--gpus 0"),
    "missing GPUs": (["runtime.device=cuda", "--gpus", "0"], "needs GPUs"),
    "one of two GPUs": (["--gpus", "2"], "add trainer=ddp"),
    "one of two machines": (["--nodes", "2"], "add trainer=ddp"),
    "other numbers": (["trainer=ddp", "trainer.devices=3", "--gpus", "2"], "is not the 2 GPUs"),
    "processes on CPUs": (["trainer=ddp", "--gpus", "0"], "trainer.devices=N"),
    "a queue that is bash": (["--queue", "a; rm -r"], "--queue"),
    "a short time": (["--hours", "0.05"], "less than 6 minutes"),
    "an option with lines": (["--directive=--qos=a\nrm -r x"], "--directive"),
    "agents without a sweep": (["--agents", "2"], "--agents would not be used"),
    "a sweep and a folder": (["--sweep", "sweep", "--stage"], "--stage would not be used"),
    "a search without an end": (["--sweep", "sweep"], "give --count N"),
    "an agent's settings": (["--wandb-agent", "a/b/c"], "would not be used"),
    "an agent offline": (["--wandb-agent", "a/b/c", "--offline"], "would not be used"),
    "no agent": (["--wandb-agent", "https://wandb.ai/a/b"], "ENTITY/PROJECT/ID"),
    "offline without W&B": (["logger=none", "--offline"], "logger.mode"),
    "no scheduler": (["--submit"], "there is no sbatch here"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_would_fail_or_stand_idle_is_submitted(what: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments, said = REFUSED[what]
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(mc.ConfigError, match=said):
        cluster.main(["slurm", "experiment=quickstart", *arguments])
    assert what == "no scheduler" or list(home.iterdir()) == []


def test_what_is_printed_to_type_cannot_be_typed(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    batch = BatchSystem(tmp_path / "lsf", "lsf")
    cluster.main(["lsf", "experiment=resnet18", "data=folder", "data.root=nowhere", "--offline", "--folder", "my jobs"])
    lines = dict(line.split(None, 1) for line in capfd.readouterr().out.splitlines())
    assert lines["note:"] == "data.root=nowhere does not exist here"
    assert shlex.split(lines["after"])[:4] == ["python", "-m", "mlops_cls.sync", "runs"]
    done = subprocess.run(["bash", "-c", lines["submit"]], env={"PATH": batch.path}, capture_output=True, check=True)
    assert b"Job <41> is submitted" in done.stdout
