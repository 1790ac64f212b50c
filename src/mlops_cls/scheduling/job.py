"""What a job asks of a cluster, in no scheduler's words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops_cls.errors import ConfigError

WARNING = 3
"""Minutes before its end at which a job is told to keep its last step; Slurm may be one early."""
SHORTEST = 2 * WARNING
WORD = re.compile(r"[\w.,:/@+-]+", re.ASCII)
PATH = re.compile(r"[\w .,:/@+=-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """Machines for each task of a job, for how long, and what is done with the job.

    `gpus`, `cores` and `memory` (GB) are those of one machine; `at_once` is how many tasks may run at a time, and
    `restarts` how often a task that was interrupted is started again.
    """

    name: str
    folder: Path
    queue: str | None = None
    account: str | None = None
    nodes: int = 1
    gpus: int = 1
    cores: int = 4
    memory: int = 20
    minutes: int = 60
    tasks: int = 1
    at_once: int | None = None
    restarts: int = 20
    directives: Sequence[str] = ()

    def check(self) -> None:
        """Refuse what would be misread in a script.

        Raises:
            ConfigError: naming the option.
        """
        for option, value in {"--queue": self.queue, "--account": self.account}.items():
            if value is not None and not WORD.fullmatch(value):
                raise ConfigError(f"{option} {value!r} is impossible: letters, digits and . , : / @ + - _ are allowed")
        if not PATH.fullmatch(str(self.folder)):
            raise ConfigError(f"--folder {self.folder} has signs that schedulers take for their own: choose another")
        if self.minutes < SHORTEST:
            raise ConfigError(
                f"--hours is less than {SHORTEST} minutes, of which the last {WARNING} are for keeping the run"
            )
        for line in self.directives:
            if not re.fullmatch(r"-[^\r\n]+", line):
                raise ConfigError(f"--directive {line!r} is no option of a scheduler, such as --directive=--qos=high")

    @property
    def script(self) -> Path:
        """The job script, less the scheduler's ending."""
        return self.folder / self.name

    def clock(self, *, seconds: bool = False) -> str:
        """Return the time limit as hours:minutes, or hours:minutes:seconds."""
        return f"{self.minutes // 60}:{self.minutes % 60:02d}{':00' if seconds else ''}"


def job_name(names: Sequence[str]) -> str:
    """Return a name of letters that no scheduler and no shell takes for something else."""
    first = re.sub(r"[^\w.-]", "_", names[0], flags=re.ASCII).strip(".-") or "job"
    others = len(set(names)) - 1
    return f"{first}_and_{others}_more" if others else first
