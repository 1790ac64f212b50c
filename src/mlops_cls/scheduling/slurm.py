"""Slurm: https://slurm.schedmd.com/sbatch.html.

The warning goes to the script alone (B:), which hands it to the run. Sent to a job step instead, SIGTERM would reach
every process in it, and mark the step as cancelled, which hides the run's exit code.
"""

from mlops_cls.scheduling.job import WARNING, Job
from mlops_cls.scheduling.scheduler import Scheduler


def directives(job: Job, log: str) -> list[str]:
    """Return sbatch's options."""
    lines = [f"--job-name={job.name}", f"--nodes={job.nodes}", "--ntasks-per-node=1", f"--cpus-per-task={job.cores}"]
    lines += [f"--mem={job.memory}G", f"--time={job.clock(seconds=True)}"]
    lines += [f"--partition={job.queue}"] if job.queue else []
    lines += [f"--account={job.account}"] if job.account else []
    lines += [f"--gpus-per-node={job.gpus}"] if job.gpus else []
    if job.tasks > 1:
        lines.append(f"--array=1-{job.tasks}{f'%{job.at_once}' if job.at_once else ''}")
    lines += [f"--signal=B:TERM@{60 * WARNING}", "--requeue", "--open-mode=append", "--mail-type=NONE"]
    return [*lines, f'--output="{log}"', *job.directives]


SLURM = Scheduler(
    name="slurm",
    prefix="#SBATCH",
    directives=directives,
    job_id="$SLURM_JOB_ID",
    index="$SLURM_ARRAY_TASK_ID",
    hosts='scontrol show hostnames "$SLURM_JOB_NODELIST"',
    # Since Slurm 22.05 a step no longer takes the job's number of cores for its own.
    elsewhere='srun --nodes=1 --ntasks=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" --nodelist="${hosts[$rank]}"',
    again='scontrol requeue "$SLURM_JOB_ID"',
    submit="sbatch",
    stdin=False,
    state="squeue --me",
    log=("%j.out", "%A_%a.out"),
)
