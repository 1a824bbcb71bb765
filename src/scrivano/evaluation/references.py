"""Read a reference: what was really said in a recording, with times if the file has some. Pure."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from scrivano.domain.errors import BadRequest
from scrivano.domain.languages import parse_language
from scrivano.domain.transcript import Segment, Word

__all__ = ["ENDINGS", "Reference", "UnreadableReference", "parse_reference"]

# The endings of references. Of several beside a recording, the first is used: those with the most times come first.
ENDINGS = (".json", ".vtt", ".srt", ".txt")


_SILENT = "an empty .txt says that nobody speaks"


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
            return _subtitles(text)
        case _:
            return Reference((Segment(start=0, end=0, text=" ".join(text.split())),), timed=False)


def _decoded(data: bytes) -> str:
    """UTF-8, as nearly all files are; subtitles of old programs for Windows are not."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "cp1252", errors="replace")


# Subtitles


_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3})\d*)?"
_TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?!\S)")
_TAG = re.compile(r"<[^>\n]*>|\{\\[^}\n]*\}")


def _subtitles(text: str) -> Reference:
    cues = tuple(_cues(text))
    if not cues:
        raise UnreadableReference(
            f"it has no subtitles: a line such as 00:00:01,000 --> 00:00:02,500, then text; {_SILENT}"
        )
    return Reference(cues, timed=True)


def _cues(text: str) -> Iterator[Segment]:
    """The cues of SubRip or WebVTT: a line with times, then text until a blank line, or until the number and times of
    the next cue in files that have lost their blank lines."""
    lines = text.splitlines()
    times = [(row, found) for row, line in enumerate(lines) if (found := _TIMES.match(line))]
    ends = [*(row for row, _ in times), len(lines)][1:]
    for (row, found), end in zip(times, ends, strict=True):
        said = list(takewhile(str.strip, lines[row + 1 : end]))
        if end < len(lines) and row + 1 + len(said) == end and said and said[-1].strip().isdecimal():
            said.pop()
        words = html.unescape(_TAG.sub("", "\n".join(said))).split()
        start, stop = _seconds(found.groups()[:4]), _seconds(found.groups()[4:])
        if words:
            yield Segment(start=start, end=max(start, stop), text=" ".join(words))


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
            f' a list such as [{{"start": 0.0, "end": 1.5, "text": "…"}}]; {_SILENT}'
        ) from error


def _of_object(found: Mapping[str, Any]) -> Reference:
    language = _language(found.get("language") or (found.get("result") or {}).get("language"))
    if isinstance(cues := found.get("transcription"), list):  # whisper.cpp: milliseconds
        rows = [
            {"start": c["offsets"]["from"] / 1000, "end": c["offsets"]["to"] / 1000, "text": c["text"]} for c in cues
        ]
        return _of_list(rows, language)
    segments, words = found.get("segments"), found.get("words")
    if segments == [] and found.get("status") == "done" and "text" not in found:  # a job of Scrivano without speech
        return Reference((), timed=False, language=language)
    if not segments and not (segments is None and words):
        return Reference((Segment(start=0, end=0, text=_text(found)),), timed=False, language=language)
    if segments is None:
        return _of_list(words, language)
    reference = _of_list(segments, language)
    # OpenAI's verbose_json has the words of all segments beside them.
    top = words or ()
    return _with_words(reference, top) if top and not any(one.words for one in reference.segments) else reference


def _of_list(rows: Any, language: str | None) -> Reference:
    if not isinstance(rows, list) or not rows:
        raise TypeError("neither an object nor a list with segments")
    timed = all(_has_times(row) for row in rows)
    segments = [_segment(row, timed) for row in rows]
    return Reference(tuple(one for one in segments if one.text), timed=timed, language=language)


def _segment(row: Mapping[str, Any], timed: bool) -> Segment:
    start, end = (float(row["start"]), float(row["end"])) if timed else (0.0, 0.0)
    words = row.get("words") or ()
    # WhisperX leaves out the times of some words; then only the segment's are used.
    known = tuple(map(_word, words)) if timed and words and all(map(_has_times, words)) else ()
    return Segment(start=start, end=max(start, end), text=_text(row), words=known)


def _word(row: Mapping[str, Any]) -> Word:
    start, end = float(row["start"]), float(row["end"])
    return Word(text=_string(row, "word", "text"), start=start, end=max(start, end), probability=1.0)


def _text(row: Mapping[str, Any]) -> str:
    return _string(row, "text", "word").strip()


def _string(row: Mapping[str, Any], *names: str) -> str:
    """The first of these fields that there is."""
    [name, *_] = [name for name in names if name in row] or [names[0]]
    if not isinstance(row[name], str):
        raise TypeError(f"`{name}` is no text")
    return str(row[name])


def _has_times(row: Mapping[str, Any]) -> bool:
    return all(isinstance(row.get(name), int | float) and math.isfinite(row[name]) for name in ("start", "end"))


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
