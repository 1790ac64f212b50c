"""``cloud doctor``: whether a project has all that the other verbs need, and the command for what it lacks."""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from mlops_cls.errors import ArtifactError, ConfigError
from mlops_cls.google_cloud.api import Api, NoAnswerError, given_project, message_of
from mlops_cls.google_cloud.building import REPOSITORY
from mlops_cls.google_cloud.machines import ATTACHED, GPUS
from mlops_cls.google_cloud.needs import OF_VERBS, Needs, needs_of

EXAMPLE = """examples:
  python -m mlops_cls.cloud doctor --project lab --region europe-west4 --gpu t4 --spot
  python -m mlops_cls.cloud doctor --project lab --region europe-west4 --bucket gs://lab-models --secret wandb \\
      --image europe-west4-docker.pkg.dev/lab/images/train:latest
  python -m mlops_cls.cloud doctor --for run,build,alerts --project lab --region europe-west4 \\
      --repository europe-west4-docker.pkg.dev/lab/images

exit code 2: something is missing"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `mend` is the command for one that is not well, and None otherwise."""

    what: str
    said: str
    mend: str | None = None

    def __str__(self) -> str:
        line = f"{'ok  ' if self.mend is None else 'LACK'}  {self.what:<12}{self.said}"
        return line if self.mend is None else f"{line}\n      {self.mend}"


@dataclass(frozen=True, slots=True)
class Examination:
    """A project as it is asked about; parts that were not named are not looked at."""

    api: Api
    project: str
    region: str
    needs: Needs
    gpu: str | None
    spot: bool
    bucket: str | None
    secret: str | None
    image: str | None
    repository: str | None

    def findings(self) -> Iterator[Finding]:
        """Yield what was found; without its project nothing else can be asked."""
        project = self._project()
        yield project
        if project.mend is not None:
            return
        yield from self._apis()
        parts: list[tuple[object, Callable[[], Iterator[Finding]]]] = [
            (True, self._permissions),
            ("aiplatform" in self.needs.apis, self._region),
            (self.gpu, self._quota),
            (self.secret, self._secret),
            (self.repository, self._repository),
            (self.image, self._image),
            (self.bucket, self._bucket),
        ]
        for wanted, part in parts:
            if wanted:
                yield from part()

    def _project(self) -> Finding:
        status, answer = self.api.ask("cloudresourcemanager", f"/v1/projects/{self.project}")
        if status == 200 and answer.get("lifecycleState") == "ACTIVE":
            return Finding("project", self.project)
        if status == 200:
            return Finding("project", f"{self.project} is to be deleted", f"gcloud projects undelete {self.project}")
        return Finding("project", f"{self.project}: {message_of(answer)}", "gcloud projects list")

    def _apis(self) -> Iterator[Finding]:
        names = "&".join(f"names=projects/{self.project}/services/{name}.googleapis.com" for name in self.needs.apis)
        status, answer = self.api.ask("serviceusage", f"/v1/projects/{self.project}/services:batchGet?{names}")
        if status != 200:
            yield Finding("APIs", message_of(answer), f"gcloud services enable serviceusage.googleapis.com {self._in}")
            return
        enabled = {
            service["name"].rpartition("/")[2] for service in answer["services"] if service["state"] == "ENABLED"
        }
        missing = [f"{name}.googleapis.com" for name in self.needs.apis if f"{name}.googleapis.com" not in enabled]
        if missing:
            yield Finding(
                "APIs", f"{', '.join(missing)} not enabled", f"gcloud services enable {' '.join(missing)} {self._in}"
            )
        else:
            yield Finding("APIs", ", ".join(self.needs.apis))

    def _permissions(self) -> Iterator[Finding]:
        question = {"permissions": list(self.needs.permissions)}
        path = f"/v1/projects/{self.project}:testIamPermissions"
        _, answer = self.api.ask("cloudresourcemanager", path, question)
        missing = [name for name in self.needs.permissions if name not in answer.get("permissions", [])]
        if not missing:
            yield Finding("permissions", f"all {len(self.needs.permissions)} that are needed")
        for role in dict.fromkeys(self.needs.permissions[name] for name in missing):
            lacking = ", ".join(name for name in missing if self.needs.permissions[name] == role)
            grant = f"gcloud projects add-iam-policy-binding {self.project} --member=user:YOU --role={role}"
            yield Finding("permissions", lacking, grant)

    def _region(self) -> Iterator[Finding]:
        path = f"/v1/projects/{self.project}/locations/{self.region}"
        status, answer = self.api.ask(f"{self.region}-aiplatform", path)
        listing = "https://cloud.google.com/vertex-ai/docs/general/locations"
        yield Finding(
            "region",
            self.region if status == 200 else f"{self.region}: {message_of(answer)}",
            None if status == 200 else listing,
        )

    def _quota(self) -> Iterator[Finding]:
        assert self.gpu is not None
        # https://cloud.google.com/vertex-ai/docs/quotas#custom-trained_models
        kind = f"{'preemptible_' if self.spot else ''}nvidia_{self.gpu.replace('-', '_')}"
        metric = f"aiplatform.googleapis.com/custom_model_training_{kind}_gpus"
        service = f"/v1beta1/projects/{self.project}/services/aiplatform.googleapis.com"
        status, answer = self.api.ask("serviceusage", f"{service}/consumerQuotaMetrics/{quote(metric, safe='')}")
        console = f"https://console.cloud.google.com/iam-admin/quotas?project={self.project}"
        ask = f"{console} (look for {metric.partition('/')[2]})"
        if status != 200:
            yield Finding("quota", f"{self.gpu}: {message_of(answer)}", ask)
            return
        number = _limit(answer, self.region)
        said = f"{number} {self.gpu} at a time in {self.region}{', spot' if self.spot else ''}"
        yield Finding("quota", said, None if number > 0 else ask)

    def _secret(self) -> Iterator[Finding]:
        name = f"projects/{self.project}/secrets/{self.secret}"
        status, answer = self.api.ask("secretmanager", f"/v1/{name}/versions/latest")
        make = f'printf %s "$KEY" | gcloud secrets create {self.secret} --data-file=- {self._in}'
        if status == 200 and answer.get("state") == "ENABLED":
            yield Finding("secret", f"{self.secret}, {answer['name'].rpartition('/')[2]} is its newest version")
        else:
            yield Finding("secret", f"{self.secret}: {answer.get('state') or message_of(answer)}", make)

    def _repository(self) -> Iterator[Finding]:
        found = REPOSITORY.fullmatch(self.repository or "")
        if found is None:
            raise ConfigError(f"--repository {self.repository} is no REGION-docker.pkg.dev/PROJECT/REPOSITORY")
        place, project, name = found["place"], found["project"], found["name"]
        path = f"/v1/projects/{project}/locations/{place}/repositories/{name}"
        status, answer = self.api.ask("artifactregistry", path)
        make = f"gcloud artifacts repositories create {name} --repository-format=docker --location={place}"
        if status != 200:
            said = f"{self.repository}: {message_of(answer)}"
            yield Finding("repository", said, f"{make} --project={project}")
        elif answer.get("format") != "DOCKER":
            said = f"{self.repository} is for {answer.get('format')}, not for images"
            yield Finding("repository", said, f"{make} --project={project}  # with another name")
        else:
            yield Finding("repository", f"{self.repository}")

    def _image(self) -> Iterator[Finding]:
        assert self.image is not None
        host, project, repository, *rest = self.image.split("/")
        if not host.endswith("-docker.pkg.dev") or not rest:
            yield Finding("image", f"{self.image} is not in Artifact Registry: not looked for")
            return
        package, _, tag = "/".join(rest).partition(":")
        place = f"/v1/projects/{project}/locations/{host.removesuffix('-docker.pkg.dev')}/repositories/{repository}"
        path = f"{place}/packages/{quote(package, safe='')}/tags/{tag or 'latest'}"
        status, answer = self.api.ask("artifactregistry", path)
        push = f"gcloud auth configure-docker {host} && docker push {self.image}"
        yield Finding(
            "image",
            self.image if status == 200 else f"{self.image}: {message_of(answer)}",
            None if status == 200 else push,
        )

    def _bucket(self) -> Iterator[Finding]:
        assert self.bucket is not None
        name = self.bucket.removeprefix("gs://").partition("/")[0]
        status, answer = self.api.ask("storage", f"/storage/v1/b/{name}")
        make = f"python -m mlops_cls.cloud bucket gs://{name} --project {self.project} --region {self.region}"
        if status != 200:
            yield Finding("bucket", f"gs://{name}: {message_of(answer)}", make)
            return
        place = str(answer.get("location", "")).lower()
        if place not in (self.region, self.region.partition("-")[0]):
            said = f"gs://{name} lies in {place}, the job would run in {self.region}: slow, and each read costs"
            yield Finding("bucket", said, f"python -m mlops_cls.cloud doctor … --region {place}")
        else:
            yield Finding("bucket", f"gs://{name} in {place}")

    @property
    def _in(self) -> str:
        return f"--project={self.project}"


def _limit(answer: dict[str, Any], region: str) -> int:
    """Return the quota of a region, else that of all regions without one of their own."""
    everywhere = 0
    for limit in answer.get("consumerQuotaLimits", []):
        for bucket in limit.get("quotaBuckets", []):
            number, place = int(bucket.get("effectiveLimit", 0)), bucket.get("dimensions", {}).get("region")
            if place == region:
                return number
            everywhere = everywhere if place else number
    return everywhere


def main(arguments: list[str]) -> None:
    """Print what is there and what is missing, and fail if anything is."""
    options = _parser().parse_args(arguments)
    if options.gpu not in (None, *GPUS):
        raise ConfigError(f"--gpu {options.gpu} is not known: {', '.join(GPUS)}")
    needs = needs_of(options.verbs.split(","))
    parts = ("region", "gpu", "spot", "bucket", "secret", "image", "repository")
    named = {key: getattr(options, key) for key in parts}
    examination = Examination(api=Api(), project=given_project(options.project), needs=needs, **named)
    missing = 0
    try:
        for finding in examination.findings():
            print(finding, flush=True)
            missing += finding.mend is not None
    except NoAnswerError as error:
        raise ArtifactError(f"{error}: is there a network? Try again later") from error
    if missing:
        raise ArtifactError(f"{missing} things are missing; the lines below them say what to type")
    print("nothing is missing")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_cls.cloud doctor",
        description="Say what a Google Cloud project lacks, with the command for each.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = ",".join(OF_VERBS)
    parser.add_argument(
        "--for", dest="verbs", default="vertex", metavar=verbs, help="the verbs to come (default vertex)"
    )
    parser.add_argument("--project", help="Google Cloud project (default $GOOGLE_CLOUD_PROJECT)")
    parser.add_argument("--region", required=True, help="where it is to run, such as europe-west4")
    parser.add_argument("--gpu", help=f"look at its quota: {', '.join((*ATTACHED, *list(GPUS)[4:]))}")
    parser.add_argument("--spot", action="store_true", help="look at the quota of spot machines")
    parser.add_argument("--bucket", metavar="gs://…", help="look at the bucket")
    parser.add_argument("--secret", metavar="NAME", help="look for a key in Secret Manager; it is not read")
    parser.add_argument("--image", help="look for the image in Artifact Registry")
    parser.add_argument("--repository", metavar="…-docker.pkg.dev/…", help="look for the repository of images")
    return parser
