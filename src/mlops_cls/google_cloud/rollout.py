"""A new revision of a service, which gets its traffic once it has answered well; and the way back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlops_cls.errors import ArtifactError, MlopsError
from mlops_cls.google_cloud.services import CloudRun, Service

TAG = "next"
"""Under which a new revision is asked, at an address of its own, before it gets traffic."""
BEFORE = "mlops-cls/before"
"""Annotation of a service: the revision that had the traffic before the last rollout."""
BY_NAME = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"

Target = dict[str, Any]
"""A TrafficTarget as JSON."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A revision that is ready and has no traffic yet; a service that is new has sent all of it there."""

    service: Service
    revision: str
    standing: Sequence[Target]
    """The traffic as it was."""

    @property
    def address(self) -> str:
        """Where this revision alone answers."""
        tagged = [target["uri"] for target in self.service.get("trafficStatuses", ()) if target.get("tag") == TAG]
        return str(tagged[0] if tagged else self.service["uri"]).rstrip("/")

    @property
    def audience(self) -> str:
        """The address that identity tokens are for, also for a revision under a tag."""
        return str(self.service["uri"]).rstrip("/")


def prepare(run: CloudRun, name: str, service: Service) -> Prepared:
    """Make a revision and wait until it is ready; traffic stays where it is.

    Args:
        run: where.
        name: of the service.
        service: what is wanted, without its traffic. Of a service that exists only its template is changed.

    Raises:
        ArtifactError: it did not become ready; with what it said last.
        ConfigError, NoAnswerError: as `CloudRun` says.
    """
    found, revision = run.find(name), str(service["template"]["revision"])
    standing = _standing(found) if found else []
    new = {"type": BY_NAME, "revision": revision, "tag": TAG} | ({} if standing else {"percent": 100})
    traffic = {"traffic": [*standing, new]}
    try:
        if found is None:
            made = run.create(name, {**service, **traffic})
        else:
            made = run.change(name, {"template": service["template"], **traffic}, found=found)
    except ArtifactError as error:
        said = "".join(f"\n  | {line}" for line in run.log(name, revision))
        raise ArtifactError(f"{revision} did not become ready: {error}{said}\n{stays(standing)}") from error
    return Prepared(made, revision, standing)


def promote(run: CloudRun, name: str, prepared: Prepared, changes: dict[str, Any]) -> Service:
    """Give a revision all traffic, and note which had it; `changes` are other fields that change with it."""
    before = _largest(prepared.standing)
    annotations = {**prepared.service.get("annotations", {}), **({BEFORE: before} if before else {})}
    body = {"traffic": _all_to(prepared.revision, prepared.standing), "annotations": annotations, **changes}
    return run.change(name, body, found=prepared.service)


def roll_back(run: CloudRun, name: str) -> tuple[str, str]:
    """Give traffic back to the revision that had it before; return it, and the one that had it till now.

    Raises:
        ArtifactError: there is no such service, or nothing is known of what was before.
        ConfigError, NoAnswerError: as `CloudRun` says.
    """
    found = run.find(name)
    if found is None:
        raise ArtifactError(f"there is no service {name}: gcloud run services list")
    annotations, standing = dict(found.get("annotations", {})), _standing(found)
    before, now = annotations.pop(BEFORE, None), _largest(standing) or "none"
    if before is None:
        raise ArtifactError(
            f"it is not known what served before {now}: gcloud run revisions list --service={name}, then "
            f"gcloud run services update-traffic {name} --to-revisions=REVISION=100"
        )
    run.change(name, {"traffic": _all_to(before, standing), "annotations": annotations}, found=found)
    return before, now


def stays(standing: Sequence[Target]) -> str:
    """Return the sentence that tells who serves after a failure."""
    serving = _largest(standing)
    return f"{serving} serves on as before" if serving else "nothing served before, and nothing does now"


def kept(error: MlopsError, prepared: Prepared) -> ArtifactError:
    """Return the error of a revision that is ready and answers wrongly."""
    where = (
        f"it has no traffic, and stays at {prepared.address}" if prepared.standing else f"it is at {prepared.address}"
    )
    return ArtifactError(f"{prepared.revision} is ready, but {error}\n{where}; {stays(prepared.standing)}")


def _standing(service: Service) -> list[Target]:
    """Return who gets which traffic, and has which tag, by the names of revisions.

    Whatever goes to the newest revision, as after a first ``gcloud run deploy``, is pinned to the one that serves now:
    else the new one would get it as soon as it is ready.
    """
    ready = str(service.get("latestReadyRevision", "")).rpartition("/")[2]
    standing = []
    for target in service.get("trafficStatuses", ()):
        revision = target.get("revision") or ready
        kept = {key: target[key] for key in ("percent", "tag") if target.get(key) and target[key] != TAG}
        if revision and kept:
            standing.append({"type": BY_NAME, "revision": revision, **kept})
    return standing


def _all_to(revision: str, standing: Sequence[Target]) -> list[Target]:
    tagged = [
        {"type": BY_NAME, "revision": target["revision"], "tag": target["tag"]}
        for target in standing
        if "tag" in target
    ]
    return [{"type": BY_NAME, "revision": revision, "percent": 100}, *tagged]


def _largest(standing: Sequence[Target]) -> str | None:
    """Return the revision with the most traffic."""
    serving = [target for target in standing if target.get("percent")]
    return str(max(serving, key=lambda target: target["percent"])["revision"]) if serving else None
