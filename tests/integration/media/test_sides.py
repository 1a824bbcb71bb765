"""Calls with one voice on each channel: each side has its own audio, chunks and words, and copies are read once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from media_files import KINDS, Audio, Spoken, covered, prepared, write, write_wav
from numpy.typing import NDArray

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.domain.recording import ChannelUse
from scrivano.media.chunking import WINDOW
from scrivano.media.recording import Recording, open_recording

PAUSE = np.zeros(SAMPLE_RATE, np.int16)
LEAK = 10 ** (-15 / 20)


def call(audio: Audio, *, leak: float = 0.0) -> list[Audio]:
    """Each side says the same by turns, the left one first."""
    silence = np.zeros(len(audio), np.int16)
    left = np.concatenate([audio, PAUSE, silence, PAUSE, audio, PAUSE, silence, PAUSE]).astype(np.float64)
    right = np.concatenate([silence, PAUSE, audio, PAUSE, silence, PAUSE, audio, PAUSE]).astype(np.float64)
    mixed = [left + leak * right, right + leak * left]
    return [np.rint(side / 2).astype(np.int16) for side in mixed]


def turns(audio: Audio) -> list[float]:
    """The seconds at which the sides begin to speak, by turns."""
    return [number * (len(audio) + SAMPLE_RATE) / SAMPLE_RATE for number in range(4)]


def heard(pieces: Sequence[Sequence[int]], speech: Spoken, at: float) -> bool:
    return all(covered(start + at, end + at, pieces) for start, end in speech.sentences)


@pytest.mark.parametrize("leak", [0.0, LEAK])
def test_each_side_of_a_call_has_its_own_speech(audio: Audio, speech: Spoken, tmp_path: Path, leak: float) -> None:
    result = prepared(write_wav(tmp_path / "call.wav", call(audio, leak=leak)), channels=ChannelUse.AUTO)

    assert (result.about["audio"]["channel_content"], result.about["audio"]["sides"]) == ("voices", 2)
    for side in (0, 1):
        spoken = [heard(result.pieces_of(side), speech, at) for at in turns(audio)]
        assert spoken == [side == 0, side == 1] * 2
        other = np.split(result.side(side)[: 4 * (len(audio) + SAMPLE_RATE)], 4)[1 - side]
        assert np.count_nonzero(other[SAMPLE_RATE:-SAMPLE_RATE]) == 0
    indices = [body["index"] for body in result.sent if body["type"] == "chunk"]
    assert indices == list(range(len(indices)))


def test_what_is_quiet_on_a_side_is_not_amplified_to_find_speech(audio: Audio, tmp_path: Path) -> None:
    """It may be a leak. Of a recording that is read as one, it may be somebody far away."""
    seen: list[Audio] = []

    def detect(blocks: Iterable[Audio]) -> Iterator[NDArray[np.float32]]:
        for block in blocks:
            seen.append(block)
            yield np.zeros(len(block) // WINDOW, np.float32)

    sides = [np.concatenate([side, side // 100]) for side in call(audio)]
    source = write_wav(tmp_path / "call.wav", sides)

    prepared(source, channels=ChannelUse.SPLIT, detector=detect)
    loudest = max(int(np.abs(block).max()) for block in seen[-4:])
    seen.clear()
    prepared(source, channels=ChannelUse.MIX, detector=detect)

    assert loudest < 400 < max(int(np.abs(block).max()) for block in seen[-4:])


def test_the_same_call_gives_the_same_chunks(audio: Audio, tmp_path: Path) -> None:
    source = write_wav(tmp_path / "call.wav", call(audio, leak=LEAK))

    first = prepared(source, channels=ChannelUse.SPLIT)
    before = [first.side(0), first.side(1)]
    again = prepared(source, channels=ChannelUse.SPLIT)

    assert again.sent == first.sent
    for side in (0, 1):
        np.testing.assert_array_equal(again.side(side), before[side])


def test_a_call_is_mixed_where_that_is_asked_for(audio: Audio, speech: Spoken, tmp_path: Path) -> None:
    result = prepared(write_wav(tmp_path / "call.wav", call(audio)))

    assert (result.about["audio"]["channel_content"], result.about["audio"]["sides"]) == ("voices", 1)
    assert all(heard(result.pieces_of(None), speech, at) for at in turns(audio))
    assert not Path(f"{result.target}.1").exists()


@pytest.mark.parametrize("use", [ChannelUse.AUTO, ChannelUse.SPLIT])
@pytest.mark.parametrize(
    ("content", "gain", "delay"), [("copy", 1.0, 0), ("inverted_copy", -1.0, 0), ("delayed_copy", 1.0, 3200)]
)
def test_copies_are_read_once(
    audio: Audio, tmp_path: Path, use: ChannelUse, content: str, gain: float, delay: int
) -> None:
    copy = np.concatenate([np.zeros(delay), gain * audio * 0.5])[: len(audio)].astype(np.int16)
    result = prepared(write_wav(tmp_path / "copies.wav", [audio, copy]), channels=use)

    assert (result.about["audio"]["channel_content"], result.about["audio"]["sides"]) == (content, 1)
    np.testing.assert_array_equal(result.audio, audio)
    assert ("not_split" in result.warnings) is (use is ChannelUse.SPLIT)


def test_a_silent_side_is_left_out_until_it_speaks(audio: Audio, speech: Spoken, tmp_path: Path) -> None:
    silent = np.zeros(len(audio), np.int16)
    result = prepared(write_wav(tmp_path / "left.wav", [audio, silent]), channels=ChannelUse.AUTO)

    assert (result.about["audio"]["channel_content"], result.about["audio"]["sides"]) == ("one_side", 1)
    np.testing.assert_array_equal(result.audio, audio)


def test_a_recording_with_one_channel_is_not_split_and_not_read_twice(
    audio: Audio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Recording, "excerpts")
    result = prepared(write_wav(tmp_path / "mono.wav", [audio]), channels=ChannelUse.SPLIT)

    assert result.about["audio"]["channel_content"] is None
    assert result.warnings == ["not_split"]
    np.testing.assert_array_equal(result.audio, audio)


@pytest.mark.parametrize("suffix", KINDS)
def test_excerpts_can_be_taken_from_every_format(audio: Audio, tmp_path: Path, suffix: str) -> None:
    source = write(tmp_path / f"speech.{suffix}", audio, KINDS[suffix])

    with open_recording(str(source), 1e5) as recording:
        some = recording.excerpts(0, 4, 1.0)

    assert sum(map(len, some)) >= 2 * SAMPLE_RATE
