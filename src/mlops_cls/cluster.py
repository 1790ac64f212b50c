"""Train on a cluster: ``python -m mlops_cls.cluster slurm experiment=resnet18 --gpus 1 --hours 1``."""

import argparse
import math
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_cls.cli import positive, run_verb
from mlops_cls.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from mlops_cls.scheduling.job import Job
    from mlops_cls.scheduling.scheduler import Scheduler
    from mlops_cls.scheduling.tasks import Wishes, Work

EXAMPLE = """examples:
  python -m mlops_cls.cluster slurm experiment=resnet18 --gpus 1 --hours 1
  python -m mlops_cls.cluster lsf experiment=resnet18 --queue gpuv100 --gpus 1 --hours 1 --submit
  python -m mlops_cls.cluster slurm -m experiment=quickstart optim.lr=1e-3,3e-3 --gpus 0 --at-once 4
  python -m mlops_cls.cluster slurm experiment=resnet18 trainer=ddp --nodes 2 --gpus 4 --hours 12
  python -m mlops_cls.cluster slurm --sweep configs/sweep.yaml --count 40 --agents 4 --gpus 0 logger=none

What is wrong with the settings is said before anything is written. A run whose time is up goes on in the next job."""


def main(arguments: list[str]) -> None:
    """Check what is to run, write the job script, and submit it if asked to."""
    options = _parser().parse_intermixed_args(arguments)
    from mlops_cls.scheduling.script import Surroundings, write_script
    from mlops_cls.scheduling.tasks import make_work

    scheduler = _scheduler(options.scheduler)
    setup, python = _environment(options.setup)
    work = make_work(_wishes(options), python)
    job = _job(options, work)
    made_by = shlex.join(["python", "-m", "mlops_cls.cluster", *arguments])
    text = write_script(scheduler, job, work.tasks, Surroundings(Path.cwd(), setup, made_by))
    path = _keep(job.script.with_name(f"{job.name}.{scheduler.name}.sh"), text)
    _say(scheduler, job, work, path)
    if options.submit:
        _submit(scheduler, path)


def _scheduler(name: str) -> "Scheduler":
    from mlops_cls.scheduling.lsf import LSF
    from mlops_cls.scheduling.slurm import SLURM

    return {"slurm": SLURM, "lsf": LSF}[name]


def _environment(setup: Sequence[str]) -> tuple[list[str], str]:
    """Return the lines that make Python and this package found, and Python's name: by default those of this process."""
    if setup:
        return list(setup), "python"
    interpreter = Path(sys.executable)
    name = "python" if interpreter.with_name("python").exists() else interpreter.name
    return [f'export PATH={shlex.quote(str(interpreter.parent))}:"$PATH"'], name


def _wishes(options: argparse.Namespace) -> "Wishes":
    from dataclasses import fields

    from mlops_cls.scheduling.tasks import Wishes

    return Wishes(**{wish.name: getattr(options, wish.name) for wish in fields(Wishes)})


def _job(options: argparse.Namespace, work: "Work") -> "Job":
    from mlops_cls.scheduling.job import Job, job_name

    cores = options.cores or 4 * max(options.gpus, 1)
    job = Job(
        name=job_name(work.names),
        folder=options.folder.resolve(),
        queue=options.queue,
        account=options.account,
        nodes=options.nodes,
        gpus=options.gpus,
        cores=cores,
        memory=options.memory or 5 * cores,
        minutes=math.ceil(60 * options.hours),
        tasks=work.number,
        at_once=options.at_once,
        restarts=options.restarts,
        directives=options.directive,
    )
    job.check()
    return job


def _keep(path: Path, text: str) -> Path:
    from mlops_cls.atomic import write_text

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise ArtifactError(f"{path} cannot be written ({error.strerror}): give --folder FOLDER") from error
    return path


def _say(scheduler: "Scheduler", job: "Job", work: "Work", path: Path) -> None:
    for remark in work.remarks:
        print(f"note: {remark}")
    print(f"written {_short(path)}: {_size(job)}")
    print(f"submit  {scheduler.submit_line(shlex.quote(_short(path)))}")
    print(f"look    {scheduler.state}    output: {_short(Path(scheduler.log_of(job)))}")
    for folder in work.offline:
        print(f"after   {shlex.join(['python', '-m', 'mlops_cls.sync', folder])}    sends the runs to W&B")


def _size(job: "Job") -> str:
    tasks = f"{job.tasks} tasks, each " if job.tasks > 1 else ""
    machines = f"{job.nodes} machines with " if job.nodes > 1 else ""
    gpus = {0: "", 1: "1 GPU, "}.get(job.gpus, f"{job.gpus} GPUs, ")
    return f"{tasks}{machines}{gpus}{job.cores} cores, {job.memory} GB; {job.clock()} hours"


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _submit(scheduler: "Scheduler", path: Path) -> None:
    if shutil.which(scheduler.submit) is None:
        raise ConfigError(f"--submit: there is no {scheduler.submit} here; log in where it is, or leave --submit out")
    command = [scheduler.submit] if scheduler.stdin else [scheduler.submit, str(path)]
    with path.open("rb") as script:
        done = subprocess.run(command, stdin=script, check=False)
    if done.returncode:
        raise ArtifactError(
            f"{scheduler.submit} has refused the job (exit code {done.returncode}); its reason is above"
        )


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = 0
    if not 0 < hours < 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of hours, such as 1 or 0.5")
    return hours


def _number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_cls.cluster",
        description="Write the job script of a training or a sweep for Slurm or LSF, and submit it.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scheduler", choices=("slurm", "lsf"))
    parser.add_argument("overrides", nargs="*", help="settings as of mlops_cls.train, such as experiment=resnet18")
    what = parser.add_argument_group("what is to run, if not one training")
    what.add_argument("-m", "--multirun", action="store_true", help="a task for each combination, as with train -m")
    what.add_argument("--sweep", metavar="FILE", help="agents of mlops_cls.sweep, which share its trials")
    what.add_argument("--wandb-agent", metavar="ENTITY/PROJECT/ID", help="agents of a sweep that wandb sweep has made")
    what.add_argument("--agents", type=positive, metavar="N", help="of a sweep, at the same time (default 1)")
    what.add_argument(
        "--count", type=positive, metavar="N", help="trials of the sweep in all; with --wandb-agent, of each agent"
    )
    what.add_argument("--config-dir", metavar="FOLDER", help="yaml files of your own, as of mlops_cls.train")
    machine = parser.add_argument_group("machines")
    machine.add_argument("--queue", metavar="NAME", help="queue of LSF, partition of Slurm (default: the cluster's)")
    machine.add_argument("--account", metavar="NAME", help="account of Slurm, project of LSF, that pays")
    machine.add_argument("--gpus", type=_number, metavar="N", default=1, help="of each machine (default 1; 0 for none)")
    machine.add_argument("--nodes", type=positive, metavar="N", default=1, help="machines of each task (default 1)")
    machine.add_argument("--cores", type=positive, metavar="N", help="of each machine (default 4 for each GPU)")
    machine.add_argument("--memory", type=positive, metavar="GB", help="of each machine (default 5 for each core)")
    machine.add_argument(
        "--hours", type=_hours, metavar="H", default=1, help="until the job ends, and goes on in a next one"
    )
    machine.add_argument("--at-once", type=positive, metavar="N", help="tasks that may run at a time (default: all)")
    machine.add_argument(
        "--restarts", type=_number, metavar="N", default=20, help="of a task whose time was up (default 20)"
    )
    script = parser.add_argument_group("script")
    script.add_argument(
        "--setup", action="append", default=[], metavar="LINE", help="bash to run first, such as 'module load python'"
    )
    script.add_argument(
        "--directive", action="append", default=[], metavar="OPTION", help="a further option, --directive=--qos=high"
    )
    script.add_argument("--stage", action="store_true", help="keep prepared data on the machine's own disk")
    script.add_argument("--offline", action="store_true", help="machines without network: W&B is sent all later")
    script.add_argument("--folder", type=Path, default=Path("jobs"), help="of scripts and output (default jobs)")
    script.add_argument("--submit", action="store_true", help="give it to the scheduler")
    return parser


if __name__ == "__main__":
    run_verb(main)
