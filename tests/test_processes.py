"""Several processes as one run, through the command as a person types it: gloo on the CPU."""

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import pytorch_lightning as pl
import torch

import mlops_cls as mc
from mlops_cls import launch
from mlops_cls.build import check
from mlops_cls.models.weights import read_checkpoint

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes here are told to end by POSIX signals")

# Without BatchNorm, whose statistics are those of a process, and smooth, so that a difference in the last digit stays
# there; an odd number of pictures to score.
SETTINGS = [
    "experiment=quickstart", "data.size=16", "data.subsample=0.3", "data.val_fraction=0.16", "augment=none",
    "runtime=plain", "runtime.device=cpu", "data.batch_size=16", "optim=sgd", "optim.lr=0.01",
    "model.name=resnetv2_18",
    "+model.kwargs={layers:[1,1],channels:[32,64],stem_type:tiered,norm_layer:layernorm2d,act_layer:gelu}",
]  # fmt: skip
EPOCHS = "trainer.max_epochs=2"
CALLBACKS = '''
"""Callbacks for runs whose processes are watched from outside, or are made to fail."""

import json
import os
import signal
from pathlib import Path

import pytorch_lightning as pl

from mlops_cls.errors import DataError


class Counts(pl.Callback):
    """Counts the pictures that this process has trained on and scored."""

    def __init__(self, folder):
        self.folder, self.train, self.val = Path(folder), 0, 0

    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        self.train += len(batch[1])

    def on_validation_batch_end(self, trainer, module, outputs, batch, index):
        self.val += len(batch[1])

    def on_fit_end(self, trainer, module):
        found = {"train": self.train, "val": self.val, "world": trainer.world_size}
        (self.folder / f"counts-{trainer.global_rank}.json").write_text(json.dumps(found))


class Interrupt(pl.Callback):
    """Sends the second process what a scheduler sends, in its fourth step."""

    def on_train_batch_start(self, trainer, module, batch, index):
        if trainer.global_rank == 1 and trainer.global_step == 3:
            os.kill(os.getpid(), signal.SIGTERM)


class Fail(pl.Callback):
    """Fails in the second process, while the first goes on."""

    def on_train_batch_start(self, trainer, module, batch, index):
        if trainer.global_rank == 1 and index == 3:
            raise DataError("picture 3 is gone: put it back")
'''


def line(python: str, *overrides: str, module: str = "mlops_cls.train") -> list[str]:
    return [python, "-m", module, *overrides]


def environment(home: Path) -> dict[str, str]:
    (home / "watching.py").write_text(CALLBACKS)
    return os.environ | {"PYTHONPATH": str(home), "OMP_NUM_THREADS": "1"}


def typed(python: str, home: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    """Run the command in `home`, and return how it ended and what it said."""
    command = line(python, *SETTINGS, *overrides)
    return subprocess.run(
        command, cwd=home, env=environment(home), capture_output=True, text=True, check=False, timeout=240
    )


@dataclass(frozen=True)
class Ended:
    home: Path
    done: subprocess.CompletedProcess[str]

    @property
    def run(self) -> mc.Run:
        return mc.Run.open(self.home / "runs" / "latest")

    @property
    def counts(self) -> list[dict[str, int]]:
        return [json.loads((self.home / f"counts-{rank}.json").read_text()) for rank in (0, 1)]


def weights(run: mc.Run) -> dict[str, torch.Tensor]:
    kept: dict[str, torch.Tensor] = read_checkpoint(run.folder / "checkpoints/last.ckpt")["state_dict"]
    return kept


def counting(home: Path) -> str:
    return f"trainer.callbacks=[{{_target_: watching.Counts, folder: {home}}}]"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> mc.Run:
    """Return the run of one process that those of several are compared with."""
    home = tmp_path_factory.mktemp("alone")
    places = [f"data.store={home / 'prepared'}", f"run.folder={home / 'runs'}"]
    return mc.fit(mc.load_config(*SETTINGS, EPOCHS, *places, "logger=none"))


@pytest.fixture(scope="module")
def ddp(python: str, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Return how the command ended with two processes, each with a copy of the network, and with W&B offline."""
    home = tmp_path_factory.mktemp("ddp")
    settings = ["trainer=ddp", EPOCHS, "trainer.devices=2", "logger.mode=offline", counting(home)]
    return Ended(home, typed(python, home, *settings))


@pytest.fixture(scope="module")
def fsdp(python: str, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Return how the command ended on two 'machines' with a process each, that share the network."""
    home = tmp_path_factory.mktemp("fsdp")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = environment(home) | {"NNODES": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if sys.platform == "linux":
        place["GLOO_SOCKET_IFNAME"] = "lo"
    command = line(python, *SETTINGS, "trainer=fsdp", EPOCHS, "trainer.devices=1", "logger=none", counting(home))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with ExitStack() as stack:
        machines = [
            stack.enter_context(subprocess.Popen(command, cwd=home, env=place | {"NODE_RANK": rank}, **pipes))
            for rank in ("0", "1")
        ]
        (out, errors), (other, more) = (machine.communicate(timeout=240) for machine in machines)
    code = machines[0].returncode or machines[1].returncode
    return Ended(home, subprocess.CompletedProcess(command, code, out + other, errors + more))


@pytest.fixture(params=["ddp", "fsdp"])
def several(request: pytest.FixtureRequest) -> Ended:
    ended: Ended = request.getfixturevalue(request.param)
    assert ended.done.returncode == 0, ended.done.stderr
    return ended


def test_several_processes_find_other_scores_than_one(several: Ended, alone: mc.Run) -> None:
    assert several.run.metrics == pytest.approx(alone.metrics, abs=1e-6)
    assert several.run.metrics["test/accuracy"] > 0.3  # or all that never learn would agree
    rows = []
    for run in (several.run, alone):
        with (run.folder / "metrics.csv").open(newline="") as file:
            rows.append([{k: float(v) for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)])
    assert [pytest.approx(row, abs=1e-6) for row in rows[1]] == rows[0]


def test_several_processes_end_with_other_weights_than_one(several: Ended, alone: mc.Run) -> None:
    ours, theirs = weights(several.run), weights(alone)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert type(value) is torch.Tensor
        torch.testing.assert_close(value, theirs[name], rtol=1e-4, atol=1e-6)


def test_several_processes_train_or_score_a_picture_twice_or_never(several: Ended) -> None:
    (manifest,) = (several.home / "prepared").glob("*/manifest.json")
    sizes = {split: sum(classes.values()) for split, classes in json.loads(manifest.read_text())["counts"].items()}
    assert sizes["val"] % 2 == 1
    first, second = several.counts
    assert first["world"] == second["world"] == 2
    assert first["train"] == second["train"] == 2 * (sizes["train"] // 16) * 8
    assert (first["val"], second["val"]) == (2 * (sizes["val"] // 2 + 1), 2 * (sizes["val"] // 2))
    with (several.run.folder / "predictions.csv").open(newline="") as file:
        tested = [row["id"] for row in csv.DictReader(file)]
    assert len(tested) == len(set(tested)) == sizes["test"]


def test_several_processes_make_several_runs_or_say_everything_twice(several: Ended) -> None:
    run = several.run.folder.resolve()
    assert {path.name for path in (several.home / "runs").iterdir()} == {"latest", run.name}
    assert several.done.stderr == ""
    said = several.done.stdout.splitlines()
    assert len(said) == len(set(said))
    assert sum("epoch   1/2" in spoken for spoken in said) == 1
    kept = [path for path in (several.home / "prepared").iterdir() if path.is_dir() and path.name[0] != "."]
    assert len(kept) == 1
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


def test_several_processes_are_several_runs_in_wandb(ddp: Ended) -> None:
    assert len(list((ddp.run.folder / "wandb").glob("offline-run-*"))) == 1


def test_what_was_typed_is_lost_on_the_way_to_the_processes(ddp: Ended) -> None:
    provenance = ddp.run.card.provenance
    assert provenance["command"][1:3] == SETTINGS[:2]
    assert provenance["runtime"]["processes"] == 2
    assert provenance["runtime"]["batch_size"] == 8


def test_an_error_in_one_process_leaves_the_others_waiting_or_is_buried(python: str, tmp_path: Path) -> None:
    failing = "trainer.callbacks=[{_target_: watching.Fail}]"
    done = typed(python, tmp_path, "trainer.devices=2", "trainer.max_epochs=1", "logger=none", failing)
    assert (done.returncode, done.stderr) == (2, "error: picture 3 is gone: put it back\n")


def test_an_error_of_the_first_process_leaves_the_others_waiting_or_is_said_twice(python: str, tmp_path: Path) -> None:
    done = typed(python, tmp_path, "trainer.devices=2", "logger=none", "data=folder", "data.root=no such folder")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "data.root=no such folder does not exist" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_what_is_thawed_learns_from_the_pictures_of_one_process_alone(tmp_path: Path, alone: mc.Run) -> None:
    # With real interpreters: what torch says to a terminal is settled when it is imported.
    # DDP takes note of what has gradients before anything is frozen. The average of weights goes along.
    freeze = [EPOCHS, "model.freeze=true", "model.unfreeze_epoch=1", f"model.weights={alone.checkpoint}"]
    freeze += ["logger=none", "trainer.ema=0.9"]
    done = typed(sys.executable, tmp_path, "trainer=ddp", *freeze, "trainer.devices=2")
    assert (done.returncode, done.stderr) == (0, "")
    several = mc.Run.open(tmp_path / "runs" / "latest")
    one = mc.fit(mc.load_config(*SETTINGS, *freeze, f"data.store={tmp_path / 'prepared'}", f"run.folder={tmp_path}"))
    assert several.metrics == pytest.approx(one.metrics, abs=1e-6)
    ours, theirs, before = weights(several), weights(one), weights(alone)
    backbone = "network.stages.0.blocks.0.conv1.weight"
    assert not torch.allclose(ours[backbone], before[backbone], rtol=1e-3)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_torchrun_trains_otherwise(python: str, tmp_path: Path, alone: mc.Run) -> None:
    ours = line(python, *SETTINGS, EPOCHS, "logger=none")[2:]
    torchrun = line(python, "--standalone", "--nproc-per-node=2", "-m", *ours, module="torch.distributed.run")
    done = subprocess.run(
        torchrun, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert mc.Run.open(tmp_path / "runs" / "latest").metrics == pytest.approx(alone.metrics, abs=1e-6)
    assert len(list((tmp_path / "runs").iterdir())) == 2
    assert done.stdout.count("epoch   1/2") == 1


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Return a function that starts a Python program; whatever still runs at the end is ended."""
    with ExitStack() as stack:

        def start(*arguments: str) -> subprocess.Popen[bytes]:
            process = stack.enter_context(
                subprocess.Popen([sys.executable, *arguments], cwd=tmp_path, env=environment(tmp_path))
            )
            stack.callback(process.kill)
            return process

        yield start


def soon(what: Callable[[], bool]) -> bool:
    end = time.monotonic() + 60
    while not what() and time.monotonic() < end:
        time.sleep(0.05)
    return what()


def test_processes_outlive_the_one_that_started_them(started: Callable[..., subprocess.Popen[bytes]]) -> None:
    launcher = started("-m", "mlops_cls.train", *SETTINGS, "trainer.devices=2", "logger=none")
    family = psutil.Process(launcher.pid)
    assert soon(lambda: len(family.children()) == 2)
    workers = family.children()
    launcher.kill()
    assert soon(lambda: not any(worker.is_running() and worker.status() != "zombie" for worker in workers))


STOPPED = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(75)); print(flush=True); time.sleep(60)"


def test_a_signal_is_not_passed_on_or_the_wish_to_be_resumed_is_lost() -> None:
    pipes = {"stdout": subprocess.PIPE, "start_new_session": True}
    with ExitStack() as stack:
        asked = [stack.enter_context(subprocess.Popen([sys.executable, "-c", STOPPED], **pipes)) for _ in range(2)]
        for process in asked:
            assert process.stdout is not None
            process.stdout.readline()  # It listens.
        with launch._signals_passed_on(asked):
            os.kill(os.getpid(), signal.SIGTERM)
            codes = launch._watch(asked)
        with pytest.raises(SystemExit) as stop:
            launch._raise_failure(Path("nowhere"), codes)
    assert stop.value.code == 75


def test_a_killed_process_is_no_clear_error(tmp_path: Path) -> None:
    with pytest.raises(mc.MlopsError, match=r"process 1 of 2 was killed \(SIGKILL\), as happens where memory runs out"):
        launch._raise_failure(tmp_path, [1, -signal.SIGKILL])


def test_ddp_on_a_cpu_takes_some_number_of_processes() -> None:
    with pytest.raises(mc.ConfigError, match=r"say how many processes, such as trainer\.devices=2"):
        launch.processes_to_start(mc.load_config("trainer=ddp", "runtime.device=cpu"))


@pytest.mark.parametrize(
    ("overrides", "variables", "number"),
    [
        ((), {}, None),
        (("trainer.devices=1",), {}, None),
        (("trainer.devices=3",), {}, 3),
        (("trainer=ddp", "trainer.devices=1"), {}, None),
        (("trainer=fsdp", "trainer.devices=1"), {}, 1),
        (("trainer=ddp", "trainer.devices=2"), {"LOCAL_RANK": "0"}, None),
        (("trainer.devices=1",), {"NNODES": "2", "NODE_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "1"}, 1),
        (("trainer.devices=1",), {"NNODES": "1"}, None),
        (("trainer.devices=2",), {"RANK": "0", "WORLD_SIZE": "1"}, 2),
    ],
)
def test_other_processes_are_started_than_asked_for(
    overrides: tuple[str, ...], variables: dict[str, str], number: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert launch.processes_to_start(mc.load_config(*overrides)) == number


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"NNODES": "2"}, "NNODES=2 is set without NODE_RANK, MASTER_ADDR, MASTER_PORT"),
        ({"NNODES": "2", "NODE_RANK": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1"}, "NODE_RANK=2 is impossible"),
        ({"RANK": "1", "WORLD_SIZE": "2"}, "WORLD_SIZE is set and LOCAL_RANK is not"),
    ],
)
def test_half_an_environment_starts_as_many_runs_as_machines(
    variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(mc.ConfigError, match=said):
        launch.processes_to_start(mc.load_config("trainer=ddp", "trainer.devices=2"))


def test_callbacks_of_a_notebook_are_dropped_where_they_cannot_go() -> None:
    config = mc.load_config(*SETTINGS, "trainer.devices=2", "logger=none")
    with pytest.raises(mc.ConfigError, match=r"Callback, given to fit\(\), cannot go along to 2 processes"):
        mc.fit(config, callbacks=[pl.Callback()])


DOCS, RESUMING = ((Path(__file__).parents[1] / "docs" / f"{name}.md").read_text() for name in ("distributed", "resume"))


@pytest.mark.parametrize("block", re.findall(r"```bash\n(.*?)```", DOCS + RESUMING, re.DOTALL))
def test_scripts_of_the_docs_would_not_start(block: str) -> None:
    assert subprocess.run(["bash", "-n"], input=block, text=True, check=False).returncode == 0
    for overrides in re.findall(r"-m mlops_cls\.train ([^#'&\n]*)", block):
        check(mc.load_config(*overrides.split()))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["trainer.sync_batchnorm=true"], r"trainer\.sync_batchnorm=true would not be used"),
        (["trainer=fsdp", "trainer.ema=0.9"], r"trainer\.ema=0\.9 needs the whole network"),
        (["trainer=fsdp", "runtime.compile=true"], r"set runtime\.compile=false"),
        (["trainer=fsdp", "runtime.precision=fp16"], "use bf16 or fp32"),
        (["trainer=fsdp", "model.pretrained=true", "model.freeze=true"], "use trainer=ddp"),
    ],
)
def test_what_several_processes_cannot_do_is_found_out_late(overrides: list[str], said: str) -> None:
    with pytest.raises(mc.ConfigError, match=said):
        mc.load_config(*overrides)


def test_one_process_cannot_go_on_where_two_were_interrupted(python: str, tmp_path: Path, alone: mc.Run) -> None:
    places = [f"data.store={tmp_path / 'prepared'}", f"run.folder={tmp_path / 'runs'}", "logger=none", EPOCHS]
    interrupting = "trainer.callbacks=[{_target_: watching.Interrupt}]"
    done = typed(python, tmp_path, "trainer=ddp", "trainer.devices=2", interrupting, *places)
    assert done.returncode == 75
    assert done.stderr.splitlines()[-1] == (
        "interrupted: kept after step 4, in epoch 1: the same command goes on from there"
    )
    folder = (tmp_path / "runs/latest").resolve()
    run = mc.fit(mc.load_config(*SETTINGS, *places, "run.resume=must", "run.accept_changes=true"))
    assert run.folder.resolve() == folder
    assert "trained before: 0 epochs, and 64 pictures of the next" in (folder / "train.log").read_text()
    for name, value in weights(alone).items():
        torch.testing.assert_close(weights(run)[name], value, rtol=1e-4, atol=1e-6)
    assert run.metrics == pytest.approx(alone.metrics, abs=1e-6)
