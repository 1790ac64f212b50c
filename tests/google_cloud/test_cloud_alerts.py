"""Who is told what of a service on Cloud Run: what is known to the API, made once, changed where it differs."""

import json
import shlex
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from google.cloud.monitoring_v3.types import AlertPolicy, NotificationChannel
from google.protobuf import json_format

import mlops_cls as mc
from cloud_run import SERVICE
from google_services import Answers, Services, google_services
from mlops_cls import cloud

HERE = ["--service", "skin", "--project", "lab"]
THERE = "/monitoring/v3/projects/lab"
KINDS = ["errors", "latency", "drift", "log"]


class Monitoring:
    """A stand-in of Cloud Monitoring, which checks by the API's own types, and tells more than it was told."""

    def __init__(self) -> None:
        self.policies: dict[str, dict[str, Any]] = {}
        self.channels: dict[str, dict[str, Any]] = {}
        self._numbers = count(1)

    def answers(self) -> Answers:
        return {
            f"GET {THERE}/alertPolicies": lambda query, body: self._page("alertPolicies", self.policies, query),
            f"GET {THERE}/notificationChannels": lambda query, body: self._page(
                "notificationChannels", self.channels, query
            ),
            f"POST {THERE}/alertPolicies": lambda query, body: self._add(self.policies, AlertPolicy, body),
            f"POST {THERE}/notificationChannels": lambda query, body: self._add(
                self.channels, NotificationChannel, body
            ),
            **{f"PATCH {THERE}/alertPolicies/{number}": self._patch(number) for number in range(1, 9)},
        }

    def _page(self, kind: str, kept: dict[str, dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
        """Return two at a time."""
        first = int(query.get("pageToken", 0))
        more = {"nextPageToken": str(first + 2)} if first + 2 < len(kept) else {}
        return {kind: [*kept.values()][first : first + 2], **more}

    def _add(self, kept: dict[str, dict[str, Any]], kind: Any, body: dict[str, Any]) -> dict[str, Any]:
        json_format.ParseDict(body, kind.pb(kind()))
        number = str(next(self._numbers))
        conditions = [{**one, "name": f"conditions/{place}"} for place, one in enumerate(body.get("conditions", []))]
        kept[number] = {
            **body,
            "name": f"projects/lab/x/{number}",
            **({"conditions": conditions} if conditions else {}),
        }
        return kept[number]

    def _patch(self, number: int) -> Any:
        def patch(query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
            assert {*query["updateMask"].split(",")} == {*body}
            json_format.ParseDict(body, AlertPolicy.pb(AlertPolicy()))
            return self.policies[str(number)] | body

        return patch


def watch(monitoring: Monitoring, monkeypatch: pytest.MonkeyPatch, *arguments: str, **changed: Any) -> Services:
    with google_services(monitoring.answers() | changed) as services:
        monkeypatch.setenv("MLOPS_CLS_GOOGLE", services.address)
        cloud.main(["alerts", *HERE, *arguments])
    return services


def test_a_dry_run_needs_an_account_or_writes_what_the_api_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    cloud.main(["alerts", "--service", "skin", "--region", "europe-west4", "--email", "me@lab.org", "--dry-run"])
    policies = {}
    for kind in KINDS:
        policies[kind] = AlertPolicy()
        written = json.loads(Path(f"jobs/skin.{kind}.alert.json").read_text())
        json_format.ParseDict(written, AlertPolicy.pb(policies[kind]))
    share, failures = (condition.condition_threshold for condition in policies["errors"].conditions)
    assert policies["errors"].combiner.name == "AND"
    assert 'response_code_class = "5xx"' in share.filter
    assert 'response_code_class = "5xx"' not in share.denominator_filter
    assert (share.threshold_value, failures.threshold_value) == (0.05, 4)
    (latency,) = policies["latency"].conditions
    assert latency.condition_threshold.threshold_value == 1000  # milliseconds
    assert latency.condition_threshold.aggregations[0].cross_series_reducer.name == "REDUCE_PERCENTILE_95"
    for kind in ("drift", "log"):  # required of policies of lines
        assert policies[kind].alert_strategy.notification_rate_limit.period >= timedelta(hours=1)
    (drift,) = policies["drift"].conditions
    line = 'jsonPayload.logger="mlops_cls.service.watching" AND jsonPayload.message=~"^Drift"'
    assert line in drift.condition_matched_log.filter
    assert 'resource.labels.location="europe-west4"' in drift.condition_matched_log.filter
    commands = [shlex.split(one)[1:5] for one in capsys.readouterr().out.splitlines() if one.startswith("gcloud")]
    assert commands == [
        ["gcloud", "beta", "monitoring", "channels"],
        *[["gcloud", "monitoring", "policies", "create"]] * 4,
    ]


def test_the_same_command_makes_everything_twice_or_leaves_what_differs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monitoring = Monitoring()
    watch(monitoring, monkeypatch, "--email", "me@lab.org")
    assert (len(monitoring.policies), len(monitoring.channels)) == (4, 1)
    assert capsys.readouterr().out.count("made: skin: ") == 4

    services = watch(monitoring, monkeypatch, "--email", "me@lab.org")
    assert not [question for question, _ in services.asked if not question.startswith("GET")]
    assert capsys.readouterr().out.count("is as it should be") == 4

    services = watch(monitoring, monkeypatch, "--email", "me@lab.org", "--latency", "0.5")
    ((_, sent),) = [(question, body) for question, body in services.asked if question.startswith("PATCH")]
    assert {*sent} == {"displayName", "conditions"}
    assert "latency changed: displayName, conditions" in capsys.readouterr().out

    services = watch(monitoring, monkeypatch, "--email", "me@lab.org", "--email", "you@lab.org")
    changes = [body for question, body in services.asked if question.startswith("PATCH")]
    assert len(monitoring.channels) == 2
    assert [len(body["notificationChannels"]) for body in changes] == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--email", "me"], "is no address"),
        (["--email", "me@lab.org", "--error-rate", "5"], "a share of the requests"),
        (["--email", "me@lab.org", "--latency", "0"], "seconds in which 95 %"),
        (["--email", "me@lab.org", "--service", "Skin"], "is no name of a service"),
    ],
)
def test_an_alert_is_made_that_never_comes_or_always(arguments: list[str], said: str) -> None:
    with pytest.raises(mc.ConfigError, match=said):
        cloud.main(["alerts", *HERE, *arguments, "--dry-run"])
    assert not Path("jobs").exists()


def test_a_service_that_is_not_there_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    here = ["--email", "me@lab.org", "--region", "europe-west4"]
    with pytest.raises(mc.ConfigError, match="there is no service skin in europe-west4"):
        watch(monitoring := Monitoring(), monkeypatch, *here)
    assert monitoring.channels == {}
    watch(monitoring, monkeypatch, *here, **{SERVICE: {"uri": "https://skin.run.app"}})
    assert len(monitoring.policies) == 4


@pytest.mark.parametrize(
    ("status", "said"),
    [(403, "refuses: refused with 403; python -m mlops_cls.cloud doctor --for alerts"), (503, "is there a network")],
)
def test_a_refusal_is_told_with_a_traceback(status: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(mc.MlopsError, match=said):
        watch(Monitoring(), monkeypatch, "--email", "me@lab.org", **{f"POST {THERE}/alertPolicies": status})
