"""Traces as a collector receives them from a running server."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from served import served, until

RECORDING = Path("src/scrivano/nano/recording.flac")
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
PARTS = {"POST /jobs", "upload", "job", "queued", "prepare", "decode", "assemble", "webhook"}


@pytest.fixture
def collector() -> Iterator[tuple[str, list[Any]]]:
    """An address, and the spans that came there; it is where webhooks go to as well."""
    spans: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    for of_scope in of_resource.scope_spans:
                        spans.extend(of_scope.spans)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", spans
    server.shutdown()
    server.server_close()


def test_a_job_is_one_trace_from_its_submission_to_its_webhook(
    tmp_path: Path, collector: tuple[str, list[Any]]
) -> None:
    url, spans = collector
    with served(tmp_path, ADMISSION="queue", OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_BSP_SCHEDULE_DELAY="100") as server:
        answer = server.http.post(
            "/jobs",
            files={"audio": ("secret-name", RECORDING.read_bytes())},
            data={"webhook_url": f"{url}/hook?token=hush"},
            headers={"traceparent": f"00-{TRACE}-{PARENT}-01"},
        )
        job_id = answer.json()["job_id"]
        server.ended(job_id)
        server.http.get("/health")
        # Each part is sent when it has ended; the job's may be a little later than its webhook.
        until(lambda: {one.name for one in list(spans)} >= PARTS)

    mine = {one.name: one for one in spans if one.trace_id.hex() == TRACE}
    assert set(mine) == PARTS
    request, job = mine["POST /jobs"], mine["job"]
    assert request.parent_span_id.hex() == PARENT
    assert {mine[name].parent_span_id for name in ("upload", "job", "webhook")} == {request.span_id}
    assert {mine[name].parent_span_id for name in ("queued", "prepare", "decode", "assemble")} == {job.span_id}
    assert all(one.start_time_unix_nano <= one.end_time_unix_nano for one in spans)
    told = {item.key: item.value for item in job.attributes}
    assert told["scrivano.job.id"].string_value == job_id
    assert told["scrivano.job.outcome"].string_value == "done"
    assert "secret-name" not in str(spans)
    assert "hush" not in str(spans)
    assert not [one for one in spans if "health" in one.name]


def test_a_collector_that_is_down_holds_nothing_up(tmp_path: Path) -> None:
    with served(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9") as server:
        assert server.http.get("/model/status").status_code == 200
        began = time.monotonic()
        server.close()
    assert time.monotonic() - began < 10
    assert server.process.returncode == 0
