"""What Prometheus reads at `/metrics`: counters fed by telemetry events, and figures that are looked up at each scrape.

Everything is in a registry of its own, so that servers in one process do not add up. Labels are few, and each has a
bounded set of values: models as they are served, routes as they are written, never an id, a path or a host.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from scrivano import __version__
from scrivano.telemetry.events import (
    BatchDecoded,
    EngineLost,
    EngineStarted,
    JobBegan,
    JobEnded,
    JobTranscribed,
    MediaLost,
    RequestEnded,
    StageEnded,
    StreamClosed,
    StreamOpened,
    TelemetryEvent,
    Uploaded,
    WebhookCalled,
)

__all__ = ["Metrics", "Reading", "Sample"]

logger = logging.getLogger(__name__)

STAGE_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300)
CALL_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15)
RTFX = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 3000)
FILL = (0.125, 0.25, 0.5, 0.75, 0.9, 1.0)

# The labels' values, and the figure.
Sample = tuple[Sequence[str], float]


class Reading:
    """A gauge that is looked up when it is asked for. `look` may raise: then the scrape goes on without it."""

    def __init__(self, name: str, text: str, labels: Sequence[str], look: Callable[[], Iterable[Sample]]) -> None:
        self._name = name
        self._text = text
        self._labels = labels
        self._look = look

    def describe(self) -> Iterable[Metric]:
        return [GaugeMetricFamily(self._name, self._text, labels=self._labels)]

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(self._name, self._text, labels=self._labels)
        try:
            for values, figure in self._look():
                family.add_metric(values, figure)
        except Exception:  # one source that cannot be read must not hide all others
            logger.exception("%s cannot be read", self._name)
        return [family]


class Metrics:
    """`emit` is an `Emit`; it takes a few microseconds. `readings`: what is looked up at each scrape."""

    def __init__(self, readings: Iterable[Reading] = ()) -> None:
        self.registry = CollectorRegistry()
        self._define_jobs()
        self._define_engines()
        self._define_calls()
        Gauge("scrivano_build_info", "1, for the version that runs.", ["version"], registry=self.registry).labels(
            __version__
        ).set(1)
        ProcessCollector(registry=self.registry)
        for reading in readings:
            self.registry.register(reading)

    def _define_jobs(self) -> None:
        registry = self.registry
        self._jobs = Counter(
            "scrivano_jobs_ended", "Jobs that ended, by how.", ["outcome", "error_code"], registry=registry
        )
        self._uploaded = Counter("scrivano_upload_bytes", "Bytes of recordings that became jobs.", registry=registry)
        self._stages = Histogram(
            "scrivano_stage_seconds",
            "Wall-clock seconds that a job's stage took; of decode, what a batch took.",
            ["stage"],
            buckets=STAGE_S,
            registry=registry,
        )
        self._rtfx = Histogram(
            "scrivano_job_rtfx",
            "Seconds of audio a second, from a job's begin to its transcript; higher is better.",
            buckets=RTFX,
            registry=registry,
        )
        self._media_lost = Counter(
            "scrivano_media_crashes", "Processes that ended while preparing a recording.", registry=registry
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
            "Chunks in a batch, of those that it could have had.",
            ["model"],
            buckets=FILL,
            registry=registry,
        )
        self._started = Counter("scrivano_engine_starts", "Engine processes started.", ["model"], registry=registry)
        self._lost = Counter(
            "scrivano_engine_losses", "Engine processes lost, by why.", ["model", "reason"], registry=registry
        )

    def _define_calls(self) -> None:
        registry = self.registry
        self._webhooks = Counter("scrivano_webhook_calls", "Webhook calls, by outcome.", ["outcome"], registry=registry)
        self._webhook_secs = Histogram(
            "scrivano_webhook_seconds", "Seconds that a webhook call took.", buckets=CALL_S, registry=registry
        )
        self._requests = Counter(
            "scrivano_http_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._request_secs = Histogram(
            "scrivano_http_request_seconds",
            "Seconds from a request's head to its answer's end; streams are left out.",
            ["method", "route"],
            buckets=REQUEST_S,
            registry=registry,
        )
        self._streams = Gauge("scrivano_sse_streams", "Streams of Server-Sent Events open now.", registry=registry)

    def emit(self, seen: TelemetryEvent) -> None:
        match seen:
            case RequestEnded():
                self._requests.labels(seen.method, seen.route, str(seen.status)).inc()
                if not seen.stream:
                    self._request_secs.labels(seen.method, seen.route).observe(seen.secs)
            case BatchDecoded():
                self._batch(seen)
            case StageEnded():
                self._stages.labels(seen.stage).observe(seen.secs)
            case Uploaded():
                self._stages.labels("upload").observe(seen.secs)
                self._uploaded.inc(seen.size_bytes)
            case JobBegan(waited_secs=waited_secs):
                if waited_secs is not None:
                    self._stages.labels("queued").observe(waited_secs)
            case JobTranscribed():
                if seen.whole and seen.secs > 0:
                    self._rtfx.observe(seen.audio_secs / seen.secs)
            case JobEnded(job=job):
                self._jobs.labels(job.status.value, job.error_code or "").inc()
            case WebhookCalled():
                self._webhooks.labels(seen.outcome).inc()
                self._webhook_secs.observe(seen.secs)
            case EngineStarted():
                self._started.labels(seen.model).inc()
            case EngineLost():
                self._lost.labels(seen.model, seen.reason).inc()
            case MediaLost():
                self._media_lost.inc()
            case StreamOpened():
                self._streams.inc()
            case StreamClosed():
                self._streams.dec()

    def _batch(self, seen: BatchDecoded) -> None:
        self._stages.labels("decode").observe(seen.secs)
        self._audio.labels(seen.model).inc(seen.audio_secs)
        self._busy.labels(seen.model).inc(seen.secs)
        self._chunks.labels(seen.model).inc(len(seen.chunks))
        self._fill.labels(seen.model).observe(len(seen.chunks) / seen.limit)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The body and its content type: OpenMetrics where `accept` asks for it, else Prometheus' text format."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
