"""Transcript → txt, srt, vtt, tsv, json, verbose_json, lrc. Pure.

Times are rounded to whole milliseconds once, where cues are made; from there on they are integers. A transcript
without speech is a valid file in every format. `tsv` and `json` follow openai-whisper's writers, `verbose_json` OpenAI.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scrivano.domain.errors import BadRequest
from scrivano.domain.languages import LANGUAGES
from scrivano.domain.transcript import Segment, Transcript, Word, language_of
from scrivano.text.subtitles import Cue, Shape, milliseconds, printable, shaped

__all__ = ["FORMATS", "Cue", "Format", "cues", "milliseconds", "render", "whisper_segment"]


@dataclass(frozen=True, slots=True)
class Format:
    """How a transcript is written to a file. Writers of subtitles heed the shape; the others have no cues."""

    write: Callable[[Transcript, Shape | None], str]
    extension: str
    media_type: str


def render(transcript: Transcript, format: str, shape: Shape | None = None) -> str:
    """The transcript as the text of a file; without a shape, subtitles have one cue a segment.

    Raises `BadRequest` for a format that is not in `FORMATS`.
    """
    if format not in FORMATS:
        raise BadRequest(f"format must be one of {', '.join(FORMATS)}")
    return FORMATS[format].write(transcript, shape)


def cues(segments: Iterable[Segment]) -> Iterator[Cue]:
    """One cue a segment that has text. None starts before the one ahead of it, and each lasts a millisecond at least
    (WebVTT demands it)."""
    at = 0
    for segment in segments:
        text = _tidy(segment.text)
        if text:
            at = max(at, milliseconds(segment.start))
            yield Cue(at, max(at + 1, milliseconds(segment.end)), text)


def _shown(transcript: Transcript, shape: Shape | None) -> Iterable[Cue]:
    return cues(transcript.segments) if shape is None else shaped(transcript.segments, shape)


def _txt(transcript: Transcript, _: Shape | None) -> str:
    return "".join(f"{_one_line(cue)}\n" for cue in cues(transcript.segments))


def _srt(transcript: Transcript, shape: Shape | None) -> str:
    return "\n".join(
        f"{number}\n{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}\n{_srt_text(cue.text)}\n"
        for number, cue in enumerate(_shown(transcript, shape), 1)
    )


def _vtt(transcript: Transcript, shape: Shape | None) -> str:
    blocks = (
        f"\n{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}\n{_vtt_text(cue.text)}\n"
        for cue in _shown(transcript, shape)
    )
    return "WEBVTT\n" + "".join(blocks)


def _tsv(transcript: Transcript, _: Shape | None) -> str:
    rows = (f"{cue.start_ms}\t{cue.end_ms}\t{_one_line(cue)}\n" for cue in cues(transcript.segments))
    return "start\tend\ttext\n" + "".join(rows)


def _lrc(transcript: Transcript, shape: Shape | None) -> str:
    """Lines show until the next one. Hundredths of a second, cut off: a line is never late."""
    minutes, seconds = divmod(milliseconds(transcript.duration) // 1000, 60)
    lines = (f"{_lrc_time(cue.start_ms)}{_lrc_text(_one_line(cue))}\n" for cue in _shown(transcript, shape))
    return f"[length:{minutes:02}:{seconds:02}]\n" + "".join(lines)


def _json(transcript: Transcript, _: Shape | None) -> str:
    document = {
        "text": transcript.text,
        "segments": [_segment(index, segment) for index, segment in enumerate(transcript.segments)],
        "language": transcript.language,
    }
    return json.dumps(document, ensure_ascii=False) + "\n"


def _verbose_json(transcript: Transcript, _: Shape | None) -> str:
    """As OpenAI answers when segments and words are asked for; a translation's language is English."""
    code = "en" if transcript.task == "translate" else transcript.language
    document = {
        "task": transcript.task,
        "language": LANGUAGES.get(code or "", "unknown"),
        "duration": _seconds(transcript.duration),
        "text": transcript.text,
        "segments": [_segment(index, segment) for index, segment in enumerate(transcript.segments)],
        "words": [
            {"word": word.text.strip(), "start": _seconds(word.start), "end": _seconds(word.end)}
            for segment in transcript.segments
            for word in segment.words
        ],
    }
    return json.dumps(document, ensure_ascii=False) + "\n"


def whisper_segment(index: int, segment: Segment) -> dict[str, Any]:
    """As openai-whisper writes it, without words. `seek` is in hundredths of a second: there the start of the model's
    window. `tokens` is empty where a segment was divided after decoding."""
    return {
        "id": index,
        "seek": milliseconds(segment.start) // 10,
        "start": _seconds(segment.start),
        "end": _seconds(segment.end),
        "text": segment.text,
        "tokens": list(segment.tokens),
        "temperature": segment.temperature,
        "avg_logprob": segment.avg_logprob,
        "compression_ratio": segment.compression_ratio,
        "no_speech_prob": segment.no_speech_prob,
        **language_of(segment),
    }


def _segment(index: int, segment: Segment) -> dict[str, Any]:
    document = whisper_segment(index, segment)
    if segment.words:
        document["words"] = [_word(word) for word in segment.words]
    return document


def _word(word: Word) -> dict[str, Any]:
    return {
        "word": word.text,
        "start": _seconds(word.start),
        "end": _seconds(word.end),
        "probability": word.probability,
    }


def _seconds(seconds: float) -> float:
    return milliseconds(seconds) / 1000


def _clock(ms: int, point: str) -> str:
    """Hours can grow beyond two digits."""
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{ms:03}"


def _tidy(text: str) -> str:
    """A blank line would end a cue."""
    lines = (" ".join(line.split()) for line in printable(text).splitlines())
    return "\n".join(line for line in lines if line)


def _one_line(cue: Cue) -> str:
    return cue.text.replace("\n", " ")


def _lrc_time(ms: int) -> str:
    seconds, ms = divmod(ms, 1000)
    return f"[{seconds // 60:02}:{seconds % 60:02}.{ms // 10:02}]"


def _lrc_text(text: str) -> str:
    """LRC has no escapes: what looks like a time would be taken for one."""
    return re.sub(r"\[(?=\d+:)", "(", text)


def _srt_text(text: str) -> str:
    """SubRip has no escapes; openai-whisper, too, breaks an arrow that a parser could take for a time line.

    A line that is a number, above one that begins like a time, would be taken for the next cue by readers that
    forgive a missing blank line; the two become one.
    """
    return _NUMBER_AND_TIME.sub(r"\1 ", re.sub(r"-{2,}>", "->", text))


_NUMBER_AND_TIME = re.compile(r"^(-?[0-9]+\.?[0-9]*)\n(?=[0-9]+[,.:，．。：][0-9])", re.MULTILINE)  # noqa: RUF001


def _vtt_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


# What a transcript can be written as.
FORMATS: Mapping[str, Format] = {
    "txt": Format(_txt, "txt", "text/plain"),
    "srt": Format(_srt, "srt", "application/x-subrip"),
    "vtt": Format(_vtt, "vtt", "text/vtt"),
    "tsv": Format(_tsv, "tsv", "text/tab-separated-values"),
    "json": Format(_json, "json", "application/json"),
    "verbose_json": Format(_verbose_json, "json", "application/json"),
    "lrc": Format(_lrc, "lrc", "text/plain"),
}
