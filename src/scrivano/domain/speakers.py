"""Who speaks in a recording, and when."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from scrivano.domain.errors import BadRequest

__all__ = [
    "NO_SPEAKERS",
    "Diarization",
    "MergedSpeaker",
    "NamedVoice",
    "RememberedSpeaker",
    "Speaker",
    "SpeakerCount",
    "Turn",
    "clean_name",
    "default_name",
    "likeness",
    "mean_voice",
    "overlaps",
    "sides_as_speakers",
    "speaker_of_side",
]

# Speech of one side that is less than this apart is one turn.
TURN_GAP_S = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerCount:
    """How many speakers there are. `exactly`: so many, if there is speech enough; else between `least` and `most`."""

    exactly: int | None = None
    least: int = 1
    most: int | None = None

    def wanted(self, found: int) -> int | None:
        """How many to look for; None: those that were found."""
        if self.exactly is not None:
            return self.exactly
        if found < self.least:
            return self.least
        return self.most if self.most is not None and found > self.most else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """`id`: S1, S2, … in the order in which they begin to speak; it never changes. `name`: shown to people.

    `seconds`: how long they speak.
    """

    id: str
    name: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedVoice:
    """`centre`: the voice as the speakers child made it. It leaves the server in no form."""

    name: str
    centre: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedSpeaker:
    """A speaker as found, before people merged it. `now`: the id of who it is.

    `centre`: its own voice; empty: a side.
    """

    now: str
    centre: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberedSpeaker:
    """A speaker of an earlier version. `id`: as found; `now`: who that is since people merged speakers; `name`: of
    that one. `centre`: the voice of `id`; empty: a side."""

    id: str
    now: str
    name: str
    centre: bytes


@dataclass(frozen=True, slots=True)
class Turn:
    """A stretch of speech, in seconds of the file. `speaker`: an id. Turns of two speakers may overlap."""

    start: float
    end: float
    speaker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diarization:
    """`turns` are ordered by time. `centres`: the voice of each speaker by id, as the speakers child made it.

    `merged_from`: by their first ids, those of whom several are one speaker now, this one included. Their voices find
    them again in a later version.
    """

    speakers: tuple[Speaker, ...]
    turns: tuple[Turn, ...]
    centres: Mapping[str, bytes]
    merged_from: Mapping[str, MergedSpeaker] = field(default_factory=dict)

    def targets(self, merge: Mapping[str, str]) -> dict[str, str]:
        """For each speaker who is merged: the one who stays, also over several steps. Raises `BadRequest`."""
        self._check({*merge, *merge.values()})
        targets = {}
        for speaker in merge:
            target, steps = merge[speaker], 0
            while target in merge and steps <= len(merge):
                target, steps = merge[target], steps + 1
            if target in merge:
                raise BadRequest(f"speaker {speaker} cannot be merged into itself")
            targets[speaker] = target
        return targets

    def merged(self, merge: Mapping[str, str]) -> Diarization:
        """Raises `BadRequest`."""
        targets = self.targets(merge)
        if not targets:
            return self
        weights = {speaker.id: speaker.seconds for speaker in self.speakers}
        turns = _joined(replace(turn, speaker=targets.get(turn.speaker, turn.speaker)) for turn in self.turns)
        centres = {}
        for speaker in self.speakers:
            same = [one for one in weights if targets.get(one, one) == speaker.id and one in self.centres]
            if speaker.id not in targets and same:
                centres[speaker.id] = mean_voice([(self.centres[one], weights[one]) for one in same])
        return Diarization(
            speakers=tuple(
                replace(
                    speaker, seconds=round(sum(one.end - one.start for one in turns if one.speaker == speaker.id), 3)
                )
                for speaker in self.speakers
                if speaker.id not in targets
            ),
            turns=turns,
            centres=centres,
            merged_from=self._merged_from(targets),
        )

    def merged_as_before(self, merges: Mapping[str, str]) -> Diarization:
        """`merges`: who became whom in earlier versions. Of whom nobody is found here, nothing changes."""
        present = {speaker.id: speaker for speaker in self.speakers}
        again = {gone: kept for gone, kept in merges.items() if gone in present and gone != kept}
        absent = {kept: present[gone].name for gone, kept in again.items() if kept not in present}
        kept = tuple(Speaker(id=one, name=name, seconds=0.0) for one, name in absent.items())
        return replace(self, speakers=(*self.speakers, *kept)).merged(again)

    def renamed(self, names: Mapping[str, str | None]) -> Diarization:
        """Raises `BadRequest`."""
        self._check(names)
        return replace(
            self,
            speakers=tuple(
                replace(speaker, name=clean_name(names[speaker.id]) or default_name(speaker.id))
                if speaker.id in names
                else speaker
                for speaker in self.speakers
            ),
        )

    def _merged_from(self, targets: Mapping[str, str]) -> dict[str, MergedSpeaker]:
        found = dict(self.merged_from)
        known = {one.now for one in found.values()}
        for speaker in sorted({*targets, *targets.values()} - known):
            if speaker in self.centres or not self.centres:
                found[speaker] = MergedSpeaker(now=speaker, centre=self.centres.get(speaker, b""))
        return {first: replace(one, now=targets.get(one.now, one.now)) for first, one in found.items()}

    def _check(self, ids: Iterable[str]) -> None:
        known = [speaker.id for speaker in self.speakers]
        for unknown in sorted({*ids} - {*known}):
            raise BadRequest(f"there is no speaker {unknown}; the speakers are {', '.join(known)}")


NO_SPEAKERS = Diarization(speakers=(), turns=(), centres={})


def speaker_of_side(side: int) -> str:
    """The id of the speaker on a side of a recording (from 0)."""
    return f"S{side + 1}"


def sides_as_speakers(speech: Sequence[Iterable[tuple[float, float]]], names: Mapping[str, str]) -> Diarization:
    """`speech`: of each side, in order of time. `names` by id; the others get the first name."""
    turns = [
        replace(turn, end=round(turn.end - TURN_GAP_S, 3))
        for side, spans in enumerate(speech)
        for turn in _joined(Turn(start, end + TURN_GAP_S, speaker_of_side(side)) for start, end in spans)
    ]
    seconds = {speaker_of_side(side): 0.0 for side in range(len(speech))}
    for turn in turns:
        seconds[turn.speaker] += turn.end - turn.start
    return Diarization(
        speakers=tuple(
            Speaker(id=one, name=clean_name(names.get(one)) or default_name(one), seconds=round(spoken, 3))
            for one, spoken in seconds.items()
        ),
        turns=tuple(sorted(turns, key=lambda turn: (turn.start, turn.end, turn.speaker))),
        centres={},
    )


def _joined(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """The turns, in order, with those of one speaker that touch or overlap as one."""
    joined: list[Turn] = []
    last: dict[str, int] = {}
    for turn in sorted(turns, key=lambda one: (one.start, one.end)):
        place = last.get(turn.speaker)
        if place is not None and turn.start <= joined[place].end:
            joined[place] = replace(joined[place], end=max(joined[place].end, turn.end))
        else:
            last[turn.speaker] = len(joined)
            joined.append(turn)
    return tuple(joined)


def mean_voice(voices: Sequence[tuple[bytes, float]]) -> bytes:
    """The weighted mean of vectors (32-bit floats), with length 1."""
    total = [0.0] * (len(voices[0][0]) // 4)
    for data, weight in voices:
        total = [one + weight * value for one, value in zip(total, array("f", data), strict=True)]
    length = math.hypot(*total) or 1.0
    return array("f", [one / length for one in total]).tobytes()


def likeness(one: bytes, other: bytes) -> float:
    """The cosine of two voices."""
    return sum(a * b for a, b in zip(array("f", one), array("f", other), strict=True))


def clean_name(name: str | None) -> str:
    """Printable, without spaces at its ends and several in a row; may be empty."""
    return " ".join("".join(char for char in name or "" if char.isprintable()).split())


def default_name(speaker_id: str) -> str:
    """The name of a speaker whom nobody has named: `Speaker 1` for S1."""
    return f"Speaker {speaker_id.removeprefix('S')}"


def overlaps(turns: Sequence[Turn]) -> list[tuple[float, float, Sequence[str]]]:
    """Where several speak at once: start, end, and their ids in order."""
    edges = sorted([(turn.end, 0, turn.speaker) for turn in turns] + [(turn.start, 1, turn.speaker) for turn in turns])
    found: list[tuple[float, float, Sequence[str]]] = []
    speaking: list[str] = []
    since = 0.0
    for at, begins, speaker in edges:
        if len(set(speaking)) > 1 and at > since:
            found.append((since, at, sorted(set(speaking))))
        since = at
        if begins:
            speaking.append(speaker)
        else:
            speaking.remove(speaker)
    return found
