"""Stand-ins of Slurm and LSF: commands that read a job script as the real ones do, and what runs it and its machines.

They refuse options they do not know, give a job its variables, warn it when a test says that its time is up, and start
it again as the script asked for. What they cannot show is whether a cluster grants what was asked for.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

NUMBER, WORD, QUOTED = r"\d+", r"[\w.-]+", r".+"
# What the manuals allow for the options in use.
SBATCH = {
    "--job-name": WORD, "--nodes": NUMBER, "--ntasks-per-node": NUMBER, "--cpus-per-task": NUMBER, "--mem": r"\d+G",
    "--time": r"\d+:[0-5]\d:[0-5]\d", "--partition": WORD, "--account": WORD, "--gpus-per-node": NUMBER,
    "--array": r"1-\d+(%\d+)?", "--signal": r"(B:)?[A-Z]+@\d+", "--requeue": None, "--open-mode": "append|truncate",
    "--mail-type": "NONE", "--output": QUOTED, "--qos": WORD,
}  # fmt: skip
BSUB = {
    "-J": r"[\w.-]+(\[1-\d+\](%\d+)?)?", "-n": NUMBER, "-R": r"span\[ptile=\d+\]|rusage\[mem=\d+GB/host\]",
    "-W": r"\d+:[0-5]\d", "-q": WORD, "-P": WORD, "-gpu": r"num=\d+:mode=(shared|exclusive_process)", "-wa": "[A-Z]+",
    "-wt": NUMBER, "-r": None, "-Q": r"[\d ]+", "-o": QUOTED,
}  # fmt: skip


def directives(script: str, prefix: str, known: dict[str, str | None]) -> dict[str, list[str]]:
    """Return the options in a script's first lines, up to the first command; an unknown or odd one is an error."""
    found: dict[str, list[str]] = {}
    for line in script.splitlines()[1:]:
        if line.strip() and not line.startswith("#"):
            break
        if not line.startswith(prefix + " "):
            continue
        option, *values = shlex.split(line.removeprefix(prefix + " "))
        name, _, value = option.partition("=") if option.startswith("--") else (option, "", "".join(values))
        assert name in known, f"{prefix} knows no {name}"
        assert re.fullmatch(known[name] or "", value), f"{prefix} {name} does not take {value!r}"
        found.setdefault(name, []).append(value)
    return found


@dataclass
class BatchSystem:
    """One scheduler: its commands in `folder/bin`, its queue in `folder/queue`, and how its jobs went.

    Args:
        folder: empty.
        name: slurm or lsf.
        machines: names of what a job is given.
    """

    folder: Path
    name: str
    machines: Sequence[str] = ("127.0.0.1",)
    codes: dict[int, list[int]] = field(default_factory=dict)
    """Exit codes of each task's attempts."""

    def __post_init__(self) -> None:
        (self.folder / "bin").mkdir(parents=True)
        (self.folder / "queue").mkdir()
        for command in ("sbatch", "scontrol", "srun") if self.name == "slurm" else ("bsub", "blaunch"):
            path = self.folder / "bin" / command
            path.write_text(f'#!/bin/bash\nexec {sys.executable} {__file__} {command} {self.folder} "$@"\n')
            path.chmod(0o755)

    @property
    def path(self) -> str:
        """PATH, with the commands."""
        return f"{self.folder / 'bin'}:{os.environ['PATH']}"

    def run(self, time_is_up: Callable[[int, int], bool] = lambda task, attempt: False) -> None:
        """Run what was submitted to its end; `time_is_up(task, attempt)`, both from 1 on, says when to warn a task."""
        (submitted,) = (self.folder / "queue").glob("*.json")
        job = json.loads(submitted.read_text())
        for task in range(1, job["tasks"] + 1):
            self.codes[task] = []
            while not self.codes[task] or self._again(job):
                self.codes[task].append(self._attempt(job, task, time_is_up))
                assert len(self.codes[task]) < 9

    def _attempt(self, job: dict[str, object], task: int, time_is_up: Callable[[int, int], bool]) -> int:
        attempt = len(self.codes[task]) + 1
        with Path(self._log(job, task)).open("ab") as log:
            line = ["bash", str(job["script"])]
            process = subprocess.Popen(
                line, env=self._variables(job, task), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
            until = time.monotonic() + 300
            warned = False
            while process.poll() is None:
                assert time.monotonic() < until
                if not warned and time_is_up(task, attempt):
                    self._warn(process.pid)
                    warned = True
                time.sleep(0.02)
            return process.returncode

    def _warn(self, script: int) -> None:
        """Slurm's B: tells the script alone, LSF every process of the job."""
        told = [psutil.Process(script)]
        if self.name == "lsf":
            told += told[0].children(recursive=True)
        for process in told:
            process.send_signal(signal.SIGTERM)

    def _again(self, job: dict[str, object]) -> bool:
        if self.name == "lsf":
            task = max(self.codes)
            return str(self.codes[task][-1]) in str(job["again"]).split()
        asked = self.folder / "queue" / "requeue"
        asked_for = asked.exists()
        asked.unlink(missing_ok=True)
        return asked_for

    def _log(self, job: dict[str, object], task: int) -> str:
        number = str(job["number"])
        values = {"%A": number, "%a": str(task), "%j": number, "%J": number, "%I": str(task)}
        return re.sub("%[AajJI]", lambda mark: values[mark[0]], str(job["log"]))

    def _variables(self, job: dict[str, object], task: int) -> dict[str, str]:
        number, several = str(job["number"]), int(str(job["tasks"])) > 1
        kept = os.environ | {"PATH": self.path, "OMP_NUM_THREADS": "1"}
        if self.name == "slurm":
            array = {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_JOB_ID": number} if several else {}
            own = str(int(number) + task - 1)
            machines = str(len(self.machines))
            shape = {"SLURM_CPUS_PER_TASK": str(job["cores"]), "SLURM_NTASKS_PER_NODE": "1", "SLURM_NTASKS": machines}
            shape |= {"SLURM_NNODES": machines, "SLURM_JOB_NODELIST": ",".join(self.machines)}
            first = {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_JOB_NAME": "test"}
            return kept | array | shape | first | {"SLURM_JOB_ID": own}
        slots = [machine for machine in self.machines for _ in range(int(str(job["cores"])))]
        hosts = self.folder / "hosts"
        hosts.write_text("".join(f"{slot}\n" for slot in slots))
        index = str(task if several else 0)
        return kept | {"LSB_JOBID": number, "LSB_JOBINDEX": index, "LSB_DJOB_HOSTFILE": str(hosts)}


def submit(folder: Path, script: str, job: dict[str, object]) -> None:
    place = folder / "queue" / "41.json"
    copy = place.with_suffix(".sh")
    copy.write_text(script)
    place.write_text(json.dumps({"number": 41, "script": str(copy), **job}))


def sbatch(folder: Path, file: str) -> None:
    script = Path(file).read_text()
    found = directives(script, "#SBATCH", SBATCH)
    assert "--requeue" in found and found["--signal"][0].startswith("B:TERM")
    tasks = int(found["--array"][0].partition("%")[0].removeprefix("1-")) if "--array" in found else 1
    submit(folder, script, {"tasks": tasks, "log": found["--output"][0], "cores": int(found["--cpus-per-task"][0])})
    print("Submitted batch job 41")


def scontrol(folder: Path, what: str, *arguments: str) -> None:
    if what == "requeue":
        (folder / "queue" / "requeue").touch()
    else:
        assert (what, arguments[0]) == ("show", "hostnames")
        print("\n".join(arguments[1].split(",")))


def srun(folder: Path, *arguments: str) -> None:
    options = [word for word in arguments[:4] if word.startswith("--")]
    assert [option.partition("=")[0] for option in options] == ["--nodes", "--ntasks", "--cpus-per-task", "--nodelist"]
    os.execvp(arguments[4], arguments[4:])


def bsub(folder: Path) -> None:
    script = sys.stdin.read()
    found = directives(script, "#BSUB", BSUB)
    assert found["-wa"] == ["TERM"] and found["-wt"]
    tasks = re.search(r"\[1-(\d+)\]", found["-J"][0])
    cores = re.search(r"ptile=(\d+)", " ".join(found["-R"]))
    assert cores
    values = {"tasks": int(tasks[1]) if tasks else 1, "log": found["-o"][0], "cores": int(cores[1])}
    submit(folder, script, values | {"again": found["-Q"][0]})
    print("Job <41> is submitted to default queue <hpc>.")


def blaunch(folder: Path, machine: str, *command: str) -> None:
    os.execvp(command[0], command)


if __name__ == "__main__":
    name, place, *rest = sys.argv[1:]
    globals()[name](Path(place), *rest)
