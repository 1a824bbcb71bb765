"""The metrics at `/metrics`: counters and histograms fed by telemetry events, and gauges that are read at each scrape.

Each server has its own registry, so that several servers in one process (in tests) are counted separately. Labels have
few values: names of models, templates of routes, never an id, a path or a host (each value is a time series).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from scrivano import __version__
from scrivano.telemetry.events import (
    BatchDecoded,
    EngineLost,
    EngineStarted,
    JobEnded,
    JobStarted,
    JobTranscribed,
    MediaProcessLost,
    RequestEnded,
    StageEnded,
    StreamClosed,
    StreamOpened,
    TelemetryEvent,
    Uploaded,
    WebhookCalled,
)

__all__ = ["MetricGauge", "Metrics", "Sample"]

logger = logging.getLogger(__name__)

STAGE_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300)
CALL_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15)
RTFX = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 3000)
FILL = (0.125, 0.25, 0.5, 0.75, 0.9, 1.0)

# The values of the labels, and the value of the gauge.
Sample = tuple[Sequence[str], float]


@dataclass(frozen=True, slots=True, eq=False)  # The registry needs it to be hashable.
class MetricGauge:
    """A gauge whose samples are read at each scrape. If `read` raises, the error is logged and the gauge is left out.

    It is a collector of prometheus_client: `describe` and `collect` are called by the registry.
    """

    name: str
    text: str
    labels: Sequence[str]
    read: Callable[[], Iterable[Sample]]

    def describe(self) -> Iterable[Metric]:
        return [GaugeMetricFamily(self.name, self.text, labels=self.labels)]

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(self.name, self.text, labels=self.labels)
        try:
            for values, value in self.read():
                family.add_metric(values, value)
        except Exception:  # One source that cannot be read must not hide all others.
            logger.exception("could not read the gauge %s", self.name)
        return [family]


class Metrics:
    """`emit` is an `Emit`; it takes a few microseconds."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._define_jobs()
        self._define_engines()
        self._define_calls()
        Gauge(
            "scrivano_build_info", "1, labelled with the running version.", ["version"], registry=self.registry
        ).labels(__version__).set(1)
        ProcessCollector(registry=self.registry)

    def add(self, gauges: Iterable[MetricGauge]) -> None:
        """Read these at each scrape from now on. They read parts of the server that are built with `emit`."""
        for gauge in gauges:
            self.registry.register(gauge)

    def _define_jobs(self) -> None:
        registry = self.registry
        self._jobs = Counter(
            "scrivano_jobs_ended", "Jobs that ended, by outcome.", ["outcome", "error_code"], registry=registry
        )
        self._uploaded = Counter("scrivano_upload_bytes", "Bytes of recordings that became jobs.", registry=registry)
        self._stages = Histogram(
            "scrivano_stage_seconds",
            "Wall-clock seconds of each stage of a job; for decode, of each batch.",
            ["stage"],
            buckets=STAGE_S,
            registry=registry,
        )
        self._rtfx = Histogram(
            "scrivano_job_rtfx",
            "Seconds of audio per second, from a job's start to its transcript; higher is better.",
            buckets=RTFX,
            registry=registry,
        )
        self._media_lost = Counter(
            "scrivano_media_crashes", "Media processes that ended while they prepared a recording.", registry=registry
        )

    def _define_engines(self) -> None:
        registry = self.registry
        self._audio = Counter(
            "scrivano_engine_audio_seconds", "Seconds of speech decoded.", ["model"], registry=registry
        )
        self._busy = Counter("scrivano_engine_busy_seconds", "Seconds spent decoding.", ["model"], registry=registry)
        self._chunks = Counter("scrivano_engine_chunks", "Chunks decoded.", ["model"], registry=registry)
        self._fill = Histogram(
            "scrivano_engine_batch_fill_ratio",
            "Chunks in a batch, as a share of the batch size.",
            ["model"],
            buckets=FILL,
            registry=registry,
        )
        self._started = Counter("scrivano_engine_starts", "Engine processes started.", ["model"], registry=registry)
        self._lost = Counter(
            "scrivano_engine_losses", "Engine processes lost, by reason.", ["model", "reason"], registry=registry
        )

    def _define_calls(self) -> None:
        registry = self.registry
        self._webhooks = Counter("scrivano_webhook_calls", "Webhook calls, by outcome.", ["outcome"], registry=registry)
        self._webhook_s = Histogram(
            "scrivano_webhook_seconds", "Seconds of each webhook call.", buckets=CALL_S, registry=registry
        )
        self._requests = Counter(
            "scrivano_http_requests", "HTTP requests answered.", ["method", "route", "status"], registry=registry
        )
        self._request_s = Histogram(
            "scrivano_http_request_seconds",
            "Seconds from a request's headers to the end of its response, without streams.",
            ["method", "route"],
            buckets=REQUEST_S,
            registry=registry,
        )
        self._streams = Gauge("scrivano_sse_streams", "Open streams of Server-Sent Events.", registry=registry)

    def emit(self, event: TelemetryEvent) -> None:
        match event:
            case RequestEnded():
                self._requests.labels(event.method, event.route, str(event.status)).inc()
                if not event.stream:
                    self._request_s.labels(event.method, event.route).observe(event.duration_s)
            case BatchDecoded():
                self._batch(event)
            case StageEnded():
                self._stages.labels(event.stage).observe(event.duration_s)
            case Uploaded():
                self._stages.labels("upload").observe(event.duration_s)
                self._uploaded.inc(event.size_bytes)
            case JobStarted(queued_s=queued_s):
                if queued_s is not None:
                    self._stages.labels("queued").observe(queued_s)
            case JobTranscribed():
                if event.whole and event.duration_s > 0:
                    self._rtfx.observe(event.audio_s / event.duration_s)
            case JobEnded(job=job):
                self._jobs.labels(job.status.value, job.error_code or "").inc()
            case WebhookCalled():
                self._webhooks.labels(event.outcome).inc()
                self._webhook_s.observe(event.duration_s)
            case EngineStarted():
                self._started.labels(event.model).inc()
            case EngineLost():
                self._lost.labels(event.model, event.reason).inc()
            case MediaProcessLost():
                self._media_lost.inc()
            case StreamOpened():
                self._streams.inc()
            case StreamClosed():
                self._streams.dec()

    def _batch(self, event: BatchDecoded) -> None:
        self._stages.labels("decode").observe(event.duration_s)
        self._audio.labels(event.model).inc(event.audio_s)
        self._busy.labels(event.model).inc(event.duration_s)
        self._chunks.labels(event.model).inc(len(event.job_ids))
        self._fill.labels(event.model).observe(len(event.job_ids) / event.limit)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The body and its content type: OpenMetrics if `accept` asks for it, else Prometheus' text format."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
