"""A real server in its own process, and helpers that use it from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx2

T = TypeVar("T")

DATA = Path(__file__).parent / "data" / "recordings"
CATALOG: dict[str, dict[str, Any]] = {item["file"]: item for item in json.loads((DATA / "recordings.json").read_text())}

TIMEOUT_S = 120.0


def until(condition: Callable[[], T], timeout_s: float = TIMEOUT_S) -> T:
    """Call `condition` until its result is true, and return that. Fails after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        if found := condition():
            return found
        assert time.monotonic() < deadline, f"still {found!r} after {timeout_s} s"
        time.sleep(0.02)


class Served:
    """A running server. `log`: its log lines so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.log: list[dict[str, Any]] = []
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._listening.wait(TIMEOUT_S), "the server does not listen"
        listening = next((line for line in self.log if line["message"] == "listening"), None)
        assert listening is not None, self.log
        self.url: str = listening["url"]
        self.http = httpx2.Client(base_url=self.url, timeout=TIMEOUT_S)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for text in lines:
                line = json.loads(text)
                self.log.append(line)
                if line["message"] == "listening":
                    self._listening.set()
        self._listening.set()

    def close(self) -> None:
        """Stop the server. Afterwards the log is complete."""
        self.http.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(TIMEOUT_S)
        self._reader.join(TIMEOUT_S)

    def submit(self, name: str, **fields: str) -> str:
        answer = self.http.post("/jobs", files={"audio": (name, (DATA / name).read_bytes())}, data=fields)
        assert answer.status_code == 202, answer.text
        assert set(answer.json()) == {"job_id"}
        job_id: str = answer.json()["job_id"]
        return job_id

    def job(self, job_id: str) -> dict[str, Any]:
        body: dict[str, Any] = self.http.get(f"/jobs/{job_id}").json()
        return body

    def ended(self, job_id: str, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        return until(lambda: self._if_ended(job_id), timeout_s)

    def _if_ended(self, job_id: str) -> dict[str, Any]:
        job = self.job(job_id)
        return job if job["status"] in ("done", "failed", "cancelled") else {}

    def state(self) -> str:
        state: str = self.http.get("/model/status").json()["state"]
        return state

    def load(self) -> None:
        self.http.post("/model/load")
        until(lambda: self.state() == "ready")

    @contextmanager
    def paused(self, name: str) -> Iterator[None]:
        """Stop its `media`, `engine` or `speakers` processes meanwhile: what needs them cannot end."""
        stopped = self.children(name)
        assert stopped, f"no {name} process"
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in stopped:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def children(self, name: str) -> list[int]:
        """The process ids of its `media`, `engine` or `speakers` processes, including forked ones."""
        marks = {
            "media": "scrivano.media.child",
            "engine": "scrivano.engines.worker",
            "speakers": "scrivano.speakers.child",
        }
        return [pid for pid, command in _descendants(self.process.pid).items() if marks[name] in command]


def _descendants(pid: int) -> dict[int, str]:
    """Process ids and command lines of all descendants of a process (Linux)."""
    parents, found, generation = _parents(), {}, [pid]
    while generation:
        generation = [child for child, parent in parents.items() if parent in generation]
        for child in generation:
            with suppress(OSError):  # It has ended in the meantime.
                found[child] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
    return found


def _parents() -> dict[int, int]:
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            found[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    return found


@contextmanager
def served(data_dir: Path, **env: str) -> Iterator[Served]:
    """Run `scrivano serve` with the nano model on a free port, and stop it at the end."""
    server = Served(start(data_dir, **env))
    try:
        yield server
    finally:
        server.close()


def start(data_dir: Path, command: Sequence[str] = (), **env: str) -> subprocess.Popen[str]:
    settings = {"WHISPER_MODEL": "nano", "DATA_DIR": str(data_dir), "PORT": "0", "LOG_LEVEL": "info", **env}
    return subprocess.Popen(
        command or [sys.executable, "-m", "scrivano", "serve"],
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def words(text: str) -> list[str]:
    """Lower-case words without punctuation, for the word error rate."""
    return "".join(c if c.isalnum() or c in "' " else " " for c in text.lower()).split()


def word_error_rate(reference: str, hypothesis: str) -> float:
    """Edits per reference word (Levenshtein), after `words`."""
    wanted, heard = words(reference), words(hypothesis)
    row = list(range(len(heard) + 1))
    for i, word in enumerate(wanted, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1] / len(wanted)


def text_of(job: Mapping[str, Any]) -> str:
    return " ".join(segment["text"] for segment in job["segments"])
