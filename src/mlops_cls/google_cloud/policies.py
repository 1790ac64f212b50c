"""What is watched of a service on Cloud Run, as policies of Cloud Monitoring:
https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies.

Rates and latencies are Cloud Run's own metrics (https://cloud.google.com/monitoring/api/metrics_gcp_p_z#gcp-run); drift
and errors are lines of the service's log (docs/monitoring.md).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops_cls.errors import ConfigError
from mlops_cls.google_cloud.deployment import NAME
from mlops_cls.service.watching import log as watcher

OWNER, KIND = "mlops-cls", "alert"
"""User labels by which a policy is found again: the service, and what is watched of it."""
PERIOD = 300
"""Seconds over which requests are counted."""
AT_LEAST = 5
"""Failures in that time, below which a share says nothing."""
CLOSE = f"{7 * 24 * 3600}s"
"""After which what is not seen any more is over."""

Policy = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """A service; `error_rate` is the share of requests that fail, `latency` the seconds in which 95 % are answered."""

    service: str
    region: str | None = None
    error_rate: float = 0.05
    latency: float = 1.0

    def check(self) -> None:
        """Refuse what would never be told, or always.

        Raises:
            ConfigError: naming the option.
        """
        if not NAME.fullmatch(self.service):
            raise ConfigError(f"--service {self.service!r} is no name of a service on Cloud Run, such as api")
        if not 0 < self.error_rate < 1:
            raise ConfigError(f"--error-rate {self.error_rate:g} is impossible: a share of the requests, such as 0.05")
        if not 0 < self.latency <= 3600:
            raise ConfigError(
                f"--latency {self.latency:g} is impossible: seconds in which 95 % are answered, such as 1"
            )

    def policies(self, channels: Sequence[str]) -> dict[str, Policy]:
        """Return the policies by what they watch; `channels` are the names of those who are told."""
        return {
            kind: {
                "displayName": f"{self.service}: {title}",
                "userLabels": {OWNER: self.service, KIND: kind},
                "combiner": "AND" if len(watched["conditions"]) > 1 else "OR",
                "enabled": True,
                "severity": severity,
                "documentation": {"content": self._advice(advice), "mimeType": "text/markdown"},
                "notificationChannels": list(channels),
                **watched,
            }
            for kind, title, severity, advice, watched in self._kinds()
        }

    def _kinds(self) -> Iterator[tuple[str, str, str, str, Mapping[str, Any]]]:
        share = f"more than {100 * self.error_rate:g} % of the requests fail"
        conditions = [self._share(share), self._failures()]
        yield "errors", share, "CRITICAL", "Refused for being busy counts too.", _of_numbers(conditions)

        slow = f"one request in twenty takes more than {self.latency:g} s"
        yield "latency", slow, "WARNING", "See docs/load.md for what to set.", _of_numbers([self._slow(slow)])

        drift = "its pictures are not those it was trained on"
        line = f'severity=WARNING AND jsonPayload.logger="{watcher.name}" AND jsonPayload.message=~"^Drift"'
        advice = "GET /monitoring tells what has changed; see docs/drift.md."
        yield "drift", drift, "WARNING", advice, _of_lines(self._line(drift, line), rest=24)

        failed = "it logs an error"
        # Cloud Run has a line of its own for each request, an error for each 5xx.
        line = 'severity>=ERROR AND NOT logName:"run.googleapis.com%2Frequests"'
        advice = "The line has a stack trace and the request's id."
        yield "log", failed, "ERROR", advice, _of_lines(self._line(failed, line), rest=1)

    def _share(self, name: str) -> dict[str, Any]:
        return {
            "displayName": name,
            "conditionThreshold": {
                "filter": self._metric("request_count", failed=True),
                "aggregations": [_sums()],
                "denominatorFilter": self._metric("request_count"),
                "denominatorAggregations": [_sums()],
                **_above(self.error_rate),
            },
        }

    def _failures(self) -> dict[str, Any]:
        return {
            "displayName": f"and at least {AT_LEAST} in {PERIOD // 60} minutes",
            "conditionThreshold": {
                "filter": self._metric("request_count", failed=True),
                "aggregations": [_sums()],
                **_above(AT_LEAST - 1),
            },
        }

    def _slow(self, name: str) -> dict[str, Any]:
        return {
            "displayName": name,
            "conditionThreshold": {
                "filter": self._metric("request_latencies"),
                # Distributions are put together before the percentile is taken: that of all requests.
                "aggregations": [{**_sums(), "crossSeriesReducer": "REDUCE_PERCENTILE_95"}],
                **_above(1000 * self.latency, seconds=PERIOD),
            },
        }

    def _line(self, name: str, of: str) -> dict[str, Any]:
        return {"displayName": name, "conditionMatchedLog": {"filter": f"{self._resource('=')} AND {of}"}}

    def _metric(self, name: str, *, failed: bool = False) -> str:
        only = ' AND metric.labels.response_code_class = "5xx"' if failed else ""
        return f'{self._resource(" = ")} AND metric.type = "run.googleapis.com/{name}"{only}'

    def _resource(self, equals: str) -> str:
        named = {"resource.type": "cloud_run_revision", "resource.labels.service_name": self.service}
        placed = {"resource.labels.location": self.region} if self.region else {}
        return " AND ".join(f'{key}{equals}"{value}"' for key, value in {**named, **placed}.items())

    def _advice(self, advice: str) -> str:
        return (
            f"{advice}\n\nWhat it says: `gcloud run services logs read {self.service}`. "
            f"Back to the revision before: `python -m mlops_cls.cloud run --service {self.service} --rollback`."
        )


def channel(email: str) -> dict[str, Any]:
    """Return the NotificationChannel of an address."""
    return {"type": "email", "displayName": email, "labels": {"email_address": email}}


def _sums() -> dict[str, Any]:
    return {
        "alignmentPeriod": f"{PERIOD}s",
        "perSeriesAligner": "ALIGN_DELTA",
        "crossSeriesReducer": "REDUCE_SUM",
        "groupByFields": ["resource.label.service_name"],
    }


def _above(value: float, *, seconds: int = 0) -> dict[str, Any]:
    return {
        "comparison": "COMPARISON_GT",
        "thresholdValue": value,
        "duration": f"{seconds}s",
        "trigger": {"count": 1},
    }


def _of_numbers(conditions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"conditions": list(conditions), "alertStrategy": {"autoClose": CLOSE}}


def _of_lines(condition: dict[str, Any], *, rest: int) -> dict[str, Any]:
    """Return what there is no second message of for some hours, however many lines there are."""
    strategy = {"notificationRateLimit": {"period": f"{3600 * rest}s"}, "autoClose": CLOSE}
    return {"conditions": [condition], "alertStrategy": strategy}
