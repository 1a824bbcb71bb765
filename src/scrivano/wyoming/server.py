"""Wyoming over TCP, Home Assistant's protocol for voice, over the same jobs.

A client sends `transcribe` (or not), `audio-start`, `audio-chunk`…, `audio-stop`, and gets one `transcript`, always:
an empty one where there was no speech, and after an `error`. `describe` is answered with `info`. The audio goes from
the socket to its place on disk, as an upload does.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import cast

from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, async_read_event, async_write_event
from wyoming.info import AsrModel, AsrProgram, Attribution, Describe, Info

from scrivano import __version__
from scrivano.api.services import Services
from scrivano.domain.errors import BadRequest, ScrivanoError
from scrivano.domain.job import JobOptions, Task
from scrivano.domain.languages import LANGUAGES, parse_language
from scrivano.submission.request import JobRequest
from scrivano.submission.synchronous import finish, submit, wav_header

__all__ = ["serve_wyoming"]

# Of one event's data or payload, which are held in memory; clients send some kilobytes at a time.
MAX_PART_BYTES = 16 * 1024 * 1024

FORMAT_LIMITS = {"rate": (1_000, 384_000), "width": (2, 4), "channels": (1, 32)}

logger = logging.getLogger(__name__)


@asynccontextmanager
async def serve_wyoming(services: Services, listener: socket.socket) -> AsyncIterator[None]:
    """Serve on a listening socket, which is closed at the end, with what is connected."""
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            await _Talk(services, reader, writer).run()
        except Exception:
            logger.exception("a Wyoming connection failed")
        finally:
            talks.discard(task)
            writer.close()

    server = await asyncio.start_server(talk, sock=listener)
    try:
        yield
    finally:
        server.close()
        for task in list(talks):
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


class _Bounded:
    """A reader that takes no part of an event that is larger than `MAX_PART_BYTES`."""

    def __init__(self, reader: StreamReader) -> None:
        self._reader = reader
        self.readline = reader.readline

    async def readexactly(self, count: int) -> bytes:
        if count > MAX_PART_BYTES:
            raise ConnectionAbortedError(f"an event of {count} bytes")
        return await self._reader.readexactly(count)


class _Talk:
    """One connection, which may bring any number of recordings, one after the other."""

    def __init__(self, services: Services, reader: StreamReader, writer: StreamWriter) -> None:
        self._services = services
        self._reader = cast(StreamReader, _Bounded(reader))
        self._writer = writer
        self._wanted = Transcribe()

    async def run(self) -> None:
        """Until the other end goes. A recording that it did not finish is thrown away."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while event := await async_read_event(self._reader):
                await self._answer(event)

    async def _answer(self, event: Event) -> None:
        if Describe.is_type(event.type):
            await self._say(_info(self._services.model).event())
        elif Transcribe.is_type(event.type):
            self._wanted = Transcribe.from_event(event)
        elif AudioStart.is_type(event.type) or AudioChunk.is_type(event.type):
            await self._say((await self._transcribed(event)).event())
            self._wanted = Transcribe()
        elif AudioStop.is_type(event.type):
            await self._say(Transcript("").event())

    async def _transcribed(self, first: Event) -> Transcript:
        """Never fails but with the connection: who waits for a transcript would wait for ever."""
        try:
            job_id = await self._submitted(first)
            if job_id is None:
                return Transcript("")
            done = await finish(self._services, job_id)
            return Transcript(done.transcript.text, language=done.transcript.language)
        except ScrivanoError as error:
            await self._say(Error(str(error), error.code).event())
            return Transcript("")

    async def _submitted(self, first: Event) -> str | None:
        """The job's id; None for a recording without a single byte."""
        pieces = self._pieces(first)
        try:
            return await submit(self._services, pieces, _wish(self._wanted), prefix=_header(first))
        except ScrivanoError:
            async for _ in pieces:  # what is refused is still sent to its end, and answered then
                pass
            raise

    async def _pieces(self, first: Event) -> AsyncIterator[bytes]:
        event: Event | None = first
        while event is not None and not AudioStop.is_type(event.type):
            if AudioChunk.is_type(event.type) and event.payload:
                yield event.payload
            event = await async_read_event(self._reader)
        if event is None:
            raise ConnectionResetError("the connection ended before audio-stop")

    async def _say(self, event: Event) -> None:
        await async_write_event(event, self._writer)


def _wish(wanted: Transcribe) -> JobRequest:
    """Raises `BadRequest` for an unknown language."""
    hotwords = [*(wanted.transcript_names or ()), *(wanted.transcript_terms or ())]
    return JobRequest(
        task=Task.TRANSCRIBE,
        language=parse_language(wanted.language),
        options=JobOptions(hotwords=", ".join(hotwords) or None),
        priority="interactive",
    )


def _header(event: Event) -> bytes:
    """Raises `BadRequest`."""
    for name, (least, most) in FORMAT_LIMITS.items():
        value = event.data.get(name)
        if not isinstance(value, int) or not least <= value <= most:
            raise BadRequest(f"{event.type}: {name} must be a whole number from {least} to {most}")
    return wav_header(event.data["rate"], event.data["width"], event.data["channels"])


def _info(model: str) -> Info:
    ours = Attribution(name="Scrivano", url="")
    return Info(
        asr=[
            AsrProgram(
                name="scrivano",
                description="Scrivano",
                attribution=ours,
                installed=True,
                version=__version__,
                models=[
                    AsrModel(
                        name=model,
                        description=model,
                        attribution=Attribution(name="OpenAI", url="https://github.com/openai/whisper"),
                        installed=True,
                        version=None,
                        languages=sorted(LANGUAGES),
                    )
                ],
            )
        ]
    )
