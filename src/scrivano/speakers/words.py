"""Who said which word: speakers' turns → the segments of a transcript, divided where the speaker changes. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from scrivano.domain.speakers import Turn
from scrivano.domain.transcript import Segment, Word

__all__ = ["main_speakers", "with_speakers", "with_speakers_so_far"]

# Whisper's word times are this exact: a change of the speaker so near to the end of a sentence is at the end.
SNAP_WORDS = 2
SNAP_S = 0.6
# A pause that parts two sentences of one speaker, or two speakers.
PAUSE_S = 0.3

_SENTENCE_ENDS = tuple(".!?…。！？")  # noqa: RUF001
_CLOSING = "\"'\u201d\u2019)\u00bb]\u300d\u300f"


def with_speakers(segments: Iterable[Segment], turns: Sequence[Turn]) -> tuple[Segment, ...]:
    """The segments with a speaker each, and their words likewise. Without turns they stay as they are.

    A word belongs to the speaker who speaks most of it, or nearest to it. A change that comes a word or two away from
    the end of a sentence is put there. A segment without words gets one speaker for all of it.
    """
    segments = tuple(segments)
    if not turns:
        return segments
    tracks = _tracks(turns)
    words = [word for segment in segments for word in segment.words]
    speakers = iter(_settled(words, [_speaker(tracks, word.start, word.end) for word in words]))
    divided: list[Segment] = []
    for segment in segments:
        if segment.words:
            divided += _divided(segment, [next(speakers) for _ in segment.words])
        else:
            divided.append(replace(segment, speaker=_speaker(tracks, segment.start, segment.end)))
    return tuple(divided)


def with_speakers_so_far(segments: Iterable[Segment], turns: Sequence[Turn]) -> tuple[Segment, ...]:
    """The same if only the beginning was heard yet: segments after the last turn stay as they are."""
    segments, until = tuple(segments), _end(turns)
    known = sum(segment.start < until for segment in segments)
    return with_speakers(segments[:known], turns) + segments[known:]


def main_speakers(segments: Iterable[Segment], turns: Sequence[Turn]) -> list[str | None]:
    """For each whole segment the speaker who speaks most of it; None after the last turn."""
    tracks, until = _tracks(turns), _end(turns)
    return [_speaker(tracks, one.start, one.end) if one.start < until else None for one in segments]


def _end(turns: Sequence[Turn]) -> float:
    return max((turn.end for turn in turns), default=0.0)


class _Track:
    """The turns of one speaker, which do not overlap."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self._starts = [turn.start for turn in turns]
        self._ends = [turn.end for turn in turns]

    def overlap(self, start: float, end: float) -> float:
        """Seconds that the speaker speaks between two times."""
        first, last = bisect_right(self._ends, start), bisect_left(self._starts, end)
        return sum(min(self._ends[one], end) - max(self._starts[one], start) for one in range(first, last))

    def distance(self, at: float) -> float:
        """Seconds to the nearest turn."""
        after = bisect_left(self._ends, at)
        next_s = max(0.0, self._starts[after] - at) if after < len(self._starts) else float("inf")
        return min(next_s, at - self._ends[after - 1] if after else float("inf"))


def _tracks(turns: Sequence[Turn]) -> dict[str, _Track]:
    by_speaker: dict[str, list[Turn]] = {}
    for turn in turns:
        by_speaker.setdefault(turn.speaker, []).append(turn)
    return {speaker: _Track(some) for speaker, some in sorted(by_speaker.items())}


def _speaker(tracks: dict[str, _Track], start: float, end: float) -> str:
    spoken = {speaker: track.overlap(start, end) for speaker, track in tracks.items()}
    most = max(spoken, key=spoken.__getitem__)
    if spoken[most] > 0:
        return most
    return min(tracks, key=lambda speaker: tracks[speaker].distance((start + end) / 2))


def _settled(words: Sequence[Word], speakers: list[str]) -> list[str]:
    """The speakers of the words, with changes put at the ends of sentences that they are near to."""
    settled = list(speakers)
    for at in [at for at in range(1, len(words)) if speakers[at] != speakers[at - 1]]:
        place = _sentence_end(words, at)
        for moved in range(place, at):
            settled[moved] = speakers[at]
        for moved in range(at, place):
            settled[moved] = speakers[at - 1]
    return settled


def _sentence_end(words: Sequence[Word], at: int) -> int:
    """Where the change before word `at` belongs: before the word that is returned."""
    if _parts(words, at):
        return at
    for distance in range(1, SNAP_WORDS + 1):
        for place in (at - distance, at + distance):
            low, high = min(place, at), max(place, at)
            if 0 < place < len(words) and _ends(words[place - 1].text) and _seconds(words[low:high]) <= SNAP_S:
                return place
    return at


def _parts(words: Sequence[Word], at: int) -> bool:
    """Whether a sentence ends, or there is a pause, before word `at`."""
    return _ends(words[at - 1].text) or words[at].start - words[at - 1].end >= PAUSE_S


def _ends(text: str) -> bool:
    return text.rstrip().rstrip(_CLOSING).endswith(_SENTENCE_ENDS)


def _seconds(words: Sequence[Word]) -> float:
    return words[-1].end - words[0].start


def _divided(segment: Segment, speakers: Sequence[str]) -> Iterator[Segment]:
    """Parts keep what is said of the whole segment, except its tokens."""
    pairs = [(speaker, replace(word, speaker=speaker)) for word, speaker in zip(segment.words, speakers, strict=True)]
    groups = [(speaker, [word for _, word in some]) for speaker, some in groupby(pairs, key=lambda pair: pair[0])]
    for number, (speaker, words) in enumerate(groups):
        if len(groups) == 1:
            yield replace(segment, speaker=speaker, words=tuple(words))
            return
        words[0] = replace(words[0], text=words[0].text.lstrip())
        yield replace(
            segment,
            speaker=speaker,
            words=tuple(words),
            text="".join(word.text for word in words).strip(),
            start=segment.start if number == 0 else words[0].start,
            end=segment.end if number == len(groups) - 1 else words[-1].end,
            tokens=(),
        )
