"""Wyoming over TCP: Home Assistant's protocol for voice. It submits jobs as HTTP does.

A client sends `transcribe` (optional), `audio-start`, `audio-chunk` (any number), `audio-stop`. Each recording gets
exactly one `transcript`; it is empty if there is no speech, and after an `error`. `describe` is answered with `info`.
The audio is written to disk while it arrives, as an upload is.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import cast

from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, async_read_event, async_write_event
from wyoming.info import AsrModel, AsrProgram, Attribution, Describe, Info

from scrivano import __version__
from scrivano.auth.keys import ANONYMOUS
from scrivano.domain.errors import BadRequest, ScrivanoError
from scrivano.domain.job import JobOptions, Priority, Task
from scrivano.domain.languages import LANGUAGES, parse_language
from scrivano.submission.job_request import JobRequest
from scrivano.submission.submissions import Submissions
from scrivano.submission.waiter import Waiter
from scrivano.submission.wav_header import wav_header

__all__ = ["WyomingServer"]

# The largest part (data or payload) of one event: a part is held in memory. Clients send some kilobytes at a time.
MAX_PART_BYTES = 16 * 1024 * 1024

# The smallest and largest values that a WAV header may be given.
FORMAT_LIMITS = {"rate": (1_000, 384_000), "width": (2, 4), "channels": (1, 32)}

# Home Assistant compares its own codes with these. Whisper has older codes for Javanese and Filipino (jw, tl).
NEWER_CODES = ("fil", "jv")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WyomingServer:
    """`model`: the name that `info` shows. The protocol has no keys, so every client is `ANONYMOUS`."""

    submissions: Submissions
    waiter: Waiter
    model: str

    @asynccontextmanager
    async def serve(self, listener: socket.socket) -> AsyncIterator[None]:
        """Accept connections on a listening socket. At the end, the socket and all connections are closed."""
        connections: set[asyncio.Task[None]] = set()

        async def serve_connection(reader: StreamReader, writer: StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            connections.add(task)
            try:
                await _Connection(self, reader, writer).run()
            except Exception:
                logger.exception("a Wyoming connection failed")
            finally:
                connections.discard(task)
                writer.close()

        server = await asyncio.start_server(serve_connection, sock=listener)
        try:
            yield
        finally:
            server.close()
            for task in list(connections):
                task.cancel()
            await asyncio.gather(*connections, return_exceptions=True)


class _LimitedReader:
    """A reader that refuses events with a part larger than `MAX_PART_BYTES`."""

    def __init__(self, reader: StreamReader) -> None:
        self._reader = reader
        self.readline = reader.readline

    async def readexactly(self, size_bytes: int) -> bytes:
        if size_bytes > MAX_PART_BYTES:
            raise ConnectionAbortedError(f"an event of {size_bytes} bytes")
        return await self._reader.readexactly(size_bytes)


class _Connection:
    """One connection, which sends any number of recordings, one after the other."""

    def __init__(self, server: WyomingServer, reader: StreamReader, writer: StreamWriter) -> None:
        self._server = server
        self._reader = cast(StreamReader, _LimitedReader(reader))
        self._writer = writer
        # What the next recording is asked for; valid for that one only.
        self._transcribe = Transcribe()

    async def run(self) -> None:
        """Answer events until the client disconnects. An unfinished recording is discarded."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while event := await async_read_event(self._reader):
                await self._answer(event)

    async def _answer(self, event: Event) -> None:
        if Describe.is_type(event.type):
            await self._send(_info(self._server.model).event())
        elif Transcribe.is_type(event.type):
            self._transcribe = Transcribe.from_event(event)
        elif AudioStart.is_type(event.type) or AudioChunk.is_type(event.type):
            await self._send((await self._transcript(event)).event())
            self._transcribe = Transcribe()
        elif AudioStop.is_type(event.type):
            await self._send(Transcript("").event())

    async def _transcript(self, first: Event) -> Transcript:
        """Receive a recording and wait for its transcript. Errors are sent, and the transcript is empty: a client waits
        for one in any case."""
        chunks = self._audio_chunks(first)
        try:
            try:
                job_id = await self._server.submissions.submit_audio(
                    chunks, _job_request(self._transcribe), ANONYMOUS, prefix=_wav_header(first)
                )
            except ScrivanoError:
                async for _ in chunks:  # the client reads no event before it has sent its recording to the end
                    pass
                raise
            if job_id is None:
                return Transcript("")
            transcript = await self._server.waiter.transcript(job_id)
            return Transcript(transcript.text, language=transcript.language)
        except ScrivanoError as error:
            await self._send(Error(str(error), error.code).event())
            return Transcript("")

    async def _audio_chunks(self, first: Event) -> AsyncIterator[bytes]:
        event: Event | None = first
        while event is not None and not AudioStop.is_type(event.type):
            if AudioChunk.is_type(event.type) and event.payload:
                yield event.payload
            event = await async_read_event(self._reader)
        if event is None:
            raise ConnectionResetError("the connection ended before audio-stop")

    async def _send(self, event: Event) -> None:
        await async_write_event(event, self._writer)


def _job_request(transcribe: Transcribe) -> JobRequest:
    """Raises `BadRequest` for an unknown language."""
    hotwords = [*(transcribe.transcript_names or ()), *(transcribe.transcript_terms or ())]
    return JobRequest(
        task=Task.TRANSCRIBE,
        language=parse_language(transcribe.language),
        options=JobOptions(hotwords=", ".join(hotwords) or None),
        priority=Priority.INTERACTIVE,
    )


def _wav_header(event: Event) -> bytes:
    """Raises `BadRequest` for a format that no WAV file can have."""
    for name, (least, most) in FORMAT_LIMITS.items():
        value = event.data.get(name)
        if not isinstance(value, int) or not least <= value <= most:
            raise BadRequest(f"{event.type}: {name} must be a whole number from {least} to {most}")
    return wav_header(event.data["rate"], event.data["width"], event.data["channels"])


def _info(model: str) -> Info:
    return Info(
        asr=[
            AsrProgram(
                name="scrivano",
                description="Scrivano",
                attribution=Attribution(name="Scrivano", url=""),
                installed=True,
                version=__version__,
                models=[
                    AsrModel(
                        name=model,
                        description=model,
                        attribution=Attribution(name="OpenAI", url="https://github.com/openai/whisper"),
                        installed=True,
                        version=None,
                        languages=sorted({*LANGUAGES, *NEWER_CODES}),
                    )
                ],
            )
        ]
    )
