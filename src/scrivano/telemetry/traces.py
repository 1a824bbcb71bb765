"""OpenTelemetry traces: one trace has the request that submitted a job, the job's stages, and its webhook calls.

Tracing is on if the standard environment variables name a collector; only then is the library imported. A job's spans
belong to the trace of its submission. Its W3C `traceparent` is stored with the job, so it survives a restart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from datetime import datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from scrivano import __version__
from scrivano.domain.errors import StartError
from scrivano.domain.job import Job, JobStatus
from scrivano.telemetry.events import (
    BatchDecoded,
    JobEnded,
    JobStarted,
    StageEnded,
    TelemetryEvent,
    Uploaded,
    WebhookCalled,
)

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

__all__ = ["Tracing", "tracing"]

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

# How many jobs' spans are remembered. A job's span is still needed after its end, because late events may follow.
MAX_JOBS = 1000

# How long the server waits at its end for the last spans to be sent.
FLUSH_S = 2.0


def tracing(environ: Mapping[str, str]) -> Tracing | None:
    """None if tracing is off. Raises `StartError` if it is on but cannot work."""
    if not _is_on(environ):
        return None
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        raise StartError(
            f"traces need OpenTelemetry: pip install 'scrivano[telemetry]', or unset {' and '.join(ENDPOINTS)}"
            " and OTEL_TRACES_EXPORTER"
        )
    return Tracing(environ)


def _is_on(environ: Mapping[str, str]) -> bool:
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if exporter == "none" or environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if exporter not in ("", "otlp"):
        raise StartError(f"OTEL_TRACES_EXPORTER is {exporter!r}: it must be otlp or none")
    for name in PROTOCOLS:
        if environ.get(name, "http/protobuf") != "http/protobuf":
            raise StartError(f"{name} is {environ[name]!r}: only http/protobuf is supported")
    return exporter == "otlp" or any(environ.get(name) for name in ENDPOINTS)


class Tracing:
    """`emit` is an `Emit`, `start_request` a `StartSpan`. Thread-safe; the exporter's own thread sends the spans.

    The exporter and the sampler read their settings from the environment themselves.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        named = "OTEL_SERVICE_NAME" in environ or "service.name" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        known = {"service.version": __version__, **({} if named else {"service.name": "scrivano"})}
        # Not the global provider: this one is shut down with its server, not with the process.
        self._provider = TracerProvider(resource=Resource.create(known), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("scrivano", __version__)
        self._propagator = TraceContextTextMapPropagator()
        self._jobs: dict[str, Span] = {}

    def close(self) -> None:
        """Send the remaining spans. A collector that does not answer delays the end by at most `FLUSH_S`."""
        ending = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        ending.start()
        ending.join(FLUSH_S)

    def start_request(self, method: str, traceparent: str | None) -> RequestSpan:
        """Start the span of a request. `traceparent`: the header that came with it."""
        span = self._tracer.start_span(
            method, self._context(traceparent), _kind("SERVER"), {"http.request.method": method}
        )
        return RequestSpan(span, method)

    def emit(self, event: TelemetryEvent) -> None:
        match event:
            case Uploaded(job=job):
                attributes = {"scrivano.job.id": job.id, "scrivano.upload.bytes": event.size_bytes}
                self._ended_span("upload", event.duration_s, self._context(job.traceparent), attributes)
            case JobStarted(job=job):
                span = self._start_job(job)
                if event.queued_s is not None:
                    self._ended_span("queued", event.queued_s, _inside(span))
            case StageEnded():
                self._stage(event.job_id, event.stage, event.duration_s)
            case BatchDecoded():
                for job_id in set(event.job_ids):
                    attributes = {
                        "scrivano.model": event.model,
                        "scrivano.batch.chunks": len(event.job_ids),
                        "scrivano.batch.chunks_of_job": event.job_ids.count(job_id),
                    }
                    self._stage(job_id, "decode", event.duration_s, attributes)
            case JobEnded(job=job):
                self._end_job(job)
            case WebhookCalled(job_id=job_id) if job_id is not None:
                self._webhook(event, job_id)

    def _start_job(self, job: Job) -> Span:
        started_at = _ns(job.created_at) if job.attempt <= 1 else None
        attributes: dict[str, Any] = {
            "scrivano.job.id": job.id,
            "scrivano.job.attempt": job.attempt,
            "scrivano.job.task": job.task.value,
        }
        context = self._context(job.traceparent)
        span = self._tracer.start_span("job", context, attributes=attributes, start_time=started_at)
        self._jobs.pop(job.id, None)
        self._jobs[job.id] = span
        if len(self._jobs) > MAX_JOBS:
            del self._jobs[next(iter(self._jobs))]
        return span

    def _end_job(self, job: Job) -> None:
        """A job that was cancelled in the queue has no span yet; it gets one as long as it was queued."""
        span = self._jobs.get(job.id)
        if span is None or not span.is_recording():
            span = self._start_job(job)
        span.set_attribute("scrivano.job.outcome", job.status.value)
        if job.duration_secs is not None:
            span.set_attribute("scrivano.audio.seconds", job.duration_secs)
        if job.status is JobStatus.FAILED:
            span.set_status(_status_error(job.error_code or ""))
        span.end()

    def _stage(self, job_id: str, name: str, duration_s: float, attributes: Mapping[str, Any] | None = None) -> None:
        span = self._jobs.get(job_id)
        if span is not None:
            self._ended_span(name, duration_s, _inside(span), attributes)

    def _webhook(self, event: WebhookCalled, job_id: str) -> None:
        attributes: dict[str, Any] = {"scrivano.job.id": job_id, "scrivano.webhook.outcome": event.outcome}
        if event.status is not None:
            attributes["http.response.status_code"] = event.status
        context, failed = self._context(event.traceparent), event.outcome != "delivered"
        self._ended_span("webhook", event.duration_s, context, attributes, kind="CLIENT", failed=failed)

    def _ended_span(
        self,
        name: str,
        duration_s: float,
        context: Context,
        attributes: Mapping[str, Any] | None = None,
        *,
        kind: Literal["INTERNAL", "CLIENT"] = "INTERNAL",
        failed: bool = False,
    ) -> None:
        """A span that ends now."""
        started_at = time.time_ns() - int(duration_s * 1e9)
        span = self._tracer.start_span(name, context, _kind(kind), dict(attributes or {}), start_time=started_at)
        if failed:
            span.set_status(_status_error(""))
        span.end()

    def _context(self, traceparent: str | None) -> Context:
        """The parent of a span. An invalid `traceparent` is ignored."""
        from opentelemetry.context import Context

        return self._propagator.extract({"traceparent": traceparent} if traceparent else {}, Context())


class RequestSpan:
    """The span of a request in progress."""

    def __init__(self, span: Span, method: str) -> None:
        self._span = span
        self._method = method

    @property
    def traceparent(self) -> str | None:
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def end(self, route: str, status: int, job_id: str | None) -> None:
        self._span.update_name(f"{self._method} {route}")
        self._span.set_attributes({"http.route": route, "http.response.status_code": status})
        if job_id is not None:
            self._span.set_attribute("scrivano.job.id", job_id)
        if status >= 500:
            self._span.set_status(_status_error(""))
        self._span.end()


def _inside(span: Span) -> Context:
    from opentelemetry.context import Context
    from opentelemetry.trace import set_span_in_context

    return set_span_in_context(span, Context())


def _kind(name: Literal["INTERNAL", "CLIENT", "SERVER"]) -> Any:
    from opentelemetry.trace import SpanKind

    return SpanKind[name]


def _status_error(description: str) -> Any:
    from opentelemetry.trace import Status, StatusCode

    return Status(StatusCode.ERROR, description or None)


def _ns(when: datetime) -> int:
    return int(when.timestamp() * 1e9)
