"""``cloud build``: the images of this checkout, built and pushed by Cloud Build."""

import argparse
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlops_cls.cli import positive
from mlops_cls.errors import ArtifactError, ConfigError
from mlops_cls.google_cloud.api import Api, NoAnswerError, known_project, message_of
from mlops_cls.google_cloud.building import ACCELERATORS, IMAGES, MACHINES, REPOSITORY, Building, file_of
from mlops_cls.google_cloud.checkout import Checkout
from mlops_cls.google_cloud.spec import BUCKET, keep
from mlops_cls.google_cloud.uploading import put_files
from mlops_cls.google_cloud.watching import Logs, watch

EXAMPLE = """examples:
  python -m mlops_cls.cloud build --repository europe-west4-docker.pkg.dev/lab/images --dry-run
  python -m mlops_cls.cloud build api --repository europe-west4-docker.pkg.dev/lab/images
  python -m mlops_cls.cloud build train --repository europe-west4-docker.pkg.dev/lab/images --accelerator cpu

What is built is the commit: files that differ from it are refused. Exit code 2: refused, or the build failed."""
ENDED = {"SUCCESS", "FAILURE", "INTERNAL_ERROR", "TIMEOUT", "CANCELLED", "EXPIRED"}
DOCTOR = "python -m mlops_cls.cloud doctor --for build says what is missing"
PRICES = "https://cloud.google.com/build/pricing"


def main(arguments: list[str]) -> None:
    """Check the build and the checkout, send its files, submit the build and watch it."""
    options = _parser().parse_args(arguments)
    checkout = Checkout.of(Path.cwd())
    building = Building(
        repository=options.repository.rstrip("/"),
        images=options.images or IMAGES,
        commit=checkout.commit,
        accelerator=options.accelerator,
        machine=options.machine,
        minutes=options.minutes,
    )
    building.check()
    _check_files(checkout, building)
    project = _project(options, building)
    bucket = _bucket(options, project)
    path = keep(options.folder / "images.build.json", building.build())
    _say(building, path, project, bucket, options)
    if options.dry_run:
        return
    try:
        _build(checkout, building, project, bucket, options)
    except NoAnswerError as error:
        listing = f"gcloud builds list --project={project} --region={options.region}"
        raise ArtifactError(f"{error}: whether the build was taken is told by {listing}") from error


def _build(checkout: Checkout, building: Building, project: str, bucket: str, options: argparse.Namespace) -> None:
    source = _send(checkout, bucket)
    api, place = Api(), f"/v1/projects/{project}/locations/{options.region}/builds"
    status, answer = api.ask("cloudbuild", place, {**building.build(), "source": {"storageSource": source}})
    if status != 200:
        raise ConfigError(f"Cloud Build refuses: {message_of(answer)}; {DOCTOR}")
    build = answer["metadata"]["build"]
    print(f"build   {build['id']}\nlook    {build.get('logUrl', '')}\nend     {_cancel(build['id'], project, options)}")
    if options.wait:
        _watch(api, f"{place}/{build['id']}", project, _look(build["id"], project, options))


def _send(checkout: Checkout, bucket: str) -> dict[str, str]:
    """Put the commit's files into the bucket, unless they are there; return the StorageSource."""
    name = f"{checkout.commit}.tar.gz"
    with tempfile.TemporaryDirectory() as folder:
        checkout.pack(Path(folder) / name)
        sent = put_files({name: Path(folder) / name}, bucket, unless=name)
    print(f"source  {bucket}/{name}{'' if sent else ', which was there'}", flush=True)
    place, _, inside = f"{bucket}/{name}".removeprefix("gs://").partition("/")
    return {"bucket": place, "object": inside}


def _watch(api: Api, path: str, project: str, look: str) -> None:
    last: dict[str, Any] = {}

    def state() -> tuple[str, str]:
        status, answer = api.ask("cloudbuild", path)
        if status != 200:
            raise ConfigError(f"the build cannot be watched: {message_of(answer)}; it goes on: {look}")
        last.update(answer)
        return str(answer["status"]), _reason(answer)

    logs = Logs(project, f'resource.type="build" AND resource.labels.build_id="{path.rpartition("/")[2]}"')
    ended, reason = watch(state, logs, ended=ENDED, look=look)
    if ended != "SUCCESS":
        raise ArtifactError(f"the build ended as {ended.lower()}{': ' + reason if reason else ''}; {look}")
    for image in last.get("results", {}).get("images", ()):
        print(f"pushed  {image['name']} {image.get('digest', '')}")


def _reason(build: Mapping[str, Any]) -> str:
    failed = [step["id"] for step in build.get("steps", ()) if step.get("status") in ("FAILURE", "TIMEOUT")]
    said = build.get("failureInfo", {}).get("detail") or build.get("statusDetail") or ""
    return ": ".join(filter(None, (", ".join(failed), said)))


def _check_files(checkout: Checkout, building: Building) -> None:
    missing = [file_of(image) for image in building.images if not checkout.has(file_of(image))]
    if missing:
        raise ConfigError(f"{checkout.folder} has no {' and no '.join(missing)}: is it a checkout of mlops_cls?")


def _project(options: argparse.Namespace, building: Building) -> str:
    """Return the project that builds; unless another is given, that of the repository."""
    found = REPOSITORY.fullmatch(building.repository)
    assert found is not None
    return known_project(options.project) or found["project"]


def _bucket(options: argparse.Namespace, project: str) -> str:
    bucket = (options.bucket or f"gs://{project}_cloudbuild/source").rstrip("/")
    if not BUCKET.fullmatch(bucket):
        raise ConfigError(f"--bucket {bucket} is no bucket or folder of one, such as gs://BUCKET/source")
    return str(bucket)


def _say(building: Building, path: Path, project: str, bucket: str, options: argparse.Namespace) -> None:
    print(f"written {path}: {' and '.join(building.images)} of commit {building.tag}, on {building.machine}")
    for image in building.images:
        print(f"image   {' and '.join(building.names(image))}")
    print(f"costs   minutes of {building.machine}, {building.minutes} at most, and what the images take up: {PRICES}")
    line = ["gcloud", "builds", "submit", ".", f"--config={path}", f"--gcs-source-staging-dir={bucket}"]
    print(f"gcloud  {shlex.join([*line, *_places(project, options)])}", flush=True)


def _places(project: str, options: argparse.Namespace) -> list[str]:
    return [f"--project={project}", f"--region={options.region}"]


def _look(build: str, project: str, options: argparse.Namespace) -> str:
    return shlex.join(["gcloud", "builds", "describe", build, *_places(project, options)])


def _cancel(build: str, project: str, options: argparse.Namespace) -> str:
    return shlex.join(["gcloud", "builds", "cancel", build, *_places(project, options)])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_cls.cloud build",
        description="Build the images of this checkout by Cloud Build, tagged by the commit and as latest.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("images", nargs="*", metavar="IMAGE", help=f"{' or '.join(IMAGES)} (default: all)")
    add("--repository", required=True, metavar="REGION-docker.pkg.dev/PROJECT/REPOSITORY", help="where they are pushed")
    add("--accelerator", default="cuda", help=f"of the train image: {' or '.join(ACCELERATORS)} (default cuda)")
    add("--machine", default="e2-highcpu-8", help=f"{', '.join(MACHINES)} (default e2-highcpu-8)")
    add("--minutes", type=positive, default=60, metavar="N", help="after which the build is ended (default 60)")
    add("--bucket", metavar="gs://…", help="for the source (default gs://PROJECT_cloudbuild/source, as gcloud's)")
    add("--project", help="that builds (default $GOOGLE_CLOUD_PROJECT, else that of the repository)")
    add("--region", default="global", help="that builds (default global)")
    add("--folder", type=Path, default=Path("jobs"), help="of the written build (default jobs)")
    add("--dry-run", action="store_true", help="send and build nothing; needs no account")
    add("--wait", action=argparse.BooleanOptionalAction, default=True, help="show the log until it ends (default)")
    return parser
