"""A WAV header for bare PCM audio."""

from __future__ import annotations

import struct

__all__ = ["PCM_HEADER", "wav_header"]

# The largest length that a WAV header can hold. Writers to a pipe use it, because they do not know the length yet;
# readers then stop at the end of the file.
UNKNOWN_LENGTH = 0xFFFFFFFF


def wav_header(rate: int = 16_000, width: int = 2, channels: int = 1) -> bytes:
    """The header that makes a WAV file of little-endian PCM samples of unknown number.

    `rate` is in samples per second, `width` in bytes per sample.
    """
    frame = width * channels
    format = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * frame, frame, 8 * width)
    riff = struct.pack("<4sI4s", b"RIFF", UNKNOWN_LENGTH, b"WAVE")
    return riff + format + struct.pack("<4sI", b"data", UNKNOWN_LENGTH)


# For clients of whisper-asr-webservice that send PCM without a header: 16 kHz, mono, 16 bits.
PCM_HEADER = wav_header()
