"""OpenTelemetry traces: what became of a request, through its job, to its webhook, in one picture.

On where the standard variables say where spans go to, and only then is the library imported. A job's spans belong to
the trace in which it was submitted (W3C `traceparent`), which is stored with the job: a restart does not break it.
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
    JobBegan,
    JobEnded,
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

# Jobs whose span is remembered; what is told of a job after its end still belongs to it.
KEPT = 1000

# What the last spans get to be sent when the server ends.
FLUSH_S = 2.0


def tracing(environ: Mapping[str, str]) -> Tracing | None:
    """None where nobody asked for traces. Raises `StartError` where they are asked for and cannot be had."""
    if not _wanted(environ):
        return None
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        raise StartError(
            f"traces need OpenTelemetry: pip install 'scrivano[telemetry]', or unset {' and '.join(ENDPOINTS)}"
            " and OTEL_TRACES_EXPORTER"
        )
    return Tracing(environ)


def _wanted(environ: Mapping[str, str]) -> bool:
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if exporter == "none" or environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if exporter not in ("", "otlp"):
        raise StartError(f"OTEL_TRACES_EXPORTER cannot be {exporter!r}: it must be otlp or none")
    for name in PROTOCOLS:
        if environ.get(name, "http/protobuf") != "http/protobuf":
            raise StartError(f"{name} cannot be {environ[name]!r}: spans are sent as http/protobuf")
    return exporter == "otlp" or any(environ.get(name) for name in ENDPOINTS)


class Tracing:
    """`emit` is an `Emit`, `request` a `StartSpan`. Any thread may call; spans are sent by a thread of their own.

    Where spans go to, and which are kept, the exporter and the sampler read from the environment themselves.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        named = "OTEL_SERVICE_NAME" in environ or "service.name" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        known = {"service.version": __version__, **({} if named else {"service.name": "scrivano"})}
        # Not the process's: a server is closed, and its spans with it.
        self._provider = TracerProvider(resource=Resource.create(known), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("scrivano", __version__)
        self._propagator = TraceContextTextMapPropagator()
        self._jobs: dict[str, Span] = {}

    def close(self) -> None:
        """Send what is left, and end; a collector that does not answer is not waited for."""
        ending = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        ending.start()
        ending.join(FLUSH_S)

    def request(self, method: str, traceparent: str | None) -> RequestSpan:
        """Begin the span of a request."""
        span = self._tracer.start_span(
            method, self._context(traceparent), _kind("SERVER"), {"http.request.method": method}
        )
        return RequestSpan(span, method)

    def emit(self, seen: TelemetryEvent) -> None:
        match seen:
            case Uploaded(job=job):
                about = {"scrivano.job.id": job.id, "scrivano.upload.bytes": seen.size_bytes}
                self._past("upload", seen.secs, self._context(job.traceparent), about)
            case JobBegan(job=job):
                span = self._remember(job)
                if seen.waited_secs is not None:
                    self._past("queued", seen.waited_secs, _inside(span))
            case StageEnded():
                self._stage(seen.job_id, seen.stage, seen.secs)
            case BatchDecoded():
                for job_id in set(seen.chunks):
                    about = {
                        "scrivano.model": seen.model,
                        "scrivano.batch.chunks": len(seen.chunks),
                        "scrivano.batch.chunks_of_job": seen.chunks.count(job_id),
                    }
                    self._stage(job_id, "decode", seen.secs, about)
            case JobEnded(job=job):
                self._end(job)
            case WebhookCalled(job_id=job_id) if job_id is not None:
                self._webhook(seen, job_id)

    def _remember(self, job: Job) -> Span:
        began = _ns(job.created_at) if job.attempt <= 1 else None
        about: dict[str, Any] = {
            "scrivano.job.id": job.id,
            "scrivano.job.attempt": job.attempt,
            "scrivano.job.task": job.task.value,
        }
        context = self._context(job.traceparent)
        span = self._tracer.start_span("job", context, attributes=about, start_time=began)
        self._jobs.pop(job.id, None)
        self._jobs[job.id] = span
        if len(self._jobs) > KEPT:
            del self._jobs[next(iter(self._jobs))]
        return span

    def _end(self, job: Job) -> None:
        """A job that waited until it was cancelled has not begun; its span is as long as it waited."""
        span = self._jobs.get(job.id)
        if span is None or not span.is_recording():
            span = self._remember(job)
        span.set_attribute("scrivano.job.outcome", job.status.value)
        if job.duration_secs is not None:
            span.set_attribute("scrivano.audio.seconds", job.duration_secs)
        if job.status is JobStatus.FAILED:
            span.set_status(_status_error(job.error_code or ""))
        span.end()

    def _stage(self, job_id: str, name: str, secs: float, about: Mapping[str, Any] | None = None) -> None:
        span = self._jobs.get(job_id)
        if span is not None:
            self._past(name, secs, _inside(span), about)

    def _webhook(self, seen: WebhookCalled, job_id: str) -> None:
        about: dict[str, Any] = {"scrivano.job.id": job_id, "scrivano.webhook.outcome": seen.outcome}
        if seen.status is not None:
            about["http.response.status_code"] = seen.status
        context, failed = self._context(seen.traceparent), seen.outcome != "delivered"
        self._past("webhook", seen.secs, context, about, kind="CLIENT", failed=failed)

    def _past(
        self,
        name: str,
        secs: float,
        context: Context,
        about: Mapping[str, Any] | None = None,
        *,
        kind: Literal["INTERNAL", "CLIENT"] = "INTERNAL",
        failed: bool = False,
    ) -> None:
        """A span that ends now."""
        began = time.time_ns() - int(secs * 1e9)
        span = self._tracer.start_span(name, context, _kind(kind), dict(about or {}), start_time=began)
        if failed:
            span.set_status(_status_error(""))
        span.end()

    def _context(self, traceparent: str | None) -> Context:
        """What a span belongs to; a `traceparent` that cannot be read is as none."""
        from opentelemetry.context import Context

        return self._propagator.extract({"traceparent": traceparent} if traceparent else {}, Context())


class RequestSpan:
    """The span of a request that goes on."""

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


def _status_error(why: str) -> Any:
    from opentelemetry.trace import Status, StatusCode

    return Status(StatusCode.ERROR, why or None)


def _ns(when: datetime) -> int:
    return int(when.timestamp() * 1e9)
