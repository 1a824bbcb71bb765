"""Recordings of people with their texts: the audio folder of `make bench BENCH_AUDIO=FOLDER`."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av

from benchmarks.accuracy import edits, plain
from scrivano.domain.languages import LANGUAGES

# Recordings from this length on are long ones, up to that length clips.
LONG_S, CLIP_S = 60.0, 30.0


@dataclass(frozen=True, slots=True)
class SpokenText:
    """A recording and its text. `seconds`: its length."""

    path: Path
    language: str
    text: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Words:
    """How many words a text has, and how many were wrong: substituted, left out or added."""

    wrong: int = 0
    count: int = 0

    def __add__(self, other: Words) -> Words:
        return Words(self.wrong + other.wrong, self.count + other.count)

    @property
    def percent(self) -> float:
        return 100 * self.wrong / max(1, self.count)


def read(folder: Path) -> list[SpokenText]:
    """All recordings of the folder that have a text beside them: `LANGUAGE-NAME.wav` and `LANGUAGE-NAME.txt`.

    Raises `ValueError` if there is none, or if a name does not begin with a language.
    """
    found = [_read(path) for path in sorted(folder.glob("*.txt"))]
    if not found:
        raise ValueError(f"{folder} has no recording with a text beside it: LANGUAGE-NAME.wav and LANGUAGE-NAME.txt")
    return found


def _read(text: Path) -> SpokenText:
    recording = next((one for one in sorted(text.parent.glob(f"{text.stem}.*")) if _is_media(one)), None)
    if recording is None:
        raise ValueError(f"there is no recording beside {text}")
    language = text.stem.partition("-")[0]
    if language not in LANGUAGES:
        raise ValueError(f"{text.name} must begin with the code of its language, as in en-interview.txt")
    with av.open(str(recording)) as container:
        seconds = (container.duration or 0) / 1e6
    return SpokenText(recording, language, text.read_text(encoding="utf-8"), seconds)


def _is_media(path: Path) -> bool:
    return path.suffix.lower() not in (".txt", ".json", ".srt", ".vtt", ".md")


def long_ones(spoken: Sequence[SpokenText], most_s: float) -> list[SpokenText]:
    """The long recordings, or all if there is none; of each language, as many as `most_s` holds, but at least one."""
    chosen: list[SpokenText] = []
    taken: dict[str, float] = {}
    for one in [one for one in spoken if one.seconds >= LONG_S] or spoken:
        before = taken.get(one.language, 0.0)
        if not before or before + one.seconds <= most_s:
            chosen.append(one)
            taken[one.language] = before + one.seconds
    return chosen


def clips(spoken: Sequence[SpokenText], count: int) -> list[SpokenText]:
    """So many clips, of all languages in turn."""
    by_language: dict[str, list[SpokenText]] = {}
    for one in spoken:
        if one.seconds <= CLIP_S:
            by_language.setdefault(one.language, []).append(one)
    rounds = max(map(len, by_language.values()), default=0)
    return [group[n] for n in range(rounds) for group in by_language.values() if n < len(group)][:count]


def wrong_words(text: str, heard: str) -> Words:
    """Compare after normalizing: compatibility forms composed, lower case, punctuation but the apostrophe to spaces."""
    reference = _normalized(text)
    return Words(edits(reference, _normalized(heard)), len(reference))


def _normalized(text: str) -> list[str]:
    return plain(unicodedata.normalize("NFKC", text).replace("\u2019", "'"))
