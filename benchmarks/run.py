"""`python -m benchmarks.run [NAME …]`: what the server costs, each figure beside its goal.

Every line is one measurement of the running program with the bundled model, on this machine, now. A figure that misses
its goal is marked; a busy machine misses some.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2

from benchmarks import material
from scrivano.client import Client

HOUR = 3600.0
IDLE_S = 2.0
"""After so long a server is idle again: a new spare media child stands ready."""

PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value and its goal: at most `goal`, in `unit`."""

    name: str
    value: float
    goal: float
    unit: str

    def __str__(self) -> str:
        verdict = "ok  " if self.value <= self.goal else "MISS"
        return f"{verdict} {self.name:<66} {self.value:>9.1f} {self.unit:<3} (goal ≤ {self.goal:g})"


class Server:
    """`scrivano serve` in a process of its own."""

    def __init__(self, data_dir: Path, **environment: str) -> None:
        settings = {"WHISPER_MODEL": "nano", "IDLE_TIMEOUT_SECS": "0", "ADMISSION": "queue", **environment}
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scrivano", "serve", "--port", "0", "--data-dir", str(data_dir)],
            stdout=subprocess.PIPE,
            env={**os.environ, **settings},
        )
        assert self.process.stdout is not None
        self.url = next(json.loads(line)["url"] for line in self.process.stdout if b'"listening"' in line)
        threading.Thread(target=lambda: [None for _ in self.process.stdout or ()], daemon=True).start()

    def load(self) -> None:
        with Client(self.url) as client:
            client.load()
            while client.model_status().state != "ready":
                time.sleep(0.05)

    def children(self) -> dict[int, str]:
        found = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                if int(stat.read_text().rpartition(")")[2].split()[1]) == self.process.pid:
                    found[int(stat.parent.name)] = (stat.parent / "cmdline").read_text()
        return found

    def media_children(self) -> list[int]:
        return [pid for pid, command in self.children().items() if "scrivano.media" in command]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)


@contextmanager
def served(**environment: str) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), **environment)
        try:
            yield server
        finally:
            server.stop()


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MB


class Peak:
    """The largest resident memory of what `pids` names, looked at 20 times a second."""

    def __init__(self, pids: Callable[[], list[int]]) -> None:
        self.mb = 0.0
        self._pids = pids
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            for pid in self._pids():
                with suppress(OSError, IndexError):
                    self.mb = max(self.mb, resident_mb(pid))


def latency(folder: Path) -> Iterator[Figure]:
    """Answers while an hour is being transcribed on all cores."""
    hour = material.speech(folder / "hour.wav", HOUR)
    with served() as server, Client(server.url) as client:
        server.load()
        job_id = client.submit(hour)
        began = time.monotonic()
        times: dict[str, list[float]] = {"/health": [], f"/jobs/{job_id}": []}
        with httpx2.Client(base_url=server.url) as http:
            while http.get(f"/jobs/{job_id}").json()["status"] not in ("done", "failed"):
                for path, taken in times.items():
                    at = time.perf_counter()
                    http.get(path).raise_for_status()
                    taken.append(time.perf_counter() - at)
                time.sleep(0.02)
        rtfx = HOUR / (time.monotonic() - began)
        print(f"     (one hour of speech at {rtfx:.0f} times real time, {sum(map(len, times.values()))} requests)")
    for path, taken in times.items():
        name = path.replace(job_id, "{id}")
        yield Figure(f"GET {name}, 99th percentile under load", 1000 * quantile(taken, 0.99), 20, "ms")
        print(f"     (median {1000 * statistics.median(taken):.1f} ms, worst {1000 * max(taken):.1f} ms)")


def memory(folder: Path) -> Iterator[Figure]:
    """What is resident: the server without a model, and a media child at work on long recordings."""
    long = {
        "three hours of MP3": material.speech(folder / "long.mp3", 3 * HOUR),
        "ten hours of silence in FLAC": material.silence(folder / "long.flac", 10 * HOUR),
    }
    with served() as server, Client(server.url) as client:
        client.health()
        yield Figure("server without a model, resident", resident_mb(server.process.pid), 150, "MB")
        server.load()
        for name, path in long.items():
            with Peak(server.media_children) as peak:
                began = time.monotonic()
                client.wait(client.submit(path))
            yield Figure(f"media child on {name}, resident at most", peak.mb, 300, "MB")
            print(f"     ({time.monotonic() - began:.0f} s from submission to done)")


def upload(folder: Path) -> Iterator[Figure]:
    """Two gigabytes of it: what the server's memory grows by, and the time beside that of a copy."""
    size = 2_000_000_000
    source = folder / "two-gigabytes.wav"
    with source.open("wb") as file:
        for _ in range(size // 1_000_000):
            file.write(os.urandom(1_000_000))
    began = time.monotonic()
    subprocess.run(["cp", str(source), str(folder / "copy.wav")], check=True)
    with (folder / "copy.wav").open("rb") as file:
        os.fsync(file.fileno())
    copied = time.monotonic() - began
    with served() as server, Client(server.url, timeout=600) as client:
        before = resident_mb(server.process.pid)
        with Peak(lambda: [server.process.pid]) as peak:
            began = time.monotonic()
            client.submit(source)
            sent = time.monotonic() - began
        yield Figure("server's memory, growth over an upload of 2 GB", peak.mb - before, 50, "MB")
        print(f"     ({sent:.1f} s; cp and fsync of the same file {copied:.1f} s: ratio {sent / copied:.2f})")


def overhead(folder: Path) -> Iterator[Figure]:
    """Submit-to-done of a ten-second clip on an idle, ready server, above what the engine takes on its audio."""
    clip = material.clip(folder / "clip.wav")
    with served() as server, Client(server.url) as client:
        server.load()
        client.wait(client.submit(clip))
        totals = []
        for _ in range(15):
            time.sleep(IDLE_S)
            began = time.monotonic()
            client.wait(client.submit(clip))
            totals.append(time.monotonic() - began)
    engine = statistics.median(engine_alone())
    total = statistics.median(totals)
    yield Figure("10 s clip, submit to done, above the engine's own time", 1000 * (total - engine), 250, "ms")
    print(f"     (submit to done {1000 * total:.0f} ms, the engine alone {1000 * engine:.0f} ms)")


def engine_alone(rounds: int = 15) -> list[float]:
    """Seconds that an engine takes on the clip's audio, in a process that does nothing else."""
    code = (
        "import time, numpy as np\n"
        "from scrivano.engines import AudioChunk, DecodingOptions\n"
        "from scrivano.engines.catalog import NANO_FOLDER\n"
        "from scrivano.engines.whisper_ct2 import LoadOptions, WhisperCt2\n"
        "from benchmarks.material import bundled_speech\n"
        "engine = WhisperCt2(LoadOptions(folder=NANO_FOLDER, compute_type='int8'))\n"
        "chunk = AudioChunk(audio=bundled_speech()[:160000].astype(np.float32) / 32768, language=None)\n"
        f"for _ in range({rounds} + 1):\n"
        "    began = time.monotonic(); engine.decode([chunk], DecodingOptions()); print(time.monotonic() - began)\n"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return [float(line) for line in output.split()][1:]


def restart(folder: Path) -> Iterator[Figure]:
    """From the start of the process to the first answer, on a data folder that has been used before."""
    times = []
    for _ in range(6):
        server = Server(folder / "data")
        with httpx2.Client(base_url=server.url) as http:
            http.get("/health").raise_for_status()
        times.append(time.monotonic() - server.began)
        server.stop()
    yield Figure("start to the first answer", statistics.median(times[1:]), 2, "s")


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


BENCHMARKS = {one.__name__: one for one in (restart, overhead, latency, memory, upload)}


def main() -> None:
    for name in sys.argv[1:] or BENCHMARKS:
        with tempfile.TemporaryDirectory(prefix="scrivano-bench-") as folder:
            for figure in BENCHMARKS[name](Path(folder)):
                print(figure, flush=True)


if __name__ == "__main__":
    main()
