"""How a service stands, looked up at the moment when Prometheus asks."""

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector as Asked

from mlops_cls.monitoring.collection import FEEDBACK, RECORDS
from mlops_cls.monitoring.findings import Findings
from mlops_cls.service.collecting import Collector
from mlops_cls.service.engine import Service
from mlops_cls.service.exchanges import Traffic
from mlops_cls.service.metrics import PREFIX
from mlops_cls.service.watching import Watch


@dataclass(frozen=True, slots=True, eq=False)
class States(Asked):
    """The parts that are asked; `collector` is None where nothing is collected."""

    service: Service
    traffic: Traffic
    watch: Watch
    collector: Collector | None

    def describe(self) -> Iterator[Metric]:
        """Say nothing of the names beforehand."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        yield _gauge("ready", "Whether the model is loaded: 1 or 0.", self.service.ready)
        yield _gauge("requests_in_flight", "Requests that have begun, this one too.", self.traffic.in_flight)
        yield _gauge("queue_pictures", "Pictures that wait or are being computed.", self.service.waiting)
        yield _gauge("queue_limit_pictures", "Pictures beyond which more are refused.", self.service.settings.queue)
        yield from _of_findings(self.watch.findings)
        if self.collector is not None:
            yield from _of_collector(self.collector)


def _of_findings(findings: Findings) -> Iterator[Metric]:
    yield _gauge("monitoring_pictures", "Pictures that the last look for drift was at.", findings.pictures)
    if not findings.enough:
        return
    yield _gauge("drift", "Whether the last look found drift: 1 or 0.", findings.drift)
    p_value = GaugeMetricFamily(PREFIX + "drift_p_value", "Corrected p-value of each test.", labels=["test"])
    effect = GaugeMetricFamily(PREFIX + "drift_effect", "Size of each change, 0 to 1.", labels=["test"])
    for change in findings.changes:
        p_value.add_metric([change.name], change.p_adjusted)
        effect.add_metric([change.name], change.effect)
    yield p_value
    yield effect
    if findings.accuracy is not None:
        yield _gauge("feedback_accuracy_ratio", "Share of right answers where feedback told.", findings.accuracy.value)


def _of_collector(collector: Collector) -> Iterator[Metric]:
    written = CounterMetricFamily(PREFIX + "collected", "Lines that were written to the collection.", labels=["kind"])
    for kind in (RECORDS, FEEDBACK):
        written.add_metric([kind], collector.written[kind])
    dropped = CounterMetricFamily(PREFIX + "collection_dropped", "Lines that were let go.", labels=["reason"])
    for reason, number in collector.dropped.items():
        dropped.add_metric([reason], number)
    yield written
    yield dropped
    yield CounterMetricFamily(PREFIX + "collection_failures", "Writes that failed.", collector.failures)
    yield _gauge("collection_waiting", "Records and feedback that are not written yet.", collector.waiting)
    yield _gauge("collection_bytes", "Size of the collection, as far as is known.", collector.used)


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, words, value)
