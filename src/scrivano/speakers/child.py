"""The speakers child (`python -m scrivano.speakers.child`): finds voices in prepared audio, speakers in stored voices.

Requests are answered one after the other, at a low priority: an engine beside it goes first. The networks are loaded
at the first audio. When the server is gone the child ends at once.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.domain.speakers import SpeakerCount
from scrivano.processes.channel import Channel
from scrivano.processes.child import die_with_parent
from scrivano.processes.messages import encoder, parser
from scrivano.processes.voice_messages import (
    FindVoices,
    KnownVoice,
    NamedSpeaker,
    NameSpeakers,
    SpeakersNamed,
    VoiceMessage,
    VoiceRequest,
    VoicesFailed,
    VoicesFound,
)
from scrivano.speakers.analysis import VoiceAnalyser, open_analyser
from scrivano.speakers.chunk_voices import StretchVoices, dump, load
from scrivano.speakers.embedding import SIZE
from scrivano.speakers.naming import Known, name_speakers
from scrivano.speakers.spool import read_spool

# Added to the priority number of the process: the system gives it what the engine leaves.
NICE = 5

# Longer stretches between two chunks (silence, music) are analysed in parts, so that memory stays flat.
LONGEST_S = 60.0


class Worker:
    """Answers requests, each with one message. No request ends it. After a failure the CPU is used, and not `gpu`."""

    def __init__(self, open_analyser: Callable[[int | None], VoiceAnalyser], gpu: int | None = None) -> None:
        self._open_analyser = open_analyser
        self._gpu = gpu
        self._analyser: VoiceAnalyser | None = None

    def answer(self, request: VoiceRequest) -> VoiceMessage:
        try:
            return self._find(request) if isinstance(request, FindVoices) else _name(request)
        except Exception as error:  # the border of the process: every failure becomes a message
            traceback.print_exc()
            if self._gpu is not None:
                self._analyser = self._gpu = None
            return VoicesFailed(id=request.id, message=f"{type(error).__name__}: {error}")

    def _find(self, request: FindVoices) -> VoicesFound:
        if self._analyser is None:
            self._analyser = self._open_analyser(self._gpu)
        audio = np.memmap(request.path, "<i2", mode="r")
        if not 0 <= request.start <= request.end <= len(audio):
            raise ValueError(f"the prepared audio ends at {len(audio)}, before {request.end}")
        found = [self._analyse(audio, start, end) for start, end in _parts(request.start, request.end)]
        return VoicesFound(id=request.id, voices=dump([one for one in found if one is not None]))

    def _analyse(self, audio: NDArray[np.int16], start: int, end: int) -> StretchVoices | None:
        """None: digital silence."""
        samples = np.array(audio[start:end])
        if not samples.any() or self._analyser is None:
            return None
        return self._analyser.analyse(samples.astype(np.float32) / np.float32(32768), start)


def _parts(start: int, end: int) -> Iterator[tuple[int, int]]:
    """As few equal parts as possible."""
    count = max(1, -(-(end - start) // round(LONGEST_S * SAMPLE_RATE)))
    edges = [start + (end - start) * number // count for number in range(count + 1)]
    return pairwise(edges)


def _name(request: NameSpeakers) -> SpeakersNamed:
    stretches = [one for stored in read_spool(Path(request.path)) for one in load(stored)]
    count = SpeakerCount(exactly=request.exactly, least=request.least, most=request.most)
    naming = name_speakers(stretches, count, list(map(_known, request.known)))
    speakers = [NamedSpeaker(id=one.id, name=one.name, centre=_packed(one.centre)) for one in naming.voices]
    return SpeakersNamed(id=request.id, speakers=tuple(speakers), turns=naming.turns)


def _known(voice: KnownVoice) -> Known:
    centre = np.frombuffer(voice.centre, "<f4")
    if len(centre) != SIZE:
        raise ValueError("this voice was stored by another version")
    return Known(name=voice.name, centre=centre, id=voice.id)


def _packed(centre: NDArray[np.float32]) -> bytes:
    return centre.astype("<f4").tobytes()


def gpu_of(arguments: Sequence[str]) -> int | None:
    """The index after `--gpu`; None: the voices are found on the CPU."""
    return int(arguments[1]) if arguments[:1] == ["--gpu"] else None


def main() -> None:
    die_with_parent()
    with suppress(OSError):
        os.nice(NICE)
    channel = Channel[VoiceRequest, VoiceMessage](parser(VoiceRequest), encoder(VoiceMessage))
    requests: queue.SimpleQueue[VoiceRequest] = queue.SimpleQueue()

    def read() -> None:
        for line in channel.lines():
            requests.put(channel.parse(line))
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    worker = Worker(open_analyser, gpu_of(sys.argv[1:]))
    while True:
        channel.send(worker.answer(requests.get()))


if __name__ == "__main__":
    main()
