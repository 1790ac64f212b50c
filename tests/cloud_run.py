"""A stand-in of Cloud Run for one service: what is sent is checked by the API's own types and by its rules.

A change is an operation that is done when it is looked at for the second time. What answers at the addresses of
revisions is a real service of this machine.
"""

from dataclasses import dataclass, field
from typing import Any

from google.cloud.run_v2.types import Service
from google.protobuf import json_format

from google_services import Answer, Answers

PLACE = "/v2/projects/lab/locations/europe-west4"
SERVICE = f"GET /run{PLACE}/services/skin"
PATCH = f"PATCH /run{PLACE}/services/skin"
LOGS = "POST /logging/v2/entries:list"
LATEST = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"


@dataclass
class CloudRun:
    """Whose new revisions answer at `address`; `broken`: what is said of the next one, which then never is ready."""

    address: str
    broken: str = ""
    service: dict[str, Any] = field(default_factory=dict)
    revisions: list[str] = field(default_factory=list)
    shares: list[dict[str, int]] = field(default_factory=list)
    """Who had how much of the traffic, after each change."""
    sent: list[dict[str, Any]] = field(default_factory=list)
    _changes: int = 0

    def answers(self) -> Answers:
        return {
            SERVICE: lambda query, body: self.service or 404,
            f"POST /run{PLACE}/services": lambda query, body: self._change(body, [*body]),
            PATCH: lambda query, body: self._change(body, query["updateMask"].split(",")),
            LOGS: {
                "entries": [{"jsonPayload": {"message": "which model? Give a bundle"}}, {"textPayload": "starting"}]
            },
        }

    def with_one(self) -> "CloudRun":
        """Have a service already, deployed by hand: all traffic goes to whatever revision is newest."""
        self.revisions = ["skin-00001-abc"]
        self.service = {
            "uri": "https://skin.run.app",
            "etag": "0",
            "template": {},
            "latestReadyRevision": "projects/lab/locations/europe-west4/services/skin/revisions/skin-00001-abc",
            "traffic": [{"type": LATEST, "percent": 100}],
            "trafficStatuses": [{"type": LATEST, "percent": 100}],
        }
        return self

    def _change(self, body: dict[str, Any], mask: list[str]) -> Answer:
        json_format.ParseDict(body, Service.pb(Service()))
        self.sent.append(body)
        if body.get("etag", "0") != self.service.get("etag", "0"):
            return 409
        self._changes += 1
        made = {name: body[name] for name in mask if name != "etag"}
        self.service = {"uri": "https://skin.run.app", **self.service, **made, "etag": str(self._changes)}
        if "template" in mask and not self.broken:
            self.revisions.append(body["template"]["revision"])
            self.service["latestReadyRevision"] = f"{PLACE}/services/skin/revisions/{self.revisions[-1]}"
        if not self.broken:
            self._route()
        return self._operation()

    def _route(self) -> None:
        traffic = self.service["traffic"]
        assert sum(target.get("percent", 0) for target in traffic) == 100
        assert {target["revision"] for target in traffic} <= {*self.revisions}
        assert all(name.startswith("skin-") and len(name) < 64 for name in self.revisions)
        uris = [{"uri": self.address} if "tag" in target else {} for target in traffic]
        self.service["trafficStatuses"] = [{**target, **uri} for target, uri in zip(traffic, uris, strict=True)]
        self.shares.append({one["revision"]: one["percent"] for one in traffic if one.get("percent")})

    def _operation(self) -> dict[str, Any]:
        name = f"projects/lab/locations/europe-west4/operations/{self._changes}"
        error = {"error": {"code": 9, "message": self.broken}}
        done = {"name": name, "done": True, **(error if self.broken else {"response": dict(self.service)})}
        looks: list[Answer] = [{"name": name}, 503, done]
        self.later[f"GET /run/v2/{name}"] = looks
        return {"name": name, "done": False}

    later: Answers = field(default_factory=dict)
    """Answers of operations, to be looked up by the services that this is a part of."""
