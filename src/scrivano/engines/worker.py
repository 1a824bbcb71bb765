"""The engine child: one loaded model, JSON lines in and out (`python -m scrivano.engines.worker`).

Requests come on stdin: `load` first, then `decode`s, at the end `close`. They are answered one after the other, but for
decodes marked `beside`: those have a thread of their own, where the engine allows it. Answers go to the real stdout,
which nothing else can write to. The end of stdin means that the server is gone: the child ends at once, in the middle
of a decode too.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.domain.errors import EngineError, EngineInput, ModelUnavailable
from scrivano.domain.job import Task
from scrivano.domain.transcript import segment_to_dict
from scrivano.engines.cpu_tuning import (
    cpu_info,
    enable_avx512,
    let_idle_threads_sleep,
    tune_allocator,
    warn_of_mkl,
)
from scrivano.engines.engine import AudioChunk, ChunkResult, DecodingOptions, Engine
from scrivano.processes.child import die_with_parent

# NumPy and the model libraries start threads when they are imported, and the allocator must be tuned before the first
# thread starts: functions that need these libraries import them, after `tune_allocator`.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

BYTES_PER_SAMPLE = 2
FULL_SCALE = 32768.0
DOWNLOAD_REPORT_S = 1.0

Send = Callable[[Mapping[str, Any]], None]


class LoadedEngine(Engine, Protocol):
    """What an adapter gives the worker besides the `Engine` protocol."""

    @property
    def multilingual(self) -> bool: ...

    @property
    def languages(self) -> Sequence[str]: ...

    def warm_up(self) -> None:
        """One inference; raises `EngineError`."""


OpenEngine = Callable[[Mapping[str, Any], Send], LoadedEngine]


class Worker:
    """Answers requests; decodes may come from two threads. `open_engine` makes an engine of a `load` request."""

    def __init__(self, send: Send, open_engine: OpenEngine) -> None:
        self._send = send
        self._open_engine = open_engine
        self._engine: LoadedEngine | None = None

    def handle(self, request: Mapping[str, Any]) -> bool:
        """Whether to go on. Nothing that a request does wrong ends the worker; it is answered with `failed`."""
        kind = request.get("type")
        if kind == "close":
            self.close()
            return False
        request_id = request.get("id")
        try:
            self._answer(kind, request)
        except Exception as error:  # the border of the engine process: every failure becomes an answer
            self._fail(request_id if isinstance(request_id, int) else None, error, loading=kind == "load")
        return True

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _answer(self, kind: object, request: Mapping[str, Any]) -> None:
        if kind == "load":
            self._load(request)
        elif kind == "decode":
            self._decode(request)
        else:
            raise EngineInput(f"unknown request {kind!r}")

    def _load(self, request: Mapping[str, Any]) -> None:
        started = time.monotonic()
        self.close()
        engine = self._open_engine(request, self._send)
        loaded = time.monotonic()
        engine.warm_up()
        self._engine = engine
        self._send(
            {
                "type": "loaded",
                "languages": list(engine.languages),
                "multilingual": engine.multilingual,
                "secs": round(time.monotonic() - started, 3),
                "warm_up_secs": round(time.monotonic() - loaded, 3),
            }
        )

    def _decode(self, request: Mapping[str, Any]) -> None:
        started = time.monotonic()
        if self._engine is None:
            raise ModelUnavailable("no model is loaded; send a load request first")
        options, chunks = _parsed(request)
        results = self._engine.decode(chunks, options)
        self._send(
            {
                "type": "result",
                "id": request["id"],
                "results": [result_to_dict(result) for result in results],
                "secs": round(time.monotonic() - started, 3),
            }
        )

    def _fail(self, request_id: int | None, error: Exception, *, loading: bool) -> None:
        from scrivano.engines.failures import classify, kind_of

        failure = classify(error, loading=loading)
        if not isinstance(error, EngineError):
            logger.warning("the engine failed: %s", error, exc_info=error)
        self._send({"type": "failed", "id": request_id, "kind": kind_of(failure), "message": str(failure)})


def result_to_dict(result: ChunkResult) -> dict[str, Any]:
    return {
        "language": result.language,
        "language_probability": result.language_probability,
        "segments": [segment_to_dict(segment) for segment in result.segments],
        "language_probabilities": dict(result.language_probabilities),
    }


def _parsed(request: Mapping[str, Any]) -> tuple[DecodingOptions, list[AudioChunk]]:
    try:
        if not isinstance(request["id"], int):
            raise TypeError("id is a number")
        options = dict(request["options"])
        if "temperatures" in options:
            options["temperatures"] = tuple(options["temperatures"])
        options["urgent"] = bool(request.get("beside"))
        return DecodingOptions(**options), [_chunk(chunk) for chunk in request["chunks"]]
    except (KeyError, TypeError, ValueError) as error:
        raise EngineInput(f"a decode request that cannot be understood: {error!r}") from error


def _chunk(chunk: Mapping[str, Any]) -> AudioChunk:
    return AudioChunk(
        audio=read_audio(Path(chunk["path"]), chunk["pieces"]),
        language=chunk.get("language"),
        task=chunk.get("task", Task.TRANSCRIBE),
        languages=tuple(chunk.get("languages", ())),
    )


def read_audio(path: Path, pieces: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """The pieces (sample ranges of a prepared file) joined, as float32 in [-1, 1]. Raises `EngineInput`."""
    import numpy as np

    if not pieces:
        raise EngineInput("a chunk needs at least one piece of audio")
    try:
        with path.open("rb", buffering=0) as file:
            data = b"".join(_piece(file, start, end) for start, end in pieces)
    except OSError as error:
        raise EngineInput(f"the prepared audio cannot be read: {error}") from error
    return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(FULL_SCALE)


def _piece(file: IO[bytes], start: int, end: int) -> bytes:
    if not 0 <= start < end:
        raise EngineInput(f"a piece of audio runs from {start} to {end}")
    wanted = (end - start) * BYTES_PER_SAMPLE
    data = os.pread(file.fileno(), wanted, start * BYTES_PER_SAMPLE)
    if len(data) != wanted:
        have = start + len(data) // BYTES_PER_SAMPLE
        raise EngineInput(f"the prepared audio ends at {have / SAMPLE_RATE:.2f} s, before the chunk does")
    return data


# What a `load` request means.


def open_engine(request: Mapping[str, Any], send: Send) -> LoadedEngine:
    """The adapter that fits the model's files, loaded; downloads them first where they are missing."""
    from scrivano.engines.catalog import find_model
    from scrivano.engines.model_files import fetch

    path = Path(request["path"]) if request.get("path") else None
    if path is not None and path.is_file():
        return _open_cpp(path, request)
    return _open_ct2(fetch(find_model(str(request["model"]), path), _download_reporter(send)), request)


def _open_cpp(file: Path, request: Mapping[str, Any]) -> LoadedEngine:
    try:
        from scrivano.engines.whisper_cpp.engine import LoadOptions, WhisperCpp
    except ImportError as error:
        raise ModelUnavailable(
            f"{file} is a file, which whisper.cpp would read, and that cannot be imported ({error}): "
            "pip install 'scrivano[whispercpp]', or set WHISPER_MODEL_PATH to a folder"
        ) from error
    logger.info("loading %s on %s", file, request["device"])
    return WhisperCpp(
        LoadOptions(
            file=file,
            device=request["device"],
            device_index=request.get("device_index", 0),
            cpu_threads=request.get("cpu_threads", 0),
        )
    )


def _open_ct2(folder: Path, request: Mapping[str, Any]) -> LoadedEngine:
    from scrivano.engines.ct2.engine import WhisperCt2
    from scrivano.engines.ct2.model import LoadOptions

    logger.info("loading %s on %s", request["model"], request["device"])
    return WhisperCt2(
        LoadOptions(
            folder=folder,
            device=request["device"],
            device_index=request.get("device_index", 0),
            compute_type=request.get("compute_type", "default"),
            cpu_threads=request.get("cpu_threads", 0),
            fast=request.get("fast", False),
        )
    )


def _download_reporter(send: Send) -> Callable[[int, int | None], None]:
    """At most one message a second, and one at the end."""
    lock = threading.Lock()
    last = -DOWNLOAD_REPORT_S

    def report(done_bytes: int, total_bytes: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        with lock:
            if now - last < DOWNLOAD_REPORT_S and done_bytes != total_bytes:
                return
            last = now
        send({"type": "downloading", "done_bytes": done_bytes, "total_bytes": total_bytes})

    return report


# The process.


def take_stdout() -> IO[bytes]:
    """The real stdout, for us alone: what a library prints goes to stderr."""
    private = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return private


def sender(stream: IO[bytes]) -> Send:
    """Writes one message a line, whole, from any thread. A server that is gone ends the process."""
    lock = threading.Lock()

    def send(message: Mapping[str, Any]) -> None:
        line = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        try:
            with lock:
                stream.write(line)
                stream.flush()
        except OSError:
            os._exit(0)

    return send


Requests = queue.SimpleQueue[Mapping[str, Any]]


def read_requests(stream: IO[bytes], requests: Requests, beside: Requests, send: Send) -> None:
    """Hand on stdin's requests; at its end the process ends, whatever it is doing."""
    for line in stream:
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise TypeError("a request is a JSON object")
        except (ValueError, TypeError) as error:
            send({"type": "failed", "id": None, "kind": "input", "message": f"a line that is no request: {error}"})
            continue
        (beside if request.get("beside") else requests).put(request)
    os._exit(0)


def serve(worker: Worker, requests: Requests) -> None:
    """Handle requests until one says `close`."""
    while worker.handle(requests.get()):
        pass


def main() -> None:
    # First: the allocator's settings count only before the first thread, and the libraries read theirs when imported.
    cpu = cpu_info()
    tuned = tune_allocator(os.environ.get("ENGINE_MALLOC", "tuned"))
    enable_avx512(os.environ, cpu)
    let_idle_threads_sleep(os.environ)
    die_with_parent()
    send = sender(take_stdout())
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # one line a request of a download
    logger.info("allocator: %s", "tuned" if tuned else "default")
    warn_of_mkl(os.environ, cpu)
    worker, requests, beside = Worker(send, open_engine), Requests(), Requests()
    threading.Thread(target=read_requests, args=(sys.stdin.buffer, requests, beside, send), daemon=True).start()
    threading.Thread(target=serve, args=(worker, beside), daemon=True).start()
    serve(worker, requests)
    sys.stderr.flush()
    # Not a normal exit: the libraries' own threads may take their time, or crash, when the interpreter is torn down.
    os._exit(0)


if __name__ == "__main__":
    main()
