"""The servers that are compared, each in its own processes on a loopback port, behind one interface."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import httpx2

from benchmarks.machine import descendants, tree_cpu_seconds

# How long an hour of speech may take on two cores.
TIMEOUT_S = 7200.0

# As long as curl's, because the time to search for it depends on its length.
_BOUNDARY = b"-" * 24 + b"d74496d66958873e123456"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOptions:
    """Options of a request. `language` None: detect it. `words`: word timestamps; `beam`: its size. None: the server's
    default."""

    language: str | None = "en"
    words: bool | None = None
    beam: int | None = None

    def form(self, words_field: str) -> dict[str, str]:
        words = None if self.words is None else str(self.words).lower()
        beam = None if self.beam is None else str(self.beam)
        chosen = {"language": self.language, words_field: words, "beam_size": beam}
        return {name: value for name, value in chosen.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What the models run on. `batch_size`: faster-whisper's; Scrivano chooses its own."""

    device: str = "cpu"
    compute_type: str = "int8"
    batch_size: int = 8

    @property
    def settings(self) -> dict[str, str]:
        """Scrivano's."""
        return {"DEVICE": self.device, "COMPUTE_TYPE": self.compute_type}


class System(Protocol):
    """A server or library that transcribes."""

    def transcribe(self, path: Path, ask: RequestOptions, /) -> list[dict[str, Any]]:
        """Transcribe the whole recording and return its segments."""

    def cpu_seconds(self) -> float:
        """Processor time of all its processes. On a busy machine, it varies less than the wall-clock time."""

    def first_segment(self, path: Path, /) -> None:
        """Return as soon as one segment is known, and stop. The language is detected."""


class Process:
    """A server that prints one JSON line with its `url` when it listens."""

    def __init__(self, arguments: Sequence[str], **environment: str) -> None:
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", *arguments], stdout=subprocess.PIPE, env={**os.environ, **environment}
        )
        assert self.process.stdout is not None
        lines = self.process.stdout
        self.url: str = next(json.loads(line)["url"] for line in lines if b'"listening"' in line)
        self.http = httpx2.Client(base_url=self.url, timeout=TIMEOUT_S, limits=httpx2.Limits(max_connections=None))
        threading.Thread(target=_drain, args=(lines,), daemon=True).start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def cpu_seconds(self) -> float:
        """Processor time of all its processes."""
        return tree_cpu_seconds(self.pid)

    def children(self) -> dict[int, str]:
        """The command lines of its processes."""
        found = {}
        for pid in descendants(self.pid):
            with suppress(OSError):
                found[pid] = Path(f"/proc/{pid}/cmdline").read_text()
        return found

    def stop(self) -> None:
        self.http.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _drain(lines: IO[bytes]) -> None:
    with lines:
        for _ in lines:
            pass


class Scrivano(Process):
    """`scrivano serve`; `environment` are settings."""

    def __init__(self, data_dir: Path, **environment: str) -> None:
        settings = {"WHISPER_MODEL": "nano", "IDLE_TIMEOUT_SECS": "0", "ADMISSION": "queue", **environment}
        self.database = data_dir / "scrivano.db"
        super().__init__(["scrivano", "serve", "--port", "0", "--data-dir", str(data_dir)], **settings)

    def load(self) -> None:
        self.http.post("/model/load").raise_for_status()
        while (status := self.http.get("/model/status").json())["state"] != "ready":
            if status.get("last_error"):
                raise RuntimeError(status["last_error"])
            time.sleep(0.05)

    def submit(self, path: Path, **form: str) -> str:
        with path.open("rb") as file:
            answer = self.http.post("/jobs", data=form, files={"audio": (path.name, file)})
        return str(answer.raise_for_status().json()["job_id"])

    def send_raw(self, path: Path) -> None:
        """Submit with the least possible work of the sender: header, file with `sendfile`, end."""
        head = b"".join(
            b"--%s\r\nContent-Disposition: form-data; %s" % (_BOUNDARY, part)
            for part in (b'name="queue"\r\n\r\ntrue\r\n', b'name="audio"; filename="a.wav"\r\n\r\n')
        )
        tail = b"\r\n--%s--\r\n" % _BOUNDARY
        size = len(head) + path.stat().st_size + len(tail)
        address = httpx2.URL(self.url)
        with socket.create_connection((address.host, address.port or 80)) as connection, path.open("rb") as file:
            connection.sendall(
                b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=%s\r\n"
                b"Content-Length: %d\r\n\r\n" % (_BOUNDARY, size) + head
            )
            connection.sendfile(file)
            connection.sendall(tail)
            if not (answer := connection.recv(65536)).startswith(b"HTTP/1.1 202"):
                raise RuntimeError(answer.decode(errors="replace"))

    def ended(self, job_id: str) -> dict[str, Any]:
        while True:
            job: dict[str, Any] = self.http.get(f"/jobs/{job_id}", params={"wait": "60"}).raise_for_status().json()
            if job["status"] == "done":
                return job
            if job["status"] in ("failed", "cancelled"):
                raise RuntimeError(job["error"])

    def transcribe(self, path: Path, ask: RequestOptions, /) -> list[dict[str, Any]]:
        segments: list[dict[str, Any]] = self.ended(self.submit(path, **ask.form("word_timestamps")))["segments"]
        return segments

    def first_segment(self, path: Path, /) -> None:
        job_id = self.submit(path)
        with self.http.stream("GET", f"/jobs/{job_id}/stream") as response:
            next(line for line in response.iter_lines() if line == "event: segment")
        self.http.delete(f"/jobs/{job_id}").raise_for_status()

    def engine_child(self) -> int:
        """Wait for the engine process, and return its id."""
        while not (found := [pid for pid, command in self.children().items() if "scrivano.engines" in command]):
            time.sleep(0.01)
        return found[0]

    def media_children(self) -> list[int]:
        """The processes that prepare recordings: forks of the fork server."""
        _, *working = [pid for pid, command in self.children().items() if "scrivano.media.child" in command] or [0]
        return working


class FasterWhisper:
    """One of faster-whisper's modes, in a running `benchmarks.baseline`; or whisper.cpp there."""

    def __init__(self, process: Process, engine: str) -> None:
        self._http = process.http
        self._engine = engine
        self.pid = process.pid
        self.cpu_seconds = process.cpu_seconds

    def transcribe(self, path: Path, ask: RequestOptions, /) -> list[dict[str, Any]]:
        segments: list[dict[str, Any]] = self._post("/transcribe", path, ask.form("words"))
        return segments

    def first_segment(self, path: Path, /) -> None:
        self._post("/first", path, {})

    def _post(self, route: str, path: Path, form: dict[str, str]) -> Any:
        with path.open("rb") as file:
            answer = self._http.post(route, data={"engine": self._engine, **form}, files={"audio": (path.name, file)})
        return answer.raise_for_status().json()


@contextmanager
def scrivano(model: Path | None = None, **environment: str) -> Iterator[Scrivano]:
    """A server with a loaded model; without a path, the bundled model."""
    if model is not None:
        environment["WHISPER_MODEL_PATH"] = str(model)
    with served(**environment) as server:
        server.load()
        yield server


@contextmanager
def served(**environment: str) -> Iterator[Scrivano]:
    """A server without a model."""
    with tempfile.TemporaryDirectory(prefix="scrivano-bench-") as folder:
        server = Scrivano(Path(folder), **environment)
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def whisper_cpp(file: Path) -> Iterator[FasterWhisper]:
    """whisper.cpp through its Python wheel, one request at a time, with a GGML file."""
    with baseline(file, "lock", Placement()) as process:
        yield FasterWhisper(process, "whisper.cpp")


@contextmanager
def baseline(model: Path, concurrency: str, placement: Placement) -> Iterator[Process]:
    options = {
        "model": model,
        "concurrency": concurrency,
        "device": placement.device,
        "compute-type": placement.compute_type,
        "batch-size": placement.batch_size,
    }
    process = Process(
        ["benchmarks.baseline", *(text for name, value in options.items() for text in (f"--{name}", str(value)))]
    )
    try:
        yield process
    finally:
        process.stop()
