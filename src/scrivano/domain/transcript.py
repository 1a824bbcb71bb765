"""Timed text: words, segments, transcripts. Times are float seconds from the start of the uploaded file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from scrivano.domain.speakers import Speaker, Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word, with the space before it, so that the joined words of a segment are its text.

    `start` and `end` are seconds from the start of the uploaded file (inside an engine: of its chunk).
    `probability` is the mean probability of the word's tokens, 0 to 1. `speaker`: an id; None: not asked for.
    """

    text: str
    start: float
    end: float
    probability: float
    speaker: str | None = None

    def at(self, start: float, end: float) -> Word:
        """The same word with other times."""
        if (start, end) == (self.start, self.end):
            return self
        # Not `replace`, which takes three times as long: a day of speech is 150,000 words.
        return Word(text=self.text, start=start, end=end, probability=self.probability, speaker=self.speaker)

    def shifted(self, seconds: float) -> Word:
        return self.at(self.start + seconds, self.end + seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of speech and its text.

    `start` and `end` are seconds from the start of the uploaded file (inside an engine: of its chunk).
    `avg_logprob` is the mean natural-log probability per token: 0 is certain, -1 is poor. `no_speech_prob` runs from 0
    to 1. `compression_ratio` is plain bytes over zlib bytes; above about 2.4 the text repeats itself (Whisper's
    threshold). `temperature` is the one that the text was sampled with, 0 for a search. `tokens` are the model's text
    tokens. `language`, ISO 639-1, is None unless the recording may be in several languages. `doubts`: why the text may
    be wrong (`quality.Doubt`). `repaired`: it was found when speech without words was decoded again. `speaker`: an id;
    None: not asked for.
    """

    start: float
    end: float
    text: str
    avg_logprob: float = 0.0
    no_speech_prob: float = 0.0
    compression_ratio: float = 1.0
    temperature: float = 0.0
    words: tuple[Word, ...] = ()
    tokens: tuple[int, ...] = ()
    language: str | None = None
    doubts: tuple[str, ...] = ()
    repaired: bool = False
    speaker: str | None = None

    def at(self, start: float, end: float, words: tuple[Word, ...]) -> Segment:
        """The same segment with other times; `words` are its words, with their new times."""
        if (start, end) == (self.start, self.end) and words == self.words:
            return self
        return replace(self, start=start, end=end, words=words)

    def shifted(self, seconds: float) -> Segment:
        """The same segment on a clock that started `seconds` earlier (chunk to file time)."""
        return replace(
            self,
            start=self.start + seconds,
            end=self.end + seconds,
            words=tuple(word.shifted(seconds) for word in self.words),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """The text of one recording. `language` is ISO 639-1, `duration` the file's seconds.

    `quality`: how far it can be trusted, as JSON values (`quality.job_quality`); None: not known. `speakers` and
    `turns`: who speaks, and when; empty if that was not asked for. `recording`: its name. `warnings`: those of its job.
    """

    language: str | None
    duration: float
    segments: tuple[Segment, ...] = ()
    task: str = "transcribe"
    quality: Mapping[str, Any] | None = None
    speakers: tuple[Speaker, ...] = ()
    turns: tuple[Turn, ...] = ()
    recording: str = "recording"
    warnings: tuple[Mapping[str, Any], ...] = ()

    def name_of(self, speaker: str) -> str:
        """The name of the speaker with this id."""
        return next((one.name for one in self.speakers if one.id == speaker), speaker)

    @property
    def text(self) -> str:
        return " ".join(segment.text for segment in self.segments)


def language_of(segment: Segment) -> dict[str, str]:
    """The field `language` of a segment, empty if it has none; for every format that shows it."""
    return {"language": segment.language} if segment.language else {}


def speaker_of(spoken: Segment | Word) -> dict[str, str]:
    """The field `speaker` of a segment or word, empty if it has none."""
    return {"speaker": spoken.speaker} if spoken.speaker else {}


def segment_from_dict(data: Mapping[str, Any]) -> Segment:
    """A segment of a Job's `segments`; missing fields get defaults."""
    return Segment(
        start=data["start"],
        end=data["end"],
        text=data["text"],
        avg_logprob=data.get("avg_logprob", 0.0),
        no_speech_prob=data.get("no_speech_prob", 0.0),
        compression_ratio=data.get("compression_ratio", 1.0),
        temperature=data.get("temperature", 0.0),
        tokens=tuple(data.get("tokens", ())),
        language=data.get("language"),
        doubts=tuple(data.get("quality", {}).get("doubtful", ())),
        repaired=data.get("quality", {}).get("repaired", False),
        speaker=data.get("speaker"),
        words=tuple(
            Word(
                text=word["text"],
                start=word["start"],
                end=word["end"],
                probability=word["probability"],
                speaker=word.get("speaker"),
            )
            for word in data.get("words", ())
        ),
    )
