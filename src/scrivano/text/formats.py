"""Transcript → txt, srt, vtt, tsv, json, verbose_json, lrc, rttm. Pure.

Times are rounded to whole milliseconds once, when cues are made; after that they are integers. A transcript without
speech is a valid file in every format. `tsv` and `json` follow openai-whisper's writers, `verbose_json` OpenAI.

Where the speakers are known, every format has their names: `vtt` as voices, `tsv` in a column, JSON in a field, and the
others in front of what is said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from scrivano.domain.errors import BadRequest
from scrivano.domain.languages import LANGUAGES
from scrivano.domain.speakers import Turn
from scrivano.domain.transcript import Segment, Transcript, Word, language_of
from scrivano.text.cue import Cue, milliseconds, printable, spaced
from scrivano.text.shape import Shape
from scrivano.text.subtitles import subtitles

__all__ = ["FORMATS", "Format", "cues", "quality_of", "render", "rounded_seconds", "speaker_name_of", "whisper_segment"]


@dataclass(frozen=True, slots=True)
class Format:
    """How a transcript is written to a file. Only subtitle formats use the shape."""

    write: Callable[[Transcript, Shape | None], str]
    extension: str
    media_type: str


def render(transcript: Transcript, format: str, shape: Shape | None = None) -> str:
    """The transcript as the text of a file. Without a shape, subtitles have one cue per segment.

    Raises `BadRequest` for a format that is not in `FORMATS`.
    """
    if format not in FORMATS:
        raise BadRequest(f"format must be one of {', '.join(FORMATS)}")
    return FORMATS[format].write(transcript, shape)


def cues(segments: Iterable[Segment], duration: float | None = None) -> list[Cue]:
    """One cue for each segment with text; never two at once, none after the end of the file. Times as in `spaced`."""
    shown = [(segment, text) for segment in segments if (text := _without_blank_lines(segment.text))]
    times = [(milliseconds(segment.start), milliseconds(segment.end)) for segment, _ in shown]
    limit_ms = milliseconds(duration) if duration else None
    placed = zip(spaced(times, limit_ms), shown, strict=True)
    return [Cue(start, end, text, segment.speaker) for (start, end), (segment, text) in placed]


def _cues(transcript: Transcript, shape: Shape | None, *, labelled: bool) -> Iterable[Cue]:
    """`labelled`: what each speaker says begins with their name."""
    if shape is None:
        plain = cues(transcript.segments, transcript.duration)
        return _labelled(transcript, plain) if labelled else plain
    name_of = partial(_label, transcript) if labelled else None
    return subtitles(transcript.segments, shape, transcript.duration, name_of)


def _labelled(transcript: Transcript, plain: Iterable[Cue]) -> Iterator[Cue]:
    speaker: str | None = None
    for cue in plain:
        if cue.speaker is not None and cue.speaker != speaker:
            yield replace(cue, text=f"{_label(transcript, cue.speaker)}: {cue.text}")
        else:
            yield cue
        speaker = cue.speaker


def _label(transcript: Transcript, speaker: str) -> str:
    return " ".join(printable(transcript.name_of(speaker)).split())


def _txt(transcript: Transcript, _: Shape | None) -> str:
    return "".join(f"{_one_line(cue)}\n" for cue in _cues(transcript, None, labelled=True))


def _srt(transcript: Transcript, shape: Shape | None) -> str:
    return "\n".join(
        f"{number}\n{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}\n{_srt_text(cue.text)}\n"
        for number, cue in enumerate(_cues(transcript, shape, labelled=True), 1)
    )


def _vtt(transcript: Transcript, shape: Shape | None) -> str:
    blocks = (
        f"\n{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}\n{_voice(transcript, cue)}{_vtt_text(cue.text)}\n"
        for cue in _cues(transcript, shape, labelled=False)
    )
    return "WEBVTT\n" + "".join(blocks)


def _tsv(transcript: Transcript, _: Shape | None) -> str:
    shown = cues(transcript.segments, transcript.duration)
    if not transcript.speakers:
        return "start\tend\ttext\n" + "".join(f"{cue.start_ms}\t{cue.end_ms}\t{_one_line(cue)}\n" for cue in shown)
    rows = ((cue.start_ms, cue.end_ms, _label(transcript, cue.speaker or ""), _one_line(cue)) for cue in shown)
    return "start\tend\tspeaker\ttext\n" + "".join(
        f"{start}\t{end}\t{speaker}\t{text}\n" for start, end, speaker, text in rows
    )


def _lrc(transcript: Transcript, shape: Shape | None) -> str:
    """A line is shown until the next one. Hundredths of a second are rounded down, so that no line is late."""
    minutes, seconds = divmod(milliseconds(transcript.duration) // 1000, 60)
    lines = (
        f"{_lrc_time(cue.start_ms)}{_lrc_text(_one_line(cue))}\n" for cue in _cues(transcript, shape, labelled=True)
    )
    return f"[length:{minutes:02}:{seconds:02}]\n" + "".join(lines)


def _json(transcript: Transcript, _: Shape | None) -> str:
    document = {
        "text": transcript.text,
        "segments": [_segment(index, segment, transcript) for index, segment in enumerate(transcript.segments)],
        "language": transcript.language,
    }
    return json.dumps(document, ensure_ascii=False) + "\n"


def _verbose_json(transcript: Transcript, _: Shape | None) -> str:
    """OpenAI's response for both timestamp granularities; the language of a translation is English."""
    code = "en" if transcript.task == "translate" else transcript.language
    document = {
        "task": transcript.task,
        "language": LANGUAGES.get(code or "", "unknown"),
        "duration": rounded_seconds(transcript.duration),
        "text": transcript.text,
        "segments": [_segment(index, segment, transcript) for index, segment in enumerate(transcript.segments)],
        "words": [
            {"word": word.text.strip(), "start": rounded_seconds(word.start), "end": rounded_seconds(word.end)}
            for segment in transcript.segments
            for word in segment.words
        ],
        **quality_of(transcript),
    }
    return json.dumps(document, ensure_ascii=False) + "\n"


def quality_of(transcript: Transcript) -> dict[str, Any]:
    """The field `quality`, empty if it is not known."""
    return {} if transcript.quality is None else {"quality": dict(transcript.quality)}


def whisper_segment(index: int, segment: Segment) -> dict[str, Any]:
    """A segment as openai-whisper writes it, without words.

    `seek` is in hundredths of a second; Whisper gives the start of the model's window, here it is the segment's start.
    `tokens` is empty if the segment was split after decoding.
    """
    return {
        "id": index,
        "seek": milliseconds(segment.start) // 10,
        "start": rounded_seconds(segment.start),
        "end": rounded_seconds(segment.end),
        "text": segment.text,
        "tokens": list(segment.tokens),
        "temperature": segment.temperature,
        "avg_logprob": segment.avg_logprob,
        "compression_ratio": segment.compression_ratio,
        "no_speech_prob": segment.no_speech_prob,
        **language_of(segment),
    }


def _segment(index: int, segment: Segment, transcript: Transcript) -> dict[str, Any]:
    document = whisper_segment(index, segment) | speaker_name_of(segment, transcript)
    if segment.words:
        document["words"] = [_word(word) | speaker_name_of(word, transcript) for word in segment.words]
    return document


def speaker_name_of(spoken: Segment | Word, transcript: Transcript) -> dict[str, Any]:
    """The field `speaker`, a name; empty if it is not known."""
    return {"speaker": transcript.name_of(spoken.speaker)} if spoken.speaker else {}


def _word(word: Word) -> dict[str, Any]:
    return {
        "word": word.text,
        "start": rounded_seconds(word.start),
        "end": rounded_seconds(word.end),
        "probability": word.probability,
    }


def rounded_seconds(seconds: float) -> float:
    """To milliseconds, as every JSON format shows times."""
    return milliseconds(seconds) / 1000


def _clock(ms: int, point: str) -> str:
    """Hours may have more than two digits."""
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{ms:03}"


def _without_blank_lines(text: str) -> str:
    """Single spaces and no blank lines: a blank line would end a cue."""
    lines = (" ".join(line.split()) for line in printable(text).splitlines())
    return "\n".join(line for line in lines if line)


def _one_line(cue: Cue) -> str:
    return cue.text.replace("\n", " ")


def _lrc_time(ms: int) -> str:
    seconds, ms = divmod(ms, 1000)
    return f"[{seconds // 60:02}:{seconds % 60:02}.{ms // 10:02}]"


def _lrc_text(text: str) -> str:
    """LRC has no escapes: players would read text such as `[1:23` as a time."""
    return re.sub(r"\[(?=\d+:)", "(", text)


def _srt_text(text: str) -> str:
    """SubRip has no escapes, so an arrow is shortened, as in openai-whisper: a parser could read it as a time line.

    Players hide what looks like a tag, so text in angle brackets gets the angle quotation marks that resemble them, and
    text in braces gets round ones where players look for a style: `{\\i1}`, `{y:i}`.

    A line with only a number above a line that starts like a time is joined with it: parsers that tolerate a missing
    blank line would read the two as the start of the next cue.
    """
    text = re.sub(r"-{2,}>", "->", text)
    # Nested brackets are replaced from the inside out.
    while (replaced := re.sub(r"<([^<>]*)>", "\u2039\\1\u203a", text)) != text:
        text = replaced
    text = re.sub(r"\{((?:\\|\w:)[^{}]*)\}", r"(\1)", text)
    return _NUMBER_AND_TIME.sub(r"\1 ", text)


_NUMBER_AND_TIME = re.compile(r"^(-?[0-9]+\.?[0-9]*)\n(?=[0-9]+[,.:，．。：][0-9])", re.MULTILINE)  # noqa: RUF001


def _rttm(transcript: Transcript, _: Shape | None) -> str:
    """Rich Transcription Time Marked: who speaks when, as NIST's RT-09 evaluation plan defines it."""
    recording, turns = _field(transcript.recording), transcript.turns or _turns(transcript)
    return "".join(
        f"SPEAKER {recording} 1 {turn.start:.3f} {turn.end - turn.start:.3f} <NA> <NA> "
        f"{_field(_label(transcript, turn.speaker))} <NA> <NA>\n"
        for turn in turns
    )


def _turns(transcript: Transcript) -> Iterable[Turn]:
    """Where only segments are known: each is a turn."""
    return [Turn(one.start, one.end, one.speaker) for one in transcript.segments if one.speaker is not None]


def _field(text: str) -> str:
    """A field of RTTM has no white space, and is not empty."""
    return re.sub(r"\s+", "_", printable(text).strip()) or "<NA>"


def _voice(transcript: Transcript, cue: Cue) -> str:
    """WebVTT's tag for the speaker of a cue."""
    return f"<v {_vtt_text(_label(transcript, cue.speaker))}>" if cue.speaker else ""


def _vtt_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


# All formats, by the name that clients use.
FORMATS: Mapping[str, Format] = {
    "txt": Format(_txt, "txt", "text/plain"),
    "srt": Format(_srt, "srt", "application/x-subrip"),
    "vtt": Format(_vtt, "vtt", "text/vtt"),
    "tsv": Format(_tsv, "tsv", "text/tab-separated-values"),
    "json": Format(_json, "json", "application/json"),
    "verbose_json": Format(_verbose_json, "json", "application/json"),
    "lrc": Format(_lrc, "lrc", "text/plain"),
    "rttm": Format(_rttm, "rttm", "text/plain"),
}
