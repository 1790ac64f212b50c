"""A job script: bash that starts a run, tells it when its time is up, and has it started again."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops_cls.errors import Interrupted
from mlops_cls.scheduling.job import Job
from mlops_cls.scheduling.scheduler import Scheduler

AGAIN = Interrupted.exit_code


@dataclass(frozen=True, slots=True)
class Task:
    """One command of a job, and, where data are to lie on the machine's own disk, which prepared ones are copied."""

    words: tuple[str, ...]
    prepared: str | None = None

    @property
    def lines(self) -> list[str]:
        """The task as bash."""
        copied = [] if self.prepared is None else [f"prepared=({self.prepared})"]
        return [f"command=({shlex.join(self.words)})", *copied]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where the script runs: its folder, lines of bash to run there first, and how it came to be."""

    folder: Path
    setup: Sequence[str]
    made_by: str


def write_script(scheduler: Scheduler, job: Job, tasks: Sequence[Task], around: Surroundings) -> str:
    """Return the script; `job.tasks` of several equal ones may share a single task."""
    directives = [f"{scheduler.prefix} {line}" for line in scheduler.directives(job, scheduler.log_of(job))]
    parts = [
        ["#!/bin/bash", f"# {around.made_by}".replace("\n", " "), *directives],
        [f"cd -- {shlex.quote(str(around.folder))} || exit 1", *around.setup],
        [
            f'started="{job.script}-{scheduler.job_id}.started"',
            """echo "$(date '+%F %T') on $(hostname)" >> "$started\"""",
        ],
        _choice(scheduler, tasks),
        _staging(tasks),
        _start(scheduler, job),
        _wait(),
        _end(scheduler, job),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _choice(scheduler: Scheduler, tasks: Sequence[Task]) -> list[str]:
    if len(tasks) == 1:
        return tasks[0].lines
    branches = [f"  {number}) {'; '.join(task.lines)} ;;" for number, task in enumerate(tasks, 1)]
    nothing = f'  *) echo "this job has no task {scheduler.index}" >&2; exit 2 ;;'
    return [f'case "{scheduler.index}" in', *branches, nothing, "esac"]


def _staging(tasks: Sequence[Task]) -> list[str]:
    if tasks[0].prepared is None:
        return []
    return [
        "# On the machine's own disk: what is prepared already is copied, the rest is prepared there.",
        'scratch=$(mktemp -d "${TMPDIR:-/tmp}/mlops_cls.XXXXXX") || exit 1',
        """trap 'rm -rf -- "$scratch"' EXIT""",
        'for folder in "${prepared[@]}"; do',
        '  [ ! -d "$folder" ] || cp -r -- "$folder" "$scratch"',
        "done",
        """command+=("data.store='$scratch'")""",
    ]


def _start(scheduler: Scheduler, job: Job) -> list[str]:
    if job.nodes == 1:
        return ['"${command[@]}" &', *_hand_on("The run keeps its last step when it is told to end")]
    port = f"$((20000 + {scheduler.job_id.partition('-')[0].removeprefix('$')} % 20000))"
    return [
        "# One command for each machine; each starts a process for each of its GPUs.",
        f"mapfile -t hosts < <({scheduler.hosts})",
        f'meeting=(env NNODES="${{#hosts[@]}}" MASTER_ADDR="${{hosts[0]}}" MASTER_PORT="{port}")',
        'for rank in "${!hosts[@]}"; do',
        '  [ "$rank" -eq 0 ] && continue',
        f'  {scheduler.elsewhere} "${{meeting[@]}}" NODE_RANK="$rank" "${{command[@]}}" &',
        "done",
        '"${meeting[@]}" NODE_RANK=0 "${command[@]}" &',
        *_hand_on("Told here, the processes on all machines keep their last step"),
    ]


def _hand_on(why: str) -> Iterator[str]:
    yield "child=$!"
    yield f"# {why}, and the command ends with code {AGAIN}."
    yield """trap 'kill -TERM "$child"' TERM"""


def _wait() -> list[str]:
    return [
        'wait "$child"',
        "# A signal ends a wait early; the last one tells the code.",
        'while kill -0 "$child" 2> /dev/null; do wait "$child"; done',
        'wait "$child"',
        "code=$?",
    ]


def _end(scheduler: Scheduler, job: Job) -> list[str]:
    lines = [f'case "$code" in 0 | {AGAIN}) wait ;; esac  # the other machines'] if job.nodes > 1 else []
    lines += [
        f'if [ "$code" -eq {AGAIN} ] && [ "$(wc -l < "$started")" -gt {job.restarts} ]; then',
        f'  echo "interrupted once more after {job.restarts} restarts: submit this job again to go on" >&2',
        "  code=1",
        "fi",
    ]
    lines += [f'[ "$code" -ne {AGAIN} ] || {scheduler.again}'] if scheduler.again else []
    return [*lines, 'exit "$code"']
