"""IBM Spectrum LSF: https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=bsub-options."""

from mlops_cls.scheduling.job import WARNING, Job
from mlops_cls.scheduling.scheduler import Scheduler


def directives(job: Job, log: str) -> list[str]:
    """Return bsub's options; with a file for the output (-o) LSF sends no mail."""
    tasks = f"[1-{job.tasks}]{f'%{job.at_once}' if job.at_once else ''}" if job.tasks > 1 else ""
    lines = [f'-J "{job.name}{tasks}"', f"-n {job.nodes * job.cores}", f'-R "span[ptile={job.cores}]"']
    # Without a word for it, a cluster's own setting decides whether memory is that of a core, a machine or the job.
    lines += [f'-R "rusage[mem={job.memory}GB/host]"', f"-W {job.clock()}"]
    lines += [f"-q {job.queue}"] if job.queue else []
    lines += [f"-P {job.account}"] if job.account else []
    lines += [f'-gpu "num={job.gpus}:mode=exclusive_process"'] if job.gpus else []
    lines += ["-wa TERM", f"-wt {WARNING}", "-r", "-Q 75"]
    return [*lines, f'-o "{log}"', *job.directives]


LSF = Scheduler(
    name="lsf",
    prefix="#BSUB",
    directives=directives,
    job_id="$LSB_JOBID-$LSB_JOBINDEX",
    index="$LSB_JOBINDEX",
    hosts="""awk '!seen[$0]++' "$LSB_DJOB_HOSTFILE\"""",
    elsewhere='blaunch "${hosts[$rank]}"',
    again="",  # -Q 75
    submit="bsub",
    stdin=True,
    state="bjobs",
    log=("%J.out", "%J_%I.out"),
)
