"""Read a reference: what was really said in a recording, with times if the file has some. Pure."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scrivano.domain.errors import BadRequest
from scrivano.domain.languages import parse_language
from scrivano.domain.transcript import Segment, Word

__all__ = ["ENDINGS", "Reference", "UnreadableReference", "parse_reference"]

# The endings of references. Of several beside a recording, the first is used: those with the most times come first.
ENDINGS = (".json", ".vtt", ".srt", ".txt")


class UnreadableReference(Exception):
    """The message says what is wrong with the file."""


@dataclass(frozen=True, slots=True)
class Reference:
    """`timed`: the segments have times; otherwise these are 0. `language`: a code of Whisper; None: not known."""

    segments: tuple[Segment, ...]
    timed: bool
    language: str | None = None

    @property
    def text(self) -> str:
        return " ".join(segment.text for segment in self.segments)


def parse_reference(ending: str, data: bytes) -> Reference:
    """`ending`: one of `ENDINGS`. Raises `UnreadableReference`."""
    text = _decoded(data)
    match ending:
        case ".json":
            return _json(text)
        case ".srt" | ".vtt":
            return Reference(tuple(_cues(text)), timed=True)
        case _:
            return Reference((Segment(start=0, end=0, text=" ".join(text.split())),), timed=False)


def _decoded(data: bytes) -> str:
    """UTF-8, as nearly all files are; subtitles of old programs for Windows are not."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "cp1252", errors="replace")


# Subtitles


_TIMES = re.compile(
    r"^\s*(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})\s*-->\s*(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})", re.MULTILINE
)
_TAG = re.compile(r"<[^>\n]*>|\{\\[^}\n]*\}")


def _cues(text: str) -> Iterator[Segment]:
    """The cues of SubRip or WebVTT: a line with times, then text until a blank line."""
    for block in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        if (times := _TIMES.search(block)) is None:
            continue
        start, end = _seconds(times.groups()[:4]), _seconds(times.groups()[4:])
        lines = block[times.end() :].partition("\n")[2]  # the rest of the line with times has settings of the cue
        words = html.unescape(_TAG.sub("", lines)).split()
        if words:
            yield Segment(start=start, end=max(start, end), text=" ".join(words))


def _seconds(parts: Sequence[str | None]) -> float:
    hours, minutes, seconds, millis = parts
    return (
        int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0) + int((millis or "0").ljust(3, "0")) / 1000
    )


# JSON


def _json(text: str) -> Reference:
    """A job or transcript of Scrivano, JSON of Whisper, WhisperX, OpenAI or whisper.cpp, or a list of segments."""
    try:
        found = json.loads(text)
        return _of_object(found) if isinstance(found, dict) else _of_list(found, None)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableReference(
            f"it is no transcript in JSON ({type(error).__name__}: {error}); it may be that of Scrivano or Whisper, or"
            ' a list such as [{"start": 0.0, "end": 1.5, "text": "…"}]'
        ) from error


def _of_object(found: Mapping[str, Any]) -> Reference:
    language = _language(found.get("language") or (found.get("result") or {}).get("language"))
    if isinstance(cues := found.get("transcription"), list):  # whisper.cpp: milliseconds
        rows = [
            {"start": c["offsets"]["from"] / 1000, "end": c["offsets"]["to"] / 1000, "text": c["text"]} for c in cues
        ]
        return _of_list(rows, language)
    segments = found.get("segments")
    if segments is None and isinstance(found.get("words"), list):
        return _of_list(found["words"], language)
    if segments is None:
        return Reference((Segment(start=0, end=0, text=str(found["text"]).strip()),), timed=False, language=language)
    reference = _of_list(segments, language)
    # OpenAI's verbose_json has the words of all segments beside them.
    top = found.get("words") or ()
    return _with_words(reference, top) if top and not any(one.words for one in reference.segments) else reference


def _of_list(rows: Sequence[Mapping[str, Any]], language: str | None) -> Reference:
    if not isinstance(rows, list):
        raise TypeError("neither an object nor a list")
    timed = all(_has_times(row) for row in rows)
    segments = [_segment(row, timed) for row in rows]
    return Reference(tuple(one for one in segments if one.text), timed=timed and bool(rows), language=language)


def _segment(row: Mapping[str, Any], timed: bool) -> Segment:
    text = str(row["text"] if "text" in row else row["word"]).strip()
    start, end = (float(row["start"]), float(row["end"])) if timed else (0.0, 0.0)
    words = row.get("words") or ()
    # WhisperX leaves out the times of some words; then only the segment's are used.
    known = tuple(map(_word, words)) if timed and words and all(map(_has_times, words)) else ()
    return Segment(start=start, end=end, text=text, words=known)


def _word(row: Mapping[str, Any]) -> Word:
    text = str(row["word"] if "word" in row else row["text"])
    return Word(text=text, start=float(row["start"]), end=float(row["end"]), probability=1.0)


def _has_times(row: Mapping[str, Any]) -> bool:
    return isinstance(row.get("start"), int | float) and isinstance(row.get("end"), int | float)


def _with_words(reference: Reference, rows: Sequence[Mapping[str, Any]]) -> Reference:
    """Put words beside the segments into them, by where their middle is."""
    words = [_word(row) for row in rows if _has_times(row)]
    filled = [
        Segment(
            start=one.start,
            end=one.end,
            text=one.text,
            words=tuple(_spaced(w) for w in words if one.start <= (w.start + w.end) / 2 < one.end),
        )
        for one in reference.segments
    ]
    if sum(len(one.words) for one in filled) < len(words):
        return reference
    return Reference(tuple(filled), reference.timed, reference.language)


def _spaced(word: Word) -> Word:
    return Word(text=f" {word.text.strip()}", start=word.start, end=word.end, probability=1.0)


def _language(name: Any) -> str | None:
    try:
        return parse_language(str(name)) if name else None
    except BadRequest:
        return None
