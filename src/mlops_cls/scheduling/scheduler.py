"""What a job script needs to know of a scheduler; Slurm and LSF are two values of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlops_cls.scheduling.job import Job


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheduler:
    """The words of one scheduler, those within a script as bash reads them.

    Args:
        name: as it is typed.
        prefix: begins a line of the script that the scheduler reads.
        directives: the options of these lines.
        job_id: number of the job, of a task's own where tasks have none in common.
        index: number of the task, from 1.
        hosts: command that prints the job's machines, the one of the script first.
        elsewhere: starts what follows it on the machine "${hosts[$rank]}".
        again: ends the script so that the job is queued once more.
        submit: begins the command that takes the script.
        stdin: whether it is read from standard input.
        state: command that shows one's jobs.
        log: ending of the log's name, for a job and for a task of several, as the scheduler fills it in.
    """

    name: str
    prefix: str
    directives: Callable[[Job, str], Sequence[str]]
    job_id: str
    index: str
    hosts: str
    elsewhere: str
    again: str
    submit: str
    stdin: bool
    state: str
    log: tuple[str, str]

    def log_of(self, job: Job) -> str:
        """Return where the output of a task goes."""
        return f"{job.script}-{self.log[job.tasks > 1]}"

    def submit_line(self, script: str) -> str:
        """Return what to type for a script, whose name is quoted already."""
        return f"{self.submit} {'< ' if self.stdin else ''}{script}"
