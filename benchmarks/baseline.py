"""A typical transcription server: faster-whisper behind one FastAPI handler (`python -m benchmarks.baseline`).

`--concurrency lock`: one request at a time. `--concurrency threads`: as many as FastAPI's thread pool lets in, all
calling the one loaded model. If the model is a file instead of a folder, whisper.cpp runs it, with speech detection
off, as in its own server.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import tempfile
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, Form, UploadFile
from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.audio import decode_audio

from benchmarks.machine import cores


class Transcriber:
    """One loaded model. Options that a request does not set have faster-whisper's defaults."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._turn: AbstractContextManager[Any] = Lock() if args.concurrency == "lock" else nullcontext()
        self._engines: dict[str, Callable[..., tuple[Iterable[Any], Any]]]
        if args.model.is_file():
            self._engines = {"whisper.cpp": WhisperCpp(args.model)}
            return
        model = WhisperModel(str(args.model), device=args.device, compute_type=args.compute_type)
        self._engines = {
            "sequential": model.transcribe,
            "sequential, speech only": partial(model.transcribe, vad_filter=True),
            "batched": partial(BatchedInferencePipeline(model).transcribe, batch_size=args.batch_size),
        }

    def segments(self, file: UploadFile, engine: str, **options: Any) -> Generator[dict[str, Any]]:
        with tempfile.NamedTemporaryFile() as copy, self._turn:
            shutil.copyfileobj(file.file, copy)
            copy.flush()
            found, _ = self._engines[engine](copy.name, **options)
            for segment in found:
                yield asdict(segment)


@dataclass(frozen=True, slots=True)
class CppSegment:
    """Times are seconds."""

    start: float
    end: float
    text: str


class WhisperCpp:
    """whisper.cpp with the documented interface of its Python wheel, on all cores."""

    def __init__(self, file: Path) -> None:
        from pywhispercpp.model import Model

        self._model: Callable[..., Any] = partial(
            Model, str(file), n_threads=cores(), print_progress=False, redirect_whispercpp_logs_to=None
        )
        self._by_beam: dict[int, Any] = {}

    def __call__(
        self, path: str, *, language: str | None = None, word_timestamps: bool = False, beam_size: int = 5
    ) -> tuple[Iterable[CppSegment], None]:
        # Whether there is a beam is decided when the model is loaded.
        if beam_size not in self._by_beam:
            chosen = {"beam_search": {"beam_size": beam_size, "patience": -1.0}} if beam_size > 1 else {}
            self._by_beam[beam_size] = self._model(params_sampling_strategy=int(beam_size > 1), **chosen)
        found = self._by_beam[beam_size].transcribe(decode_audio(path), language=language or "auto")
        return (CppSegment(one.t0 / 100, one.t1 / 100, one.text) for one in found), None


def create_app(transcriber: Transcriber) -> FastAPI:
    app = FastAPI()

    @app.post("/transcribe")
    def transcribe(
        audio: UploadFile,
        engine: Annotated[str, Form()],
        language: Annotated[str | None, Form()] = None,
        words: Annotated[bool, Form()] = False,
        beam_size: Annotated[int, Form()] = 5,
    ) -> list[dict[str, Any]]:
        return list(transcriber.segments(audio, engine, language=language, word_timestamps=words, beam_size=beam_size))

    @app.post("/first")
    def first(audio: UploadFile, engine: Annotated[str, Form()]) -> dict[str, Any]:
        """Return the first segment as soon as it is known, and stop."""
        with closing(transcriber.segments(audio, engine)) as segments:
            return next(segments)

    return app


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--concurrency", choices=("lock", "threads"), required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compute-type", default="int8")
    parser.add_argument("--batch-size", type=int, default=8)
    app = create_app(Transcriber(parser.parse_args()))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        print(json.dumps({"message": "listening", "url": f"http://127.0.0.1:{listening.getsockname()[1]}"}), flush=True)
        server.run(sockets=[listening])


if __name__ == "__main__":
    main()
