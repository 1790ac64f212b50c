"""``cloud run``: a bundle as a service on Cloud Run, which gets traffic once it has answered well."""

import argparse
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops_cls.bundle import Bundle
from mlops_cls.cli import positive
from mlops_cls.errors import ArtifactError, ConfigError
from mlops_cls.google_cloud.api import Api, NoAnswerError, given_project, given_region, message_of
from mlops_cls.google_cloud.deployment import KEYS, Deployment
from mlops_cls.google_cloud.identity import identity_token
from mlops_cls.google_cloud.placing import find_bundle, put_bundle
from mlops_cls.google_cloud.question import Question
from mlops_cls.google_cloud.rollout import Prepared, kept, prepare, promote, roll_back
from mlops_cls.google_cloud.run_order import make_deployment
from mlops_cls.google_cloud.run_words import announce, back_line, places
from mlops_cls.google_cloud.services import CloudRun
from mlops_cls.google_cloud.spec import keep

EXAMPLE = """examples:
  python -m mlops_cls.cloud run gs://lab-models/skin/9daa1f0f3bef --service skin \\
      --image europe-west4-docker.pkg.dev/lab/images/api:latest --project lab --region europe-west4 --dry-run
  python -m mlops_cls.cloud run runs/latest/bundle --to gs://lab-models/served --image … --service skin --public \\
      --secret SERVE_API_KEYS=skin-keys --setting backend=auto
  python -m mlops_cls.cloud run --service skin --project lab --region europe-west4 --rollback

A new revision gets no traffic until it has answered. If it fails, the old one serves on, and the exit code is 2."""


def main(arguments: list[str]) -> None:
    """Check the bundle and the service, say what it costs, deploy it, ask it, and give it the traffic."""
    options = _parser().parse_args(arguments)
    if options.rollback:
        return _roll_back(options)
    _complete(options)
    # All that costs no time is checked before the bundle is fetched.
    model, bundle = find_bundle(options.bundle, options.to, dry=True)
    make_deployment(options, model, bundle).check()
    if not options.dry_run:
        model, bundle = find_bundle(options.bundle, options.to, dry=False)
    deployment = make_deployment(options, model, bundle)
    service = deployment.service(deployment.revision(datetime.now(UTC)))
    path = keep(options.folder / f"{deployment.name}.run.json", service)
    announce(deployment, path, options)
    if bundle is None or options.dry_run:
        return None
    try:
        _deploy(deployment, service, bundle, options)
    except NoAnswerError as error:
        look = f"gcloud run services describe {deployment.name} {' '.join(places(options))}"
        raise ArtifactError(f"{error}: whether the service was changed is told by {look}") from error


def _deploy(deployment: Deployment, service: dict[str, Any], bundle: Bundle, options: argparse.Namespace) -> None:
    api, question = Api(), Question.of(bundle)
    run = CloudRun(api, given_project(options.project), given_region(options.region))
    key = _key(api, deployment, given_project(options.project))
    if options.to and put_bundle(bundle, deployment.model):
        print(f"copied  {bundle.folder} to {deployment.model}", flush=True)
    print(f"starts  {service['template']['revision']}, without traffic", flush=True)
    prepared = prepare(run, deployment.name, service)
    try:
        answer = question.ask(prepared.address, _headers(prepared, key))
    except (ArtifactError, ConfigError) as error:
        raise kept(error, prepared) from error
    print(f"answers {answer}, at {prepared.address}", flush=True)
    access = {} if options.public is None else {"invokerIamDisabled": options.public}
    done = promote(
        run, deployment.name, prepared, {"labels": service["labels"], "scaling": service["scaling"], **access}
    )
    print(f"serves  {done['uri']}, all of it by {prepared.revision}")
    if prepared.standing:
        print(f"back    {back_line(options)}")


def _headers(prepared: Prepared, key: str | None) -> dict[str, str]:
    """Return who asks, in headers that leave Authorization to the service."""
    headers = {} if key is None else {"X-API-Key": key}
    if not prepared.service.get("invokerIamDisabled"):
        token = identity_token(prepared.audience)
        headers |= {} if token is None else {"X-Serverless-Authorization": f"Bearer {token}"}
    return headers


def _roll_back(options: argparse.Namespace) -> None:
    run = CloudRun(Api(), given_project(options.project), given_region(options.region))
    try:
        before, now = roll_back(run, options.service)
    except NoAnswerError as error:
        raise ArtifactError(f"{error}: whether it was done is told by the same command again") from error
    print(f"serves  {options.service} by {before} again, all of it; {now} has no traffic")


def _key(api: Api, deployment: Deployment, project: str) -> str | None:
    """Return a key of the service, read before anything is changed; None where it asks for none."""
    secret = deployment.secrets.get(KEYS)
    if secret is None:
        return None
    name, _, version = secret.partition(":")
    name = name if "/" in name else f"projects/{project}/secrets/{name}"
    status, answer = api.ask("secretmanager", f"/v1/{name}/versions/{version or 'latest'}:access")
    if status != 200:
        raise ConfigError(
            f"--secret {KEYS}={secret} cannot be read ({message_of(answer)}), so the new revision could not be asked: "
            f"gcloud secrets add-iam-policy-binding {name.rpartition('/')[2]} --project={name.split('/')[1]} "
            "--member=user:YOU --role=roles/secretmanager.secretAccessor"
        )
    return b64decode(answer["payload"]["data"]).decode().split(",")[0].strip()


def _complete(options: argparse.Namespace) -> None:
    if not options.bundle:
        raise ConfigError("which bundle? gs://BUCKET/FOLDER, or a folder with --to gs://BUCKET/FOLDER\n" + EXAMPLE)
    if not options.image:
        raise ConfigError("--image REGION-docker.pkg.dev/PROJECT/REPOSITORY/api:TAG is needed: cloud build makes it")
    if not options.dry_run:
        given_project(options.project)
        given_region(options.region)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_cls.cloud run",
        description="Serve a bundle on Cloud Run: a new revision is asked first, and then gets the traffic.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("bundle", nargs="?", metavar="BUNDLE", help="gs://BUCKET/FOLDER; or a folder, dvc:NAME and so on, with --to")
    add("--to", metavar="gs://…", help="where a bundle that is not in a bucket is put, under its version")
    add("--image", help="api image in Artifact Registry")
    add("--service", required=True, metavar="NAME", help="of the service")
    add("--project", help="Google Cloud project (default $GOOGLE_CLOUD_PROJECT)")
    add("--region", help="such as europe-west4; that of the bucket")
    add("--cpu", type=positive, default=1, metavar="N", help="processors of an instance: 1, 2, 4, 6, 8 (default 1)")
    add("--memory", type=float, default=2.0, metavar="GIB", help="of an instance (default 2)")
    add("--concurrency", type=positive, metavar="N", help="requests at a time of an instance (default 16 a processor)")
    add("--min", type=_count, default=0, metavar="N", help="instances that always run (default 0)")
    add("--max", type=positive, default=3, metavar="N", help="instances at most (default 3)")
    add("--port", type=positive, default=8080, metavar="N", help="that the service listens on (default 8080)")
    add("--timeout", type=positive, default=60, metavar="SECONDS", help="of a request (default 60)")
    add("--cpu-always", action="store_true", help="pay for the whole life of an instance, and work between requests")
    add(
        "--public", action=argparse.BooleanOptionalAction, help="answer anybody (default: as it is; a new one does not)"
    )
    add("--service-account", metavar="ADDRESS", help="as which it runs (default: that of Compute Engine)")
    add("--setting", action="append", default=[], metavar="NAME=VALUE", help="of mlops_cls.serve, such as backend=auto")
    add(
        "--secret",
        action="append",
        default=[],
        metavar="VARIABLE=NAME",
        help="from Secret Manager: NAME or NAME:VERSION",
    )
    add("--env", action="append", default=[], metavar="VARIABLE=VALUE", help="another variable")
    add("--label", action="append", default=[], metavar="KEY=VALUE", help="to find it in the bill")
    add("--folder", type=Path, default=Path("jobs"), help="of the written service (default jobs)")
    add("--dry-run", action="store_true", help="deploy nothing; needs no account")
    add("--rollback", action="store_true", help="give the traffic back to the revision that had it before")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)
