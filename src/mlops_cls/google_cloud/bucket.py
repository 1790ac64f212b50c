"""``cloud bucket``: a bucket that keeps the versions of what is overwritten, and clears them away after a time."""

import argparse
import re
from typing import Any

from mlops_cls.cli import positive
from mlops_cls.errors import ConfigError
from mlops_cls.google_cloud.api import Api, NoAnswerError, given_project, holds, message_of, unreachable

EXAMPLE = """examples:
  python -m mlops_cls.cloud bucket gs://lab-models --project lab --region europe-west4
  python -m mlops_cls.cloud bucket gs://lab-models --project lab --region europe-west4 --keep-days 90 --expire jobs=30

The same command again changes what differs. Nothing in the bucket is removed by it, only later by the rules."""
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")


def main(arguments: list[str]) -> None:
    """Make the bucket, or give one that exists the same rules."""
    options = _parser().parse_args(arguments)
    name = options.bucket.removeprefix("gs://").rstrip("/")
    if not NAME.fullmatch(name):
        raise ConfigError(f"{options.bucket} is no bucket: gs:// and 3 to 63 of a-z, 0-9, -, _ and .")
    rules = bucket_rules(options.keep_days, dict(map(_expiry, options.expire)))
    try:
        print(_make(Api(), name, given_project(options.project), options.region, rules))
    except NoAnswerError as error:
        raise unreachable(error) from error


def bucket_rules(keep_days: int, expiries: dict[str, int]) -> dict[str, Any]:
    """Return versioning, lifecycle and access, as the API of Cloud Storage has them.

    Args:
        keep_days: how long the versions of overwritten or deleted objects stay.
        expiries: folder to days after which its objects are deleted.
    """
    old = {"action": {"type": "Delete"}, "condition": {"daysSinceNoncurrentTime": keep_days}}
    uploads = {"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": 7}}
    expire = [
        {"action": {"type": "Delete"}, "condition": {"age": days, "matchesPrefix": [f"{folder}/"]}}
        for folder, days in expiries.items()
    ]
    return {
        "versioning": {"enabled": True},
        "lifecycle": {"rule": [old, uploads, *expire]},
        "iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"},
    }


def _make(api: Api, name: str, project: str, region: str, rules: dict[str, Any]) -> str:
    status, answer = api.ask("storage", f"/storage/v1/b/{name}")
    if status == 200:
        return _change(api, name, region, answer, rules)
    if status != 404:
        raise ConfigError(f"gs://{name} belongs to somebody else, or may not be seen: {message_of(answer)}")
    body = {"name": name, "location": region, **rules}
    status, answer = api.ask("storage", f"/storage/v1/b?project={project}", body)
    if status not in (200, 201):
        raise ConfigError(f"gs://{name} could not be made: {message_of(answer)}")
    return f"made gs://{name} in {region}; for others: {_grant(name)}"


def _change(api: Api, name: str, region: str, found: dict[str, Any], rules: dict[str, Any]) -> str:
    place = str(found.get("location", region)).lower()
    if place != region.lower():
        raise ConfigError(f"gs://{name} exists in {place}, and stays there: give --region {place}, or another name")
    different = {key: value for key, value in rules.items() if not holds(found.get(key), value)}
    if not different:
        return f"gs://{name} is as it should be"
    status, answer = api.ask("storage", f"/storage/v1/b/{name}", different, method="PATCH")
    if status != 200:
        raise ConfigError(f"gs://{name} could not be changed: {message_of(answer)}")
    return f"changed gs://{name}: {', '.join(different)}"


def _grant(name: str) -> str:
    return (
        f"gcloud storage buckets add-iam-policy-binding gs://{name} --member=user:YOU --role=roles/storage.objectUser"
    )


def _expiry(text: str) -> tuple[str, int]:
    folder, _, days = text.partition("=")
    if not folder.strip("/") or not days.isdecimal() or int(days) < 1:
        raise ConfigError(f"--expire {text} is not of the form FOLDER=DAYS, such as jobs=30")
    return folder.strip("/"), int(days)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_cls.cloud bucket",
        description="Make a private bucket that keeps versions, and removes old ones after a time.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bucket", metavar="gs://…")
    parser.add_argument("--project", help="Google Cloud project (default $GOOGLE_CLOUD_PROJECT)")
    parser.add_argument("--region", required=True, help="where it lies, that of the jobs, such as europe-west4")
    parser.add_argument(
        "--keep-days", type=positive, default=30, metavar="DAYS", help="that overwritten objects stay (default 30)"
    )
    parser.add_argument(
        "--expire", action="append", default=[], metavar="FOLDER=DAYS", help="delete what is older in a folder"
    )
    return parser
