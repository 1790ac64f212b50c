"""What Prometheus reads of a service. Every app has a registry of its own, so that two in a process do not mix."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    Info,
    Metric,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from mlops_cls.service.engine import Seen, Service
from mlops_cls.service.exchanges import Exchange

PREFIX = "mlops_cls_"
OPENMETRICS = "application/openmetrics-text"
REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
STAGE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
BATCH_PICTURES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
CONFIDENCES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)


class Metrics:
    """Counts what happens; how things stand is looked up when it is asked (`states.States`)."""

    def __init__(self) -> None:
        self.registry = _Registry()
        self._requests = self._counter("requests_total", "Requests that ended.", "route", "method", "status")
        self._problems = self._counter("problems_total", "Requests that were refused.", "code")
        self._predictions = self._counter("predictions_total", "Pictures by the class that they were given.", "class")
        self._abstentions = self._counter("abstentions_total", "Pictures that were left to a person.")
        self._seconds = self._histogram(
            "request_duration_seconds", "From a request's beginning to its answer's end.", REQUEST_SECONDS, "route"
        )
        self._decode = self._histogram("decode_seconds", "Decoding and fitting a picture.", STAGE_SECONDS)
        self._wait = self._histogram("queue_wait_seconds", "A picture's wait for the network.", STAGE_SECONDS)
        self._inference = self._histogram("inference_seconds", "A batch in the network.", STAGE_SECONDS)
        self._batch = self._histogram("batch_pictures", "Pictures of a batch.", BATCH_PICTURES)
        self._confidence = self._histogram("confidence_ratio", "Probability of the class that was given.", CONFIDENCES)
        self._model = Info(f"{PREFIX}model", "What answers.", registry=self.registry)
        for of_process in (ProcessCollector, PlatformCollector, GCCollector):
            of_process(registry=self.registry)

    def exchanged(self, exchange: Exchange) -> None:
        """Count a request."""
        self._requests.labels(exchange.route, exchange.method, str(exchange.status)).inc()
        self._seconds.labels(exchange.route).observe(exchange.seconds)
        if exchange.problem:
            self._problems.labels(exchange.problem).inc()

    def see(self, seen: Sequence[Seen]) -> None:
        """Count answers."""
        for one in seen:
            self._predictions.labels(one.prediction.label).inc()
            self._confidence.observe(one.prediction.confidence)
            self._abstentions.inc(one.prediction.abstains)

    def decoded(self, seconds: float) -> None:
        """Count a picture."""
        self._decode.observe(seconds)

    def computed(self, waits: Sequence[float], seconds: float) -> None:
        """Count a batch; `waits` are the seconds for which its pictures waited."""
        self._batch.observe(len(waits))
        self._inference.observe(seconds)
        for wait in waits:
            self._wait.observe(wait)

    @contextmanager
    def beside(self, service: Service) -> Iterator[None]:
        """Name the model and its classes, and count its answers; a `Part`."""
        assert service.predictor is not None
        card = service.predictor.card
        self._model.info({"name": card.architecture.name, "version": card.digest, "backend": service.predictor.backend})
        for name in card.classes:
            self._predictions.labels(name)  # 0 is something else than unknown
        service.observers.append(self.see)
        try:
            yield
        finally:
            service.observers.remove(self.see)

    def text(self, accept: str) -> tuple[bytes, str]:
        """Return everything, and its media type: OpenMetrics for a client that accepts it, else Prometheus's own."""
        # Not prometheus_client's `choose_encoder`, which fails on versions that are no numbers.
        if OPENMETRICS in accept.lower():
            content: bytes = openmetrics.generate_latest(self.registry)  # type: ignore[no-untyped-call]
            return content, openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(self.registry), CONTENT_TYPE_PLAIN_0_0_4

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, words, labels, registry=self.registry)

    def _histogram(self, name: str, words: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(PREFIX + name, words, labels, buckets=buckets, registry=self.registry)


class _Registry(CollectorRegistry):
    """Leaves out when each series began, which would be a third more of them, and which hardly anyone reads."""

    def collect(self) -> Iterator[Metric]:
        for metric in super().collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric
