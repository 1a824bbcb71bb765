"""A typical transcription server: faster-whisper behind one FastAPI handler (`python -m benchmarks.baseline`).

`--concurrency lock`: one request at a time. `--concurrency threads`: as many as FastAPI's thread pool lets in, all
calling the one loaded model.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import tempfile
from collections.abc import Generator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, Form, UploadFile
from faster_whisper import BatchedInferencePipeline, WhisperModel


class Transcriber:
    """One loaded model. Options that a request does not set have faster-whisper's defaults."""

    def __init__(self, folder: Path, turn: AbstractContextManager[Any]) -> None:
        self._turn = turn
        self._engines = {"sequential": WhisperModel(str(folder), device="cpu", compute_type="int8")}
        self._engines["batched"] = BatchedInferencePipeline(self._engines["sequential"])

    def segments(self, file: UploadFile, engine: str, language: str | None, words: bool) -> Generator[dict[str, Any]]:
        with tempfile.NamedTemporaryFile() as copy, self._turn:
            shutil.copyfileobj(file.file, copy)
            copy.flush()
            found, _ = self._engines[engine].transcribe(copy.name, language=language, word_timestamps=words)
            for segment in found:
                yield asdict(segment)


def create_app(transcriber: Transcriber) -> FastAPI:
    app = FastAPI()

    @app.post("/transcribe")
    def transcribe(
        audio: UploadFile,
        engine: Annotated[str, Form()],
        language: Annotated[str | None, Form()] = None,
        words: Annotated[bool, Form()] = False,
    ) -> list[dict[str, Any]]:
        return list(transcriber.segments(audio, engine, language, words))

    @app.post("/first")
    def first(audio: UploadFile, engine: Annotated[str, Form()]) -> dict[str, Any]:
        """Return the first segment as soon as it is known, and stop."""
        with closing(transcriber.segments(audio, engine, None, False)) as segments:
            return next(segments)

    return app


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--concurrency", choices=("lock", "threads"), required=True)
    args = parser.parse_args()
    app = create_app(Transcriber(args.model, Lock() if args.concurrency == "lock" else nullcontext()))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        print(json.dumps({"message": "listening", "url": f"http://127.0.0.1:{listening.getsockname()[1]}"}), flush=True)
        server.run(sockets=[listening])


if __name__ == "__main__":
    main()
