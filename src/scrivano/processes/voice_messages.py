"""What the server and the speakers child send each other, in the same way as in `messages`."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator

__all__ = [
    "FindVoices",
    "KnownVoice",
    "NameSpeakers",
    "NamedSpeaker",
    "SpeakersNamed",
    "VoiceMessage",
    "VoiceRequest",
    "VoicesFailed",
    "VoicesFound",
]


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


Binary = Annotated[bytes, PlainValidator(_bytes), PlainSerializer(_base64, return_type=str)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


# Server to speakers child ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class FindVoices:
    """Find the voices in prepared audio: `path`, samples from `start` to `end`."""

    type: Literal["voices"] = "voices"
    id: int
    path: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownVoice:
    """A speaker whose voice is known. `id`: in an earlier version of the transcript; None: from elsewhere."""

    name: str
    centre: Binary
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NameSpeakers:
    """Tell the speakers apart. `path`: a file with the voices of every chunk, see `pack`.

    `exactly`: how many there are, else at least `least` and at most `most`. Speakers that sound like one of `known`
    get their id and name.
    """

    type: Literal["name"] = "name"
    id: int
    path: str
    exactly: Count | None = None
    least: Count = 1
    most: Count | None = None
    known: tuple[KnownVoice, ...] = ()


VoiceRequest = FindVoices | NameSpeakers


# Speakers child to server ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class VoicesFound:
    """`voices`: what is to be stored of them."""

    type: Literal["found"] = "found"
    id: int
    voices: Binary


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSpeaker:
    """`name` None: nobody known. `centre`: the voice."""

    id: str
    name: str | None
    centre: Binary


def _ordered(turn: tuple[float, float, int]) -> tuple[float, float, int]:
    if turn[0] > turn[1]:
        raise ValueError(f"a turn from {turn[0]} to {turn[1]}")
    return turn


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakersNamed:
    """`turns`: start, end, index in `speakers`; ordered by time."""

    type: Literal["named"] = "named"
    id: int
    speakers: tuple[NamedSpeaker, ...]
    turns: tuple[Annotated[tuple[Seconds, Seconds, Annotated[int, Field(ge=0)]], AfterValidator(_ordered)], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VoicesFailed:
    """Request `id` failed; another one may succeed."""

    type: Literal["failed"] = "failed"
    id: int
    message: str


VoiceMessage = VoicesFound | SpeakersNamed | VoicesFailed
