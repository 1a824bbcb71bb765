"""espeak-ng in process, with the time at which each word starts."""

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

SAMPLE_RATE = 16000
# AUDIO_OUTPUT_SYNCHRONOUS: no sound card, a callback gets the samples.
_SYNCHRONOUS = 2
_EVENT_END, _EVENT_WORD = 0, 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_UTF8 = 1
# Samples kept before and after the speech.
_LEAD, _TAIL = 400, 800

Samples = NDArray[np.float32]


class EspeakMissing(Exception):
    """espeak-ng's library cannot be loaded. The message says how to install it."""


@dataclass(frozen=True, slots=True)
class Voice:
    """espeak-ng's name for it with the variant; words a minute; pitch and its range, 0 to 99."""

    name: str
    rate: int = 160
    pitch: int = 50
    pitch_range: int = 50

    def __str__(self) -> str:
        return f"{self.name} {self.rate} {self.pitch}"


@dataclass(frozen=True, slots=True)
class Utterance:
    """16 kHz samples trimmed to the speech; times in seconds from their first sample.

    `words` has one (start, end) for each of the text's words, split at spaces.
    """

    samples: Samples
    start: float
    end: float
    words: tuple[tuple[float, float], ...]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("uid", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user", ctypes.c_void_p),
        ("id", ctypes.c_uint64),
    ]


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Espeak:
    """One espeak-ng. The library keeps global state: one of these a process."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL("libespeak-ng.so.1")
        except OSError as error:
            raise EspeakMissing("espeak-ng is missing: apt-get install espeak-ng libespeak-ng1") from error
        self._rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, None, 0)
        if self._rate <= 0:
            raise EspeakMissing("espeak-ng has no voice data: apt-get install espeak-ng")
        self._pieces: list[NDArray[np.int16]] = []
        self._starts: list[tuple[int, int]] = []  # character position from 1, milliseconds
        self._callback = _CALLBACK(self._receive)  # kept: the library holds only a pointer
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self._pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        i = 0
        while events[i].type != _EVENT_END:
            if events[i].type == _EVENT_WORD:
                self._starts.append((events[i].text_position, events[i].audio_position))
            i += 1
        return 0

    def say(self, text: str, voice: Voice) -> Utterance:
        """Raises `ValueError` for a voice that espeak-ng does not know."""
        if self._library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice.name}")
        for parameter, value in (
            (_RATE, voice.rate),
            (_PITCH, voice.pitch),
            (_RANGE, voice.pitch_range),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._pieces, self._starts = [], []
        data = text.encode() + b"\0"
        self._library.espeak_Synth(data, len(data), 0, 0, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        sound = np.concatenate(self._pieces).astype(np.float32) / 32768
        return _trimmed(soxr.resample(sound, self._rate, SAMPLE_RATE), text, self._starts)


def _trimmed(sound: Samples, text: str, events: list[tuple[int, int]]) -> Utterance:
    level = np.abs(sound)
    loud = np.nonzero(level > max(0.01 * level.max(), 1e-4))[0]
    first, last = int(loud[0]), int(loud[-1])
    cut = max(0, first - _LEAD)
    start, end = (first - cut) / SAMPLE_RATE, (last - cut) / SAMPLE_RATE
    starts = _word_starts(text, events, cut / SAMPLE_RATE, start, end)
    words = tuple(zip(starts, [*starts[1:], end], strict=True))
    return Utterance(sound[cut : min(len(sound), last + _TAIL)], start, end, words)


def _word_starts(text: str, events: list[tuple[int, int]], cut: float, start: float, end: float) -> list[float]:
    """Each word's start. A word without an event of its own lies half way to the next one."""
    starts: list[float | None] = []
    position = 0
    for word in text.split():
        first = text.index(word, position)
        position = first + len(word)
        own = [ms / 1000 - cut for at, ms in events if first <= at - 1 < position]
        starts.append(min(own, default=None))
    done = [start]
    for k, own_start in enumerate(starts[1:], 1):
        if own_start is None or own_start < done[-1]:
            later = (s for s in starts[k + 1 :] if s is not None and s > done[-1])
            own_start = (done[-1] + next(later, end)) / 2
        done.append(own_start)
    return [min(max(0.0, s), end) for s in done]
