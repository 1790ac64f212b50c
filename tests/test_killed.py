"""A run that is killed outright, at any moment, is continued by the same command and ends as if it had not been."""

import csv
import json
import os
import subprocess
from pathlib import Path

import pytest
import torch

from mlops_cls.models.weights import read_checkpoint

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes to be killed are forked")
KILLS, EPOCHS = 20, 3

# Gives the command argv[3:] to forked processes, so that what takes seconds to import is imported once: undisturbed in
# argv[1]/whole, then in argv[1]/killed, where argv[2] of them are killed. Half of the moments are anywhere in time,
# the others at the opening, renaming or removing of a file, for checkpoints are written in little of the time.
PROGRAM = """
import json, os, random, signal, sys, time
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import torch

import mlops_cls.train
from mlops_cls import attempt, conclude, training  # noqa
from mlops_cls.cli import run_verb

home, kills, command = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir")


def start(place, kill_at_event=None):
    told, tell = os.pipe()
    process = os.fork()
    if process:
        os.close(tell)
        return process, told
    seen = 0

    def count(event, arguments):
        nonlocal seen
        if event in EVENTS and str(home) in str(arguments[0]):
            seen += 1
            if seen == kill_at_event:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    torch.set_num_threads(1)
    with open(home / f"{place}.txt", "a") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
        code = 0
        try:
            places = [f"data.store={home / place}/store", f"run.folder={home / place}/runs"]
            run_verb(mlops_cls.train.main, [*command, *places])
        except BaseException as error:
            code = getattr(error, "code", 1) or 1
            print(repr(error), flush=True)
        os.write(tell, str(seen).encode())
        (home / "imported").write_text("\\n".join(sys.modules))
        sys.stdout.flush()
        os._exit(code)


def end(process, told):
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    events = os.read(told, 20)
    os.close(told)
    assert code in (0, -signal.SIGKILL), code
    return code == 0, int(events or 0)


def kill_sometime(seconds, events):
    at_event = random.randint(1, events) if random.random() < 0.5 else None
    process, told = start("killed", at_event)
    if at_event is None:
        time.sleep(random.uniform(0, seconds))
        os.kill(process, signal.SIGKILL)
    # One that is killed between its last file and its end is finished too: the same command would begin another.
    return end(process, told)[0] or any((home / "killed").glob("runs/2*/metrics.json"))


def import_what_a_run_does():
    end(*start("first"))
    for name in (home / "imported").read_text().splitlines():
        with suppress(ImportError):
            import_module(name)


random.seed(0)
import_what_a_run_does()
began = time.monotonic()
done, events = end(*start("whole"))
seconds, killed, chains = time.monotonic() - began, 0, [0]
while killed < kills:
    if kill_sometime(seconds, events):
        (home / "killed").rename(home / f"finished{len(chains)}")
        chains.append(0)
    else:
        killed += 1
        chains[-1] += 1
assert end(*start("killed"))[0]
(home / "killed").rename(home / f"finished{len(chains)}")
print(json.dumps({"chains": chains, "events": events, "seconds": seconds}))
"""


def state(place: Path) -> tuple[dict[str, torch.Tensor], list[dict[str, str]], str]:
    # A process killed before it wrote down what it was asked for leaves an empty folder.
    (run,) = (path.parent for path in (place / "runs").glob("*/config.yaml") if not path.parent.is_symlink())
    tensors = {
        f"{name}/{key}": value
        for name in ("best", "last")
        for key, value in read_checkpoint(run / f"checkpoints/{name}.ckpt")["state_dict"].items()
    }
    with (run / "metrics.csv").open() as file:
        rows = [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]
    return tensors, rows, (run / "metrics.json").read_text()


def test_a_run_killed_at_any_moment_ends_in_other_weights_or_a_table_with_a_gap(python: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [
        "experiment=quickstart", "logger=none", "data.size=8", "data.subsample=0.2", "data.batch_size=32",
        f"trainer.max_epochs={EPOCHS}", "trainer.save_every=0.1s", "augment.mixup=0.2", "model.drop_rate=0.2",
        "trainer.ema=0.9", "data.workers=0",
    ]  # fmt: skip
    line = [python, str(tmp_path / "program.py"), str(tmp_path), str(KILLS), *command]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr + (tmp_path / "killed.txt").read_text()
    chains = json.loads(done.stdout)["chains"]
    assert sum(chains) == KILLS
    tensors, rows, metrics = state(tmp_path / "whole")
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(EPOCHS)]
    for number in range(1, len(chains) + 1):
        again = state(tmp_path / f"finished{number}")
        assert again[0].keys() == tensors.keys()
        assert [name for name, value in tensors.items() if not torch.equal(value, again[0][name])] == []
        assert again[1:] == (rows, metrics)
