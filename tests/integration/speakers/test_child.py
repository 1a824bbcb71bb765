"""The real networks, in their process, on recorded voices."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from media_files import Audio, samples, spoken
from speaker_material import two_voices

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.processes.messages import encoder, parser
from scrivano.processes.voice_messages import (
    FindVoices,
    NameSpeakers,
    SpeakersNamed,
    VoiceMessage,
    VoiceRequest,
    VoicesFailed,
    VoicesFound,
)
from scrivano.speakers import chunk_voices
from scrivano.speakers.spool import write_spool

ENCODE, PARSE = encoder(VoiceRequest), parser(VoiceMessage)


@pytest.fixture(scope="module")
def dialogue() -> Audio:
    """Two voices take four turns each, with pauses."""
    turns = [*two_voices(samples(spoken("en-clean-short-03").path))] * 4
    return np.concatenate([np.concatenate([turn, np.zeros(SAMPLE_RATE // 2, np.int16)]) for turn in turns])


class Child:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def ask(self, request: FindVoices | NameSpeakers) -> VoicesFound | SpeakersNamed | VoicesFailed:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(ENCODE(request) + b"\n")
        self._process.stdin.flush()
        answer: VoicesFound | SpeakersNamed | VoicesFailed = PARSE(self._process.stdout.readline())
        assert answer.id == request.id
        return answer

    def find(self, path: Path, edges: Sequence[int]) -> list[bytes]:
        found = []
        for number, (start, end) in enumerate(pairwise(edges)):
            answer = self.ask(FindVoices(id=number, path=str(path), start=start, end=end))
            assert isinstance(answer, VoicesFound)
            found.append(answer.voices)
        return found

    def name(self, spool: Path, voices: Sequence[bytes], exactly: int | None = None) -> SpeakersNamed:
        write_spool(spool, voices)
        answer = self.ask(NameSpeakers(id=99, path=str(spool), exactly=exactly))
        assert isinstance(answer, SpeakersNamed)
        return answer


@contextmanager
def child() -> Iterator[Child]:
    command = [sys.executable, "-m", "scrivano.speakers.child"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Child(process)
        assert process.stdin
        process.stdin.close()
        assert process.wait(60) == 0


def test_two_voices_are_two_speakers_who_take_turns(tmp_path: Path, dialogue: Audio) -> None:
    path = tmp_path / "prepared.pcm"
    dialogue.tofile(path)
    edges = [0, len(dialogue) // 2, len(dialogue)]
    with child() as speakers:
        voices = speakers.find(path, edges)
        named = speakers.name(tmp_path / "spool", voices)
        again = speakers.name(tmp_path / "spool", speakers.find(path, edges))
        alone = speakers.name(tmp_path / "spool", voices, exactly=1)

    assert [speaker.id for speaker in named.speakers] == ["S1", "S2"]
    assert [turn[2] for turn in named.turns] == [0, 1] * 4
    assert again == named
    assert len(alone.speakers) == 1
    assert max(end for _, end, _ in named.turns) <= len(dialogue) / SAMPLE_RATE
    assert len(b"".join(voices)) < 1000 * len(dialogue) / SAMPLE_RATE


def test_digital_silence_has_no_voice_and_long_stretches_are_heard_in_parts(tmp_path: Path, dialogue: Audio) -> None:
    path = tmp_path / "prepared.pcm"
    np.concatenate([np.zeros(130 * SAMPLE_RATE, np.int16), dialogue[: 5 * SAMPLE_RATE]]).tofile(path)
    with child() as speakers:
        [silent, both] = speakers.find(path, [0, 60 * SAMPLE_RATE, 135 * SAMPLE_RATE])

    assert chunk_voices.load(silent) == []
    [part] = chunk_voices.load(both)
    assert part.start_s == 97.5
    assert part.start_s + part.spans[0, 0] == pytest.approx(130, abs=1)


def test_a_request_that_fails_is_answered_and_the_next_one_is_served(tmp_path: Path, dialogue: Audio) -> None:
    path = tmp_path / "prepared.pcm"
    dialogue[:SAMPLE_RATE].tofile(path)
    write_spool(tmp_path / "spool", [b"nonsense"])
    with child() as speakers:
        late = speakers.ask(FindVoices(id=1, path=str(path), start=0, end=2 * SAMPLE_RATE))
        void = speakers.ask(NameSpeakers(id=2, path=str(tmp_path / "spool")))
        fine = speakers.ask(FindVoices(id=3, path=str(path), start=0, end=SAMPLE_RATE))

    assert isinstance(late, VoicesFailed)
    assert "the prepared audio ends at 16000" in late.message
    assert isinstance(void, VoicesFailed)
    assert isinstance(fine, VoicesFound)
