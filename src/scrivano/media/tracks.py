"""Which audio track of a file to transcribe. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scrivano.domain.errors import BadRequest, MediaError
from scrivano.domain.languages import parse_language

__all__ = ["Track", "TrackChoice", "candidates", "may_join"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """`number` counts from 0 among the audio tracks. `language` as the file tags it. `best`: FFmpeg's own choice.

    `described`: a commentary, a version for deaf or blind people, an effects track: not what people say in the picture.
    `channels`: how many, as the file says; 0: it does not. `surround`: they are the loudspeakers of a cinema.
    """

    number: int
    decodable: bool
    language: str | None = None
    default: bool = False
    best: bool = False
    described: bool = False
    channels: int = 0
    surround: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackChoice:
    """What the caller asks for. `track`: a number or a language, and no other; `language`: preferably in that one."""

    track: str | None = None
    language: str | None = None


def candidates(tracks: Sequence[Track], choice: TrackChoice) -> list[Track]:
    """The tracks to read, best first: where the first has no speech, the next is tried.

    Raises `MediaError`: `no_audio`, or `not_media` if no track can be decoded.
    """
    if not tracks:
        raise MediaError("no_audio", "the file has no audio stream; submit a file with sound")
    wanted = [track for track in tracks if choice.track is None or _is_named(track, choice.track)]
    if not wanted:
        there = ", ".join(f"{track.number} ({track.language or 'no language'})" for track in tracks)
        raise MediaError("no_audio", f"the file has no audio track '{choice.track}'; its tracks are {there}")
    readable = [track for track in wanted if track.decodable]
    if not readable:
        advice = "convert it to AAC, MP3, Opus, FLAC or WAV"
        raise MediaError("not_media", f"the file's sound has a codec that is not supported here; {advice}")
    ranked = sorted(readable, key=lambda track: _rank(track, choice.language))
    return ranked[:1] if choice.track is not None else ranked


def may_join(track: Track, other: Track) -> bool:
    """Whether the tags of two tracks allow that both are parts of one conversation."""
    one, two = _language(track.language), _language(other.language)
    return not track.described and not other.described and (one == two or one is None or two is None)


def _rank(track: Track, language: str | None) -> tuple[bool, bool, bool, bool, int]:
    other_language = language is not None and _language(track.language) != language
    return other_language, track.described, not track.best, not track.default, track.number


def _is_named(track: Track, name: str) -> bool:
    if name.isascii() and name.isdigit():
        return track.number == int(name)
    if name.strip().lower() == (track.language or "").lower():
        return True
    language = _language(name)
    return language is not None and language == _language(track.language)


def _language(tag: str | None) -> str | None:
    """Whisper's code of a language tag; None: unknown."""
    try:
        return parse_language(tag)
    except BadRequest:
        return None
