"""``cloud alerts``: who is told, and of what, when a service on Cloud Run is not well."""

import argparse
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from mlops_cls.errors import ConfigError
from mlops_cls.google_cloud.api import Api, NoAnswerError, given_project, holds, known_project, message_of, unreachable
from mlops_cls.google_cloud.policies import KIND, OWNER, Policy, Watched, channel
from mlops_cls.google_cloud.services import CloudRun
from mlops_cls.google_cloud.spec import keep

EXAMPLE = """examples:
  python -m mlops_cls.cloud alerts --service skin --project lab --region europe-west4 --email me@lab.org --dry-run
  python -m mlops_cls.cloud alerts --service skin --project lab --region europe-west4 --email me@lab.org \\
      --email you@lab.org --error-rate 0.01 --latency 0.5

The same command again changes only what differs. Exit code 2: refused."""
DOCTOR = "python -m mlops_cls.cloud doctor --for alerts says what is missing"


def main(arguments: list[str]) -> None:
    """Make the policies and whom they tell, or change those that differ."""
    options = _parser().parse_args(arguments)
    watched = Watched(
        service=options.service, region=options.region, error_rate=options.error_rate, latency=options.latency
    )
    watched.check()
    for email in options.email:
        if "@" not in email:
            raise ConfigError(f"--email {email} is no address, such as me@lab.org")
    for line in _written(watched, options):
        print(line)
    if options.dry_run:
        return
    try:
        _apply(Monitoring(Api(), given_project(options.project)), watched, options)
    except NoAnswerError as error:
        raise unreachable(error) from error


def _apply(monitoring: "Monitoring", watched: Watched, options: argparse.Namespace) -> None:
    if options.region:
        run = CloudRun(monitoring.api, monitoring.project, options.region)
        if run.find(watched.service) is None:
            raise ConfigError(
                f"there is no service {watched.service} in {options.region}, and so would never be an alert: "
                f"gcloud run services list --project={monitoring.project}"
            )
    else:
        print(f"note: whether there is a service {watched.service} was not looked at: --region REGION")
    channels = [monitoring.channel(email) for email in options.email]
    known = {policy["userLabels"][KIND]: policy for policy in monitoring.policies(watched.service)}
    for kind, policy in watched.policies(channels).items():
        print(f"{kind:<8}{monitoring.settle(policy, known.get(kind))}", flush=True)


class Monitoring:
    """Policies and channels of a project."""

    def __init__(self, api: Api, project: str) -> None:
        self.api, self.project = api, project

    def channel(self, email: str) -> str:
        """Return the name of the channel of an address, which is made if there is none."""
        wanted = channel(email)
        for found in self._all("notificationChannels"):
            if holds(found, {"type": wanted["type"], "labels": wanted["labels"]}):
                return str(found["name"])
        return str(self._ask("notificationChannels", wanted)["name"])

    def policies(self, service: str) -> list[Policy]:
        """Return the policies that were made here for a service."""
        mine = {OWNER: service}
        return [one for one in self._all("alertPolicies") if holds(one.get("userLabels", {}), mine)]

    def settle(self, policy: Policy, found: Policy | None) -> str:
        """Make a policy, or change what differs; return what was done."""
        if found is None:
            return f"made: {self._ask('alertPolicies', policy)['displayName']}"
        different = {key: value for key, value in policy.items() if not holds(found.get(key), value)}
        if not different:
            return "is as it should be"
        path = f"alertPolicies/{found['name'].rpartition('/')[2]}?{urlencode({'updateMask': ','.join(different)})}"
        self._ask(path, different, method="PATCH")
        return f"changed: {', '.join(different)}"

    def _all(self, kind: str) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            query = {"pageSize": "100"} | ({"pageToken": token} if token else {})
            page = self._ask(f"{kind}?{urlencode(query)}")
            yield from page.get(kind, ())
            token = page.get("nextPageToken", "")
            if not token:
                return

    def _ask(self, path: str, body: dict[str, Any] | None = None, *, method: str | None = None) -> dict[str, Any]:
        status, answer = self.api.ask("monitoring", f"/v3/projects/{self.project}/{path}", body, method=method)
        if status != 200:
            raise ConfigError(f"Cloud Monitoring refuses: {message_of(answer)}; {DOCTOR}")
        return answer


def _written(watched: Watched, options: argparse.Namespace) -> Iterator[str]:
    """Write each policy to a file, and yield the lines that make it by hand."""
    project = known_project(options.project)
    place = [f"--project={project}"] if project else []
    for email in options.email:
        words = ["--type=email", f"--display-name={email}", f"--channel-labels=email_address={email}", *place]
        yield f"gcloud  {shlex.join(['gcloud', 'beta', 'monitoring', 'channels', 'create', *words])}"
    for kind, policy in watched.policies([]).items():
        path = keep(options.folder / f"{watched.service}.{kind}.alert.json", policy)
        words = [f"--policy-from-file={path}", "--notification-channels=CHANNEL", *place]
        yield f"written {path}: {policy['displayName']}"
        yield f"gcloud  {shlex.join(['gcloud', 'monitoring', 'policies', 'create', *words])}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_cls.cloud alerts",
        description="Tell people by mail when a service on Cloud Run fails, is slow, drifts or logs an error.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--service", required=True, metavar="NAME", help="of the service")
    add("--email", required=True, action="append", metavar="ADDRESS", help="who is told; may be given again")
    add("--project", help="Google Cloud project (default $GOOGLE_CLOUD_PROJECT)")
    add("--region", help="of the service, which is looked for there (default: any)")
    add("--error-rate", type=float, default=0.05, metavar="SHARE", help="of requests that fail (default 0.05)")
    add("--latency", type=float, default=1.0, metavar="SECONDS", help="in which 95 %% are answered (default 1)")
    add("--folder", type=Path, default=Path("jobs"), help="of the written policies (default jobs)")
    add("--dry-run", action="store_true", help="make nothing; needs no account")
    return parser
