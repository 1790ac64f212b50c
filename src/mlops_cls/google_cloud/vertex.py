"""``cloud vertex``: a training on Vertex AI, checked before it costs anything."""

import argparse
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_cls.choices import LoggerName, SourceKind, WandbMode
from mlops_cls.cli import positive
from mlops_cls.errors import ArtifactError, ConfigError
from mlops_cls.google_cloud.api import NoAnswerError, given_project, given_region
from mlops_cls.google_cloud.machines import GPUS, Machine, make_machine
from mlops_cls.google_cloud.prices import DATE, SOURCE
from mlops_cls.google_cloud.spec import Order, commit_label, given_labels, keep, label_of

if TYPE_CHECKING:
    from mlops_cls.config import Config

EXAMPLE = """examples:
  python -m mlops_cls.cloud vertex experiment=resnet18 --image europe-west4-docker.pkg.dev/lab/images/train:latest \\
      --bucket gs://lab-models --region europe-west4 --machine n1-standard-8 --gpu t4 --spot --dry-run
  python -m mlops_cls.cloud vertex experiment=skin_lesion data.root=/gcs/lab/HAM10000.zip --secret wandb --wait …

--dry-run needs no account. A job of the same name and bucket goes on with its run. Exit code 2: refused or failed."""
MOUNT = "/gcs/"


def main(arguments: list[str]) -> None:
    """Check settings, machine and job, say what it costs, and submit it."""
    options = _parser().parse_intermixed_args(arguments)
    order = _order(options)
    path = keep(options.folder / f"{order.name}.vertex.json", order.spec())
    typed = _typed(order, dry=options.dry_run)
    _say(order, path, options)
    if options.dry_run:
        return
    from mlops_cls.google_cloud.jobs import Jobs, cancel_line, look_line, watch_job

    project, region = given_project(options.project), given_region(options.region)
    jobs = Jobs(project, region)
    try:
        name = jobs.submit(typed)
    except NoAnswerError as error:
        listing = f"gcloud ai custom-jobs list --project={project} --region={region}"
        raise ArtifactError(f"{error}: whether the job was taken is told by {listing}") from error
    print(f"job     {name}\nlook    {look_line(name)}\nend     {cancel_line(name)}", flush=True)
    if options.wait:
        watch_job(jobs, name)


def _order(options: argparse.Namespace) -> Order:
    machine = make_machine(options.machine, options.gpu, options.gpus)
    settings = [*options.overrides, *_secret(options)]
    config = _checked(settings, machine, options.replicas)
    for problem in _misplaced(config):
        raise ConfigError(problem)
    for remark in _remarks(config):
        print(f"note: {remark}")
    order = Order(
        name=label_of(config.run.name),
        settings=settings,
        image=options.image,
        bucket=options.bucket,
        machine=machine,
        replicas=options.replicas,
        spot=options.spot,
        hours=options.hours,
        disk=options.disk,
        service_account=options.service_account,
        labels=_labels(config, options.label),
    )
    order.check()
    return order


def _secret(options: argparse.Namespace) -> list[str]:
    """Return the setting that names W&B's key; the key itself is never a part of a job."""
    key = os.environ.get("WANDB_API_KEY")
    if key and any(key in word for word in (*options.overrides, *options.label)):
        raise ConfigError(
            "the W&B key itself stands in the command, and all that see the job would see it: use --secret"
        )
    if options.secret is None:
        return []
    if "/" in options.secret:
        return [f"logger.secret={options.secret}"]
    return [f"logger.secret=projects/{given_project(options.project)}/secrets/{options.secret}"]


def _checked(settings: Sequence[str], machine: Machine, replicas: int) -> "Config":
    from mlops_cls.build import check
    from mlops_cls.compose import load_config
    from mlops_cls.scheduling.fits import misfits

    config = load_config(*settings)
    check(config)
    problems = list(misfits(config, machine.gpus, replicas))
    if problems:
        raise ConfigError("\n".join(problems))
    return config


def _misplaced(config: "Config") -> Iterator[str]:
    """Yield what would not be found in the container."""
    data = config.data
    if data.source is SourceKind.local and data.name != "digits" and not str(data.root).startswith(MOUNT):
        yield (
            f"data.root={data.root} is a place of this machine: gcloud storage cp it to a bucket and give "
            f"data.root={MOUNT}BUCKET/FILE.zip, or use data.source=gs"
        )
    if config.model.weights and not config.model.weights.startswith(MOUNT):
        yield f"model.weights={config.model.weights} is on this machine: copy it to a bucket, {MOUNT}BUCKET/FILE"


def _remarks(config: "Config") -> Iterator[str]:
    logger = config.logger
    if logger.name is LoggerName.wandb and logger.secret is None and logger.mode is not WandbMode.offline:
        yield "W&B gets nothing until python -m mlops_cls.sync: --secret NAME names its key in Secret Manager"


def _labels(config: "Config", given: Sequence[str]) -> dict[str, str]:
    return {"run": label_of(config.run.name), "data": label_of(config.data.name)} | commit_label() | given_labels(given)


def _typed(order: Order, *, dry: bool) -> object:
    from mlops_cls.google_cloud.jobs import check_types

    try:
        return check_types(order.job())
    except ConfigError as error:
        if dry and isinstance(error.__cause__, ImportError):
            print(f"note: not checked against the API's types: {error}")
            return None
        raise


def _say(order: Order, path: Path, options: argparse.Namespace) -> None:
    machine = order.machine
    gpus = f" with {machine.gpus} {machine.gpu}" if machine.gpu else ""
    replicas = f"{order.replicas} machines " if order.replicas > 1 else ""
    print(f"written {path}: {replicas}{machine.type}{gpus}{', spot' if order.spot else ''}")
    print(f"costs   {_cost(order)}")
    print(f"output  {order.output}/checkpoints and /model")
    places = {"--project": options.project, "--region": options.region}
    known = [f"{key}={value}" for key, value in places.items() if value]
    labels = ",".join(f"{key}={value}" for key, value in order.labels.items())
    line = [*known, f"--display-name={order.name}", f"--labels={labels}", f"--config={path}"]
    print(f"gcloud  {shlex.join(['gcloud', 'ai', 'custom-jobs', 'create', *line])}")


def _cost(order: Order) -> str:
    if order.price is None:
        return f"not known here for {order.machine.type}: {SOURCE}"
    spot = "; spot machines cost less" if order.spot else ""
    most = f"{order.hours * order.price:.2f} at most (--hours {order.hours:g})"
    return f"about {order.price:.2f} USD an hour, {most}; an estimate by list prices of us-central1, {DATE}{spot}"


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = 0
    if not 0 < hours <= 24 * 7:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of hours up to 168, a week")
    return hours


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_cls.cloud vertex",
        description="Train on Vertex AI: write the job, check it, say what it costs, and submit it.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("overrides", nargs="*", help="settings as of mlops_cls.train, such as experiment=resnet18")
    parser.add_argument("--image", required=True, help="train image in Artifact Registry")
    parser.add_argument("--bucket", required=True, metavar="gs://…", help="checkpoints and model go to a folder in it")
    parser.add_argument("--machine", default="n1-standard-8", help="machine type (default n1-standard-8)")
    parser.add_argument("--gpu", help=f"{', '.join(GPUS)} (default: none, or what is built in)")
    parser.add_argument("--gpus", type=positive, metavar="N", help="of each machine (default 1, or what is built in)")
    parser.add_argument(
        "--replicas", type=positive, metavar="N", default=1, help="machines (default 1); more want trainer=ddp"
    )
    parser.add_argument("--spot", action="store_true", help="machines that cost less and may be taken away")
    parser.add_argument(
        "--hours", type=_hours, metavar="H", default=24.0, help="after which the job is ended (default 24)"
    )
    parser.add_argument("--disk", type=positive, default=100, metavar="GB", help="of each machine (default 100)")
    parser.add_argument("--project", help="Google Cloud project (default $GOOGLE_CLOUD_PROJECT)")
    parser.add_argument("--region", help="such as europe-west4; that of the bucket")
    parser.add_argument("--service-account", metavar="ADDRESS", help="as which the job runs (default: Vertex AI's own)")
    parser.add_argument("--secret", metavar="NAME", help="W&B key's name in Secret Manager, read when the run starts")
    parser.add_argument("--label", action="append", default=[], metavar="KEY=VALUE", help="to find it in the bill")
    parser.add_argument("--folder", type=Path, default=Path("jobs"), help="of the written job (default jobs)")
    parser.add_argument("--dry-run", action="store_true", help="submit nothing; needs no account")
    parser.add_argument("--wait", action="store_true", help="show states and output until the job ends")
    return parser
