"""The speakers of one job: from its chunks to their voices, and from all voices to the speakers. Pure.

Whatever goes wrong here costs the speakers, never the transcript.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scrivano.domain.chunk import SAMPLE_RATE, Chunk
from scrivano.domain.speakers import NO_SPEAKERS, Diarization, Speaker, SpeakerCount, Turn, default_name
from scrivano.processes.voice_messages import NamedSpeaker

__all__ = [
    "FindVoices",
    "GuessLost",
    "GuessSpeakers",
    "NameSpeakers",
    "SpeakerCommand",
    "SpeakerMessage",
    "SpeakerRun",
    "SpeakersFound",
    "SpeakersGuessed",
    "StoreVoices",
    "VoicesFound",
    "VoicesLost",
]

# After so many failures of its own, and so many kills from outside, the speakers child is given up for this job.
FAILURES_ALLOWED = 1
KILLS_ALLOWED = 5

# The speakers so far are found again when so many times more chunks are known. Since the work is linear in the chunks,
# all of these searches together cost 1 / (1 - 1 / 1.25) = 5 times the last one, however long the recording.
GUESS_GROWTH = 1.25


# Messages ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VoicesFound:
    """`start` and `end`: the samples that were asked for."""

    index: int
    start: int
    end: int
    voices: bytes


@dataclass(frozen=True, slots=True)
class SpeakersFound:
    """Turns name their speaker by the index in `speakers`."""

    speakers: tuple[NamedSpeaker, ...]
    turns: tuple[tuple[float, float, int], ...]


@dataclass(frozen=True, slots=True)
class SpeakersGuessed:
    """As `SpeakersFound`, in the beginning of the recording."""

    speakers: tuple[NamedSpeaker, ...]
    turns: tuple[tuple[float, float, int], ...]


@dataclass(frozen=True, slots=True)
class GuessLost:
    """The speakers so far could not be found; when more is known, they are looked for again."""


@dataclass(frozen=True, slots=True)
class VoicesLost:
    """A request failed. `index`: the chunk that it was about; None: all of them. `killed`: from outside."""

    index: int | None
    message: str
    killed: bool


SpeakerMessage = VoicesFound | SpeakersFound | SpeakersGuessed | GuessLost | VoicesLost


# Commands ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FindVoices:
    """Find the voices between two samples of the prepared audio."""

    index: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class StoreVoices:
    index: int
    voices: bytes


@dataclass(frozen=True, slots=True)
class NameSpeakers:
    """Tell the speakers apart. `voices`: those of every chunk, in order."""

    voices: tuple[bytes, ...]
    count: SpeakerCount


@dataclass(frozen=True, slots=True)
class GuessSpeakers:
    """Tell the speakers apart in the beginning of the recording. `voices`: those of its first chunks, in order."""

    voices: tuple[bytes, ...]
    count: SpeakerCount


SpeakerCommand = FindVoices | StoreVoices | NameSpeakers | GuessSpeakers


class SpeakerRun:
    """The voices of a chunk are looked for from its start to the start of the next one, so that all of the recording
    is heard, also what the speech detector has left out: a distant voice, speech in noise.

    `count` None: the job wants no speakers.
    """

    def __init__(self, count: SpeakerCount | None, merges: Mapping[str, str] | None = None) -> None:
        """`merges`: which speakers people have merged in earlier versions, by id."""
        self._count = count
        self._merges = merges or {}
        # The first sample of each chunk's stretch, of those cut so far; the last one has no end yet.
        self._starts: list[int] = []
        self._end: int | None = None
        self._voices: dict[int, bytes] = {}
        self._failures = self._kills = 0
        self._named = False
        # The chunks before this one have voices, of which the speakers of so many were looked for.
        self._heard = self._guessed = 0
        self._guessing = False
        # The speakers in the beginning of the recording, at last in all of it.
        self.guess = NO_SPEAKERS
        # What is known in the end. `failure`: why there are no speakers.
        self.found: Diarization | None = None
        self.failure: str | None = None

    @property
    def ready(self) -> bool:
        """Whether the job need not wait for its speakers (any more)."""
        return self._count is None or self.found is not None or self.failure is not None

    def recall(self, index: int, voices: bytes | None) -> None:
        """What an earlier attempt has stored."""
        if voices is not None and self._count is not None:
            self._voices[index] = voices

    def forget_from(self, index: int) -> None:
        """From this chunk on the audio is cut differently than in earlier attempts. The stretch before it has another
        end now."""
        self._voices = {known: voices for known, voices in self._voices.items() if known < index - 1}
        self._heard = self._guessed = 0
        self.guess = NO_SPEAKERS

    def cut(self, chunk: Chunk) -> list[SpeakerCommand]:
        """The next chunk has been cut: the stretch of the one before has an end."""
        if self.ready or chunk.index != len(self._starts):
            return []
        self._starts.append(chunk.pieces[0].start if chunk.index else 0)
        return self._find(chunk.index - 1) if chunk.index else []

    def complete(self, duration_s: float) -> list[SpeakerCommand]:
        """There are no more chunks."""
        if self.ready:
            return []
        self._end = round(duration_s * SAMPLE_RATE)
        if not self._starts:
            self.found = NO_SPEAKERS
            return []
        return self._find(len(self._starts) - 1) + self._name()

    def step(self, message: SpeakerMessage) -> list[SpeakerCommand]:
        """What to do after a message. Messages about what is no longer asked for are ignored."""
        if self.ready:
            return []
        match message:
            case VoicesFound(index, start, end, voices):
                if self._stretch(index) != (start, end):
                    return []
                self._voices[index] = voices
                return [StoreVoices(index, voices), *self._name(), *self._guess()]
            case SpeakersFound(speakers, turns):
                self.found = self.guess = _diarization(speakers, turns).merged_as_before(self._merges)
                return []
            case SpeakersGuessed(speakers, turns):
                self._guessing = False
                self.guess = _diarization(speakers, turns).merged_as_before(self._merges)
                return self._guess()
            case GuessLost():
                self._guessing = False
                return []
            case VoicesLost():
                return self._lost(message)

    def _lost(self, lost: VoicesLost) -> list[SpeakerCommand]:
        if lost.killed:
            self._kills += 1
        else:
            self._failures += 1
        if self._failures > FAILURES_ALLOWED or self._kills > KILLS_ALLOWED:
            self.failure = lost.message
            return []
        if lost.index is None:
            self._named = False
            return self._name()
        return self._find(lost.index)

    def _stretch(self, index: int) -> tuple[int, int] | None:
        """The samples of a chunk's stretch; None: its end is not known yet."""
        if index >= len(self._starts):
            return None
        end = self._starts[index + 1] if index + 1 < len(self._starts) else self._end
        return None if end is None else (self._starts[index], max(end, self._starts[index]))

    def _find(self, index: int) -> list[SpeakerCommand]:
        stretch = self._stretch(index)
        return [FindVoices(index, *stretch)] if stretch is not None and index not in self._voices else []

    def _name(self) -> list[SpeakerCommand]:
        """Once, when the voices of all chunks are known."""
        chunks = range(len(self._starts))
        if self._count is None or self._named or self._end is None or not all(map(self._voices.__contains__, chunks)):
            return []
        self._named = True
        return [NameSpeakers(tuple(self._voices[index] for index in chunks), self._count)]

    def _guess(self) -> list[SpeakerCommand]:
        """While the job runs, now and then: who follows it sees who speaks."""
        while self._heard in self._voices:
            self._heard += 1
        if self._count is None or self._guessing or self._named or self._heard < GUESS_GROWTH * self._guessed:
            return []
        if self._heard == self._guessed:
            return []
        self._guessed, self._guessing = self._heard, True
        # Of the speakers that there are, only some may have spoken yet.
        count = SpeakerCount(most=self._count.exactly or self._count.most)
        return [GuessSpeakers(tuple(self._voices[index] for index in range(self._heard)), count)]


def _diarization(speakers: tuple[NamedSpeaker, ...], turns: tuple[tuple[float, float, int], ...]) -> Diarization:
    ids = [speaker.id for speaker in speakers]
    seconds: Mapping[int, float] = {
        place: sum(end - start for start, end, one in turns if one == place) for place in range(len(ids))
    }
    return Diarization(
        speakers=tuple(
            Speaker(id=one.id, name=one.name or default_name(one.id), seconds=round(seconds[place], 3))
            for place, one in enumerate(speakers)
        ),
        turns=tuple(Turn(start, end, ids[place]) for start, end, place in turns),
        centres={one.id: one.centre for one in speakers},
    )
