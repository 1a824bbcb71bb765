"""The machine of a job's speakers: in any order, with failures anywhere, and with an end of the process in between."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrivano.domain.chunk import SAMPLE_RATE, Chunk, Piece
from scrivano.domain.speakers import NO_SPEAKERS, Speaker, SpeakerCount, Turn
from scrivano.processes.voice_messages import NamedSpeaker
from scrivano.running.speaker_run import (
    FAILURES_ALLOWED,
    KILLS_ALLOWED,
    FindVoices,
    GuessLost,
    GuessSpeakers,
    NameSpeakers,
    SpeakerCommand,
    SpeakerRun,
    SpeakersFound,
    SpeakersGuessed,
    StoreVoices,
    VoicesFound,
    VoicesLost,
)

ANY = SpeakerCount()
LENGTH_S = 40.0


def chunk(index: int) -> Chunk:
    """Ten seconds each, with a second of silence before it."""
    return Chunk(index, (Piece((10 * index + 1) * SAMPLE_RATE, 10 * (index + 1) * SAMPLE_RATE),))


def voices(index: int) -> bytes:
    return base64.b64encode(bytes([index]))


def found(command: SpeakerCommand) -> VoicesFound:
    assert isinstance(command, FindVoices)
    return VoicesFound(command.index, command.start, command.end, voices(command.index))


TWO = SpeakersFound(
    (NamedSpeaker(id="S1", name=None, centre=b"one"), NamedSpeaker(id="S2", name="Ada", centre=b"two")),
    ((0.0, 12.5, 0), (12.0, 20.0, 1), (21.0, 22.0, 0)),
)


GUESSED = SpeakersGuessed(TWO.speakers, TWO.turns)


def test_a_chunk_is_heard_up_to_the_start_of_the_next_one() -> None:
    run = SpeakerRun(ANY)

    assert run.cut(chunk(0)) == []
    assert run.cut(chunk(1)) == [FindVoices(0, 0, 11 * SAMPLE_RATE)]
    assert run.complete(LENGTH_S) == [FindVoices(1, 11 * SAMPLE_RATE, 40 * SAMPLE_RATE)]


def test_the_speakers_are_named_once_all_voices_are_known() -> None:
    run = SpeakerRun(SpeakerCount(exactly=2))
    run.cut(chunk(0))
    [first] = run.cut(chunk(1))
    [second] = run.complete(LENGTH_S)

    assert run.step(found(second)) == [StoreVoices(1, voices(1))]
    named = NameSpeakers((voices(0), voices(1)), SpeakerCount(exactly=2))
    assert run.step(found(first)) == [StoreVoices(0, voices(0)), named], "and nothing is guessed any more"
    assert not run.ready
    assert run.step(TWO) == []
    assert run.ready
    assert run.found is not None
    assert run.found.speakers == (
        Speaker(id="S1", name="Speaker 1", seconds=13.5),
        Speaker(id="S2", name="Ada", seconds=8.0),
    )
    assert run.found.turns[1] == Turn(12.0, 20.0, "S2")
    assert run.found.centres == {"S1": b"one", "S2": b"two"}


def test_speakers_who_were_merged_are_one_again() -> None:
    run = SpeakerRun(ANY, {"S2": "S1"})
    run.cut(chunk(0))
    [find] = run.complete(LENGTH_S)
    run.step(found(find))
    vectors = (b"\0\0\x80\x3f\0\0\0\0", b"\0\0\0\0\0\0\x80\x3f")
    speakers = tuple(replace(one, centre=vector) for one, vector in zip(TWO.speakers, vectors, strict=True))
    run.step(SpeakersFound(speakers, TWO.turns))

    assert run.found is not None
    assert [one.id for one in run.found.speakers] == ["S1"]
    assert {turn.speaker for turn in run.found.turns} == {"S1"}
    assert {first: one.centre for first, one in run.found.merged_from.items()} == {"S1": vectors[0], "S2": vectors[1]}


def heard(run: SpeakerRun, index: int) -> list[SpeakerCommand]:
    """The voices of a chunk are known; what follows beside storing them."""
    [find] = run.cut(chunk(index + 1))
    stored, *rest = run.step(found(find))
    assert isinstance(stored, StoreVoices)
    return rest


def test_while_the_recording_is_heard_the_speakers_so_far_are_told_apart_now_and_then() -> None:
    run = SpeakerRun(SpeakerCount(exactly=3))
    run.cut(chunk(0))
    up_to_three = SpeakerCount(most=3)
    assert heard(run, 0) == [GuessSpeakers((voices(0),), up_to_three)]
    assert heard(run, 1) == [], "one guess at a time"
    assert run.step(GUESSED) == [GuessSpeakers((voices(0), voices(1)), up_to_three)]
    assert run.guess.turns[1] == Turn(12.0, 20.0, "S2")
    assert run.step(GuessLost()) == [], "when more is known it is tried again"

    guesses = []
    for index in range(2, 100):
        if asked := heard(run, index):
            guesses.append(index + 1)
            run.step(GUESSED)
            assert isinstance(asked[0], GuessSpeakers)

    assert guesses[:8] == [3, 4, 5, 7, 9, 12, 15, 19]
    assert sum(guesses) < 5 * 100, "so that all of them cost no more than five of the last one"
    assert not run.ready
    assert run.found is None


def test_what_is_found_in_the_end_is_the_last_guess() -> None:
    run = SpeakerRun(ANY)
    run.recall(0, voices(0))
    run.cut(chunk(0))
    run.complete(LENGTH_S)
    run.step(TWO)

    assert run.guess is run.found
    assert run.step(GUESSED) == []
    assert run.guess is run.found


def test_where_the_audio_is_cut_differently_the_guess_is_void() -> None:
    run = SpeakerRun(ANY)
    run.cut(chunk(0))
    heard(run, 0)
    run.step(GUESSED)
    run.forget_from(1)

    assert run.guess is NO_SPEAKERS


def test_without_chunks_there_are_no_speakers() -> None:
    run = SpeakerRun(ANY)

    assert run.complete(3.0) == []
    assert run.found is NO_SPEAKERS


def test_a_job_that_wants_no_speakers_asks_for_nothing() -> None:
    run = SpeakerRun(None)
    run.recall(0, b"old")

    assert run.ready
    assert run.cut(chunk(0)) == run.cut(chunk(1)) == run.complete(LENGTH_S) == []


def test_stored_voices_are_not_looked_for_again() -> None:
    run = SpeakerRun(ANY)
    run.recall(0, voices(0))
    run.recall(1, voices(1))
    run.cut(chunk(0))

    assert run.cut(chunk(1)) == []
    assert run.complete(LENGTH_S) == [NameSpeakers((voices(0), voices(1)), ANY)]


def test_where_the_audio_is_cut_differently_voices_are_void() -> None:
    run = SpeakerRun(ANY)
    for index in range(3):
        run.recall(index, voices(index))
    run.cut(chunk(0))
    run.forget_from(1)

    assert run.cut(chunk(1)) == [FindVoices(0, 0, 11 * SAMPLE_RATE)]


def test_an_answer_about_another_stretch_is_ignored() -> None:
    run = SpeakerRun(ANY)
    run.cut(chunk(0))
    run.cut(chunk(1))

    assert run.step(VoicesFound(0, 0, 5, b"short")) == []
    assert run.step(VoicesFound(7, 0, 5, b"unknown")) == []


@pytest.mark.parametrize(("killed", "allowed"), [(False, FAILURES_ALLOWED), (True, KILLS_ALLOWED)])
def test_failures_are_tried_again_and_then_given_up(killed: bool, allowed: int) -> None:
    run = SpeakerRun(ANY)
    run.cut(chunk(0))
    [asked] = run.cut(chunk(1))
    lost = VoicesLost(0, "it broke", killed)

    for _ in range(allowed):
        assert run.step(lost) == [asked]
    assert run.step(lost) == []
    assert run.ready
    assert run.failure == "it broke"
    assert run.found is None
    assert run.complete(LENGTH_S) == []


def test_naming_is_tried_again_too() -> None:
    run = SpeakerRun(ANY)
    run.recall(0, voices(0))
    run.cut(chunk(0))
    [named] = run.complete(LENGTH_S)

    assert run.step(VoicesLost(None, "it broke", False)) == [named]


@given(st.data())
def test_whatever_happens_in_between_the_same_voices_are_named(data: st.DataObject) -> None:
    """Answers come in any order; at any moment the server may end, and has what was stored."""
    chunks = data.draw(st.integers(1, 4))
    stored: dict[int, bytes] = {}
    for _ in range(data.draw(st.integers(0, 3))):  # attempts that end early
        _attempt(chunks, stored, data, data.draw(st.integers(0, 2 * chunks)))

    named = _attempt(chunks, stored, data, 100)

    assert named == [NameSpeakers(tuple(map(voices, range(chunks))), ANY)]


def _attempt(chunks: int, stored: dict[int, bytes], data: st.DataObject, steps: int) -> list[NameSpeakers]:
    run = SpeakerRun(ANY)
    for index, known in stored.items():
        run.recall(index, known)
    waiting: list[SpeakerCommand] = []
    named: list[NameSpeakers] = []
    events = [*(lambda index=index: run.cut(chunk(index)) for index in range(chunks)), lambda: run.complete(LENGTH_S)]
    for _ in range(steps):
        choices = [bool(events)] * bool(events) + [False] * bool(waiting)
        if not choices:
            break
        if data.draw(st.sampled_from(choices)):
            commands = events.pop(0)()
        else:
            asked = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
            guessed = GUESSED if data.draw(st.booleans()) else GuessLost()
            commands = run.step(guessed if isinstance(asked, GuessSpeakers) else found(asked))
        for command in commands:
            if isinstance(command, StoreVoices):
                stored[command.index] = command.voices
            elif isinstance(command, NameSpeakers):
                named.append(command)
            else:
                waiting.append(command)
    return named
