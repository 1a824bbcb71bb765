"""SIGTERM while everything is under way at once."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from pathlib import Path

import httpx2
from media_files import repeated
from runner_bench import SECOND, bench
from served import TIMEOUT_S, Served, served, start, until

from scrivano.client.sse import frames
from scrivano.domain.job import JobStatus


def follow(server: Served, job_id: str, seen: list[str]) -> None:
    with server.http.stream("GET", f"/jobs/{job_id}/stream") as answer:
        for frame in frames(answer.iter_raw()):
            seen.append(frame.event)


def half_an_upload(server: Served, path: bytes = b"/jobs", field: bytes = b"audio") -> socket.socket:
    """A client that has sent some of its recording, and takes its time for the rest."""
    host, port = server.url.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)))
    client.sendall(
        b"POST " + path + b" HTTP/1.1\r\nHost: here\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        b"Content-Length: 50000000\r\n\r\n--b\r\nContent-Disposition: form-data; name="
        + field
        + b"; filename=a\r\n\r\n"
        + b"x" * 4_000_000
    )
    return client


def test_everything_ends_in_order_within_ten_seconds(tmp_path: Path) -> None:
    long = repeated(tmp_path / "long.wav", seconds=600)
    silent = socket.create_server(("127.0.0.1", 0))  # takes webhooks, and never answers
    server = Served(start(tmp_path / "data", ADMISSION="queue"))
    hook = f"http://127.0.0.1:{silent.getsockname()[1]}/"
    clip = server.submit("en-clean-short-00.flac", webhook_url=hook)
    server.ended(clip)
    answer = server.http.post("/jobs", files={"audio": long.read_bytes()})
    job_id = answer.json()["job_id"]
    seen: list[str] = []
    stream = threading.Thread(target=follow, args=(server, job_id, seen))
    waiting = threading.Thread(target=lambda: server.http.get(f"/jobs/{job_id}?wait=60"))
    for thread in (stream, waiting):
        thread.start()
    client = half_an_upload(server)
    until(lambda: "segment" in seen and list((tmp_path / "data" / "uploads").glob("*.part")))

    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    code = server.process.wait(TIMEOUT_S)
    seconds = time.monotonic() - began
    for thread in (stream, waiting):
        thread.join(TIMEOUT_S)
    client.close()
    silent.close()
    server.close()

    assert code == 0
    assert seconds < 10
    assert "done" not in seen
    assert not [line for line in server.log if line["level"] in ("error", "critical")]
    with served(tmp_path / "data") as again:
        until(lambda: again.job(job_id)["status"] == "running")
        assert not list((tmp_path / "data" / "uploads").glob("*.part"))
        assert [job["id"] for job in again.http.get("/jobs").json()["jobs"]] == [job_id, clip]
        again.http.delete(f"/jobs/{job_id}")


def test_an_upload_is_told_that_the_server_stops(tmp_path: Path) -> None:
    server = Served(start(tmp_path / "data"))
    paths = {b"/jobs": b"audio", b"/v1/audio/transcriptions": b"file", b"/asr": b"audio_file"}
    clients = [half_an_upload(server, path, field) for path, field in paths.items()]
    until(lambda: len(list((tmp_path / "data" / "uploads").glob("*.part"))) == len(paths))

    server.process.send_signal(signal.SIGTERM)
    answers = [everything(client) for client in clients]
    server.close()

    assert server.process.returncode == 0
    # Open requests have five seconds, and are cut then, without a response.
    for head, _ in answers:
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 5" in head.lower()
    plain, openai, asr = [body for _, body in answers]
    assert json.loads(plain) == {"error": "the server is stopping: send the recording again when the server is back"}
    assert json.loads(openai)["error"]["code"] == "server_stopping"
    assert asr == b""
    assert not [line for line in server.log if "exception" in line or line["level"] in ("error", "warning")]


def everything(client: socket.socket) -> tuple[bytes, bytes]:
    """Head and body of the response, which ends with the connection."""
    client.settimeout(TIMEOUT_S)
    with client, client.makefile("rb") as stream:
        head, _, body = stream.read().partition(b"\r\n\r\n")
    return head, body


def test_no_submission_is_taken_once_the_end_has_begun(tmp_path: Path) -> None:
    with served(tmp_path, ADMISSION="queue") as server:
        server.process.send_signal(signal.SIGTERM)
        until(lambda: _refused(server.url))


def _refused(url: str) -> bool:
    try:
        httpx2.post(f"{url}/jobs", files={"audio": b"x"})
    except httpx2.HTTPError:
        return True
    return False


def test_the_batch_in_the_engine_is_finished_and_kept(tmp_path: Path) -> None:
    many = [[n * SECOND, (n + 1) * SECOND] for n in range(20)]
    with bench(tmp_path, options={"batch_size": 4, "drain_s": 60.0}, decode=["ok", "told"]) as it:
        job_id = it.submit(many)
        until(lambda: len(it.batches) == 2)
        it.runner.drain()
        it.tell()
        it.runner.stop(60.0)

        assert it.store.get_job(job_id).status is JobStatus.RUNNING
        decoded = [item.chunk.index for item in it.store.chunks(job_id) if item.result is not None]
        given = [chunk["pieces"][0][0] // SECOND for batch in it.batches for chunk in batch]
        assert decoded == sorted(given)
        assert len(it.batches) == 2, json.dumps(it.batches)
