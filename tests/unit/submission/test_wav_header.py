from __future__ import annotations

import io
import wave

from scrivano.submission.wav_header import PCM_HEADER, wav_header


def test_the_header_says_what_the_samples_are() -> None:
    with wave.open(io.BytesIO(wav_header(48_000, 3, 2) + bytes(600))) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (48_000, 3, 2)


def test_samples_of_unknown_number_can_be_read_to_the_end_of_the_file() -> None:
    with wave.open(io.BytesIO(PCM_HEADER + b"\x01\x00" * 160)) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (16_000, 2, 1)
        assert file.readframes(1000) == b"\x01\x00" * 160
