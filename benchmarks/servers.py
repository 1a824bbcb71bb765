"""The servers that are compared, each in processes of its own on a loopback port, behind one interface."""

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

# An hour of speech on two cores may take that long.
PATIENCE_S = 7200.0

# As long as curl's: how fast it is looked for depends on that.
_BOUNDARY = b"-" * 24 + b"d74496d66958873e123456"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What to do with a recording. `language` None: detect it. `words`: times of words; None: as the server is set."""

    language: str | None = "en"
    words: bool | None = None

    def form(self, words_field: str) -> dict[str, str]:
        words = None if self.words is None else str(self.words).lower()
        chosen = {"language": self.language, words_field: words}
        return {name: value for name, value in chosen.items() if value is not None}


class System(Protocol):
    """Something that transcribes."""

    def transcribe(self, path: Path, ask: Ask, /) -> list[dict[str, Any]]:
        """The segments, when all of it is done."""

    def cpu_seconds(self) -> float:
        """Processor time that all of it has used so far: where others keep the machine busy, that is less noisy."""

    def first_segment(self, path: Path, /) -> None:
        """Return as soon as one segment is known; no more needs to be done. The language is not told."""


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
        self.http = httpx2.Client(base_url=self.url, timeout=PATIENCE_S, limits=httpx2.Limits(max_connections=None))
        threading.Thread(target=_drain, args=(lines,), daemon=True).start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def cpu_seconds(self) -> float:
        """Processor time that all of it has used so far."""
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
        """Submit with as little work as a sender can have: header, file by `sendfile`, end."""
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

    def transcribe(self, path: Path, ask: Ask, /) -> list[dict[str, Any]]:
        segments: list[dict[str, Any]] = self.ended(self.submit(path, **ask.form("word_timestamps")))["segments"]
        return segments

    def first_segment(self, path: Path, /) -> None:
        job_id = self.submit(path)
        with self.http.stream("GET", f"/jobs/{job_id}/stream") as response:
            next(line for line in response.iter_lines() if line == "event: segment")
        self.http.delete(f"/jobs/{job_id}").raise_for_status()

    def engine_child(self) -> int:
        """The process of the model, as soon as there is one."""
        while not (found := [pid for pid, command in self.children().items() if "scrivano.engines" in command]):
            time.sleep(0.01)
        return found[0]

    def media_children(self) -> list[int]:
        """Those at work on a recording: forks of the one that waits for requests."""
        _, *working = [pid for pid, command in self.children().items() if "scrivano.media.child" in command] or [0]
        return working


class FasterWhisper:
    """One of faster-whisper's two ways, through a running `benchmarks.baseline`."""

    def __init__(self, process: Process, engine: str) -> None:
        self._http = process.http
        self._engine = engine
        self.cpu_seconds = process.cpu_seconds

    def transcribe(self, path: Path, ask: Ask, /) -> list[dict[str, Any]]:
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
    """A server with its model loaded; without a path, the bundled one."""
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
def baseline(model: Path, concurrency: str) -> Iterator[Process]:
    process = Process(["benchmarks.baseline", "--model", str(model), "--concurrency", concurrency])
    try:
        yield process
    finally:
        process.stop()
