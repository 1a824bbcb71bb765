"""The engine child: one loaded model (`python -m scrivano.engines.worker`).

Its requests are `Load` first, then `Decode`s, at the end `Close`; `processes.messages` describes them. They are
answered one after the other, except urgent decodes: those have a thread of their own, so that they run at the same time
as another batch. When the server is gone the child ends at once, even in the middle of a batch.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.domain.errors import EngineError, EngineInput, ModelUnavailable
from scrivano.engines.cpu_tuning import (
    cpu_info,
    enable_avx512,
    let_idle_threads_sleep,
    tune_allocator,
    warn_of_mkl,
)
from scrivano.engines.engine import AudioChunk, Engine, LoadOptions
from scrivano.processes.channel import Channel
from scrivano.processes.child import die_with_parent
from scrivano.processes.messages import (
    ChunkRequest,
    Close,
    Decode,
    Decoded,
    Downloading,
    EngineMessage,
    EngineRequest,
    Failed,
    Load,
    Loaded,
    Pairs,
    encoder,
    parser,
)

# NumPy and the model libraries start threads when they are imported, and the allocator must be tuned before the first
# thread starts: functions that need these libraries import them, after `tune_allocator`.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

BYTES_PER_SAMPLE = 2
FULL_SCALE = 32768.0
DOWNLOAD_REPORT_S = 1.0

Send = Callable[[EngineMessage], None]


OpenEngine = Callable[[Load, Send], Engine]


class Worker:
    """Answers requests; decodes may come from two threads."""

    def __init__(self, send: Send, open_engine: OpenEngine) -> None:
        self._send = send
        self._open_engine = open_engine
        self._engine: Engine | None = None

    def handle(self, request: EngineRequest) -> bool:
        """Whether to go on. No error ends the worker: it is answered with `Failed`."""
        try:
            match request:
                case Close():
                    self.close()
                    return False
                case Load():
                    self._load(request)
                case Decode():
                    self._decode(request)
        except Exception as error:  # the border of the engine process: every failure becomes a message
            self._fail(request.id if isinstance(request, Decode) else None, error)
        return True

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _load(self, request: Load) -> None:
        self.close()
        engine = self._open_engine(request, self._send)
        loaded_at = time.monotonic()
        engine.warm_up()
        self._engine = engine
        self._send(Loaded(warm_up_s=round(time.monotonic() - loaded_at, 3)))

    def _decode(self, request: Decode) -> None:
        started_at = time.monotonic()
        if self._engine is None:
            raise ModelUnavailable("no model is loaded; send a load request first")
        results = self._engine.decode([_with_audio(chunk) for chunk in request.chunks], request.options)
        self._send(Decoded(id=request.id, results=tuple(results), seconds=round(time.monotonic() - started_at, 3)))

    def _fail(self, batch_id: int | None, error: Exception) -> None:
        from scrivano.engines.failures import classify, kind_of

        failure = classify(error, loading=batch_id is None)
        if not isinstance(error, EngineError):
            logger.warning("the engine failed: %s", error, exc_info=error)
        self._send(Failed(id=batch_id, kind=kind_of(failure), message=str(failure)))


def _with_audio(chunk: ChunkRequest) -> AudioChunk:
    return AudioChunk(
        audio=read_audio(Path(chunk.path), chunk.pieces),
        language=chunk.language,
        task=chunk.task,
        languages=chunk.languages,
        speech=chunk.speech,
        detect=chunk.detect,
        check_language=chunk.check_language,
    )


def read_audio(path: Path, pieces: Pairs) -> NDArray[np.float32]:
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


def open_engine(request: Load, send: Send) -> Engine:
    """Load the model with the adapter that can read it; missing files are downloaded first."""
    from scrivano.engines.catalog import find_model
    from scrivano.engines.model_files import fetch

    path = Path(request.path) if request.path else None
    is_ggml = path is not None and path.is_file()
    if path is None or not is_ggml:
        path = fetch(find_model(request.model, path), _download_reporter(send))
    options = LoadOptions(
        path=path,
        device=request.device,
        device_index=request.device_index,
        compute_type=request.compute_type,
        cpu_threads=request.cpu_threads,
        fast=request.fast,
    )
    windows = ", with short windows" if options.fast else ""
    logger.info("loading %s on %s%s", path if is_ggml else request.model, options.device, windows)
    return _open_cpp(options) if is_ggml else _open_ct2(options)


def _open_cpp(options: LoadOptions) -> Engine:
    from scrivano.engines.ggml import how_to_install
    from scrivano.engines.window_loop import WindowLoop

    try:
        from scrivano.engines.whisper_cpp.adapter import CppAdapter
    except ImportError as error:
        raise ModelUnavailable(
            f"{options.path} is a file, and files are read by whisper.cpp, which cannot be imported ({error}): "
            f"{how_to_install()}, or set WHISPER_MODEL_PATH to a folder with a CTranslate2 model"
        ) from error
    return WindowLoop(CppAdapter, options)


def _open_ct2(options: LoadOptions) -> Engine:
    from scrivano.engines.ct2.adapter import Ct2Adapter
    from scrivano.engines.window_loop import WindowLoop

    return WindowLoop(Ct2Adapter, options)


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
        send(Downloading(done_bytes=done_bytes, total_bytes=total_bytes))

    return report


# The process.


Requests = queue.SimpleQueue[EngineRequest]


def read_requests(channel: Channel[EngineRequest, EngineMessage], requests: Requests, urgent: Requests) -> None:
    """Put the requests into their queues. At the end of stdin the process ends, whatever it is doing."""
    for line in channel.lines():
        try:
            request = channel.parse(line)
        except ValueError as error:
            channel.send(Failed(id=_id_of(line), kind="input", message=f"a request that cannot be understood: {error}"))
            continue
        (urgent if isinstance(request, Decode) and request.options.urgent else requests).put(request)
    os._exit(0)


def _id_of(line: bytes) -> int | None:
    with suppress(ValueError, AttributeError):
        batch_id = json.loads(line).get("id")
        return batch_id if isinstance(batch_id, int) else None
    return None


def serve(worker: Worker, requests: Requests) -> None:
    """Handle requests until one says `close`."""
    while worker.handle(requests.get()):
        pass


def main(open_engine: OpenEngine = open_engine) -> None:
    # First: the allocator's settings count only before the first thread, and the libraries read theirs when imported.
    cpu = cpu_info()
    tuned = tune_allocator(os.environ.get("ENGINE_MALLOC", "tuned"))
    enable_avx512(os.environ, cpu)
    let_idle_threads_sleep(os.environ)
    die_with_parent()
    channel = Channel[EngineRequest, EngineMessage](parser(EngineRequest), encoder(EngineMessage))
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # one line a request of a download
    logger.info("allocator: %s", "tuned" if tuned else "default")
    warn_of_mkl(os.environ, cpu)
    worker, requests, urgent = Worker(channel.send, open_engine), Requests(), Requests()
    threading.Thread(target=read_requests, args=(channel, requests, urgent), daemon=True).start()
    threading.Thread(target=serve, args=(worker, urgent), daemon=True).start()
    serve(worker, requests)
    sys.stderr.flush()
    # Not a normal exit: the libraries' own threads may take their time, or crash, when the interpreter is torn down.
    os._exit(0)


if __name__ == "__main__":
    main()
