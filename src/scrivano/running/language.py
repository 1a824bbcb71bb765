"""The language of a job and of each of its chunks. Pure.

Everything here depends on the order of the chunks, never on the order in which they were decoded: a job that is
resumed, or whose batches were different, gets the same languages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from scrivano.domain.decoding import ChunkResult

__all__ = ["VOTERS", "Choice", "Detection", "JobLanguage", "is_other_language", "vote"]

# A vote ends early when one language has this share after this much audio. Less audio may be only a name or "okay": the
# bundled model got 2 of 245 one-second pieces wrong, one of them with 0.96; of longer pieces, none.
CERTAIN = 0.8
CERTAIN_S = 5.0

# Chunks with speech that take part in a vote: about 90 s.
VOTERS = 3

# With this probability in this much audio, a language may take over in the middle of a recording.
CLEAR = 0.6
CLEAR_S = 3.0

# With this probability in so much speech, another language than that of the text is the right one: in 93 chunks of
# speech in five languages the likeliest wrong one had 0.45.
OTHER = 0.8
OTHER_S = 5.0


@dataclass(frozen=True, slots=True)
class Detection:
    """`probabilities` of the likeliest languages. `seconds` of audio; 0 where the chunk has no words."""

    probabilities: Mapping[str, float]
    seconds: float

    @property
    def language(self) -> str:
        return max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def clear(self) -> bool:
        return self.seconds >= CLEAR_S and self.probabilities[self.language] >= CLEAR


@dataclass(frozen=True, slots=True)
class Choice:
    """`probability`: 0 to 1; 1 if the language was given. `probabilities`: of the likeliest languages, if detected.

    `guessed`: no chunk has words. Chunks need some language to be decoded in, but a recording without words has none.
    """

    language: str
    probability: float
    probabilities: Mapping[str, float] = field(default_factory=dict, compare=False)
    guessed: bool = False


def vote(first: Iterable[Detection], *, complete: bool) -> Choice | None:
    """The language of a job by its first chunks, in order; None if more of them are needed.

    Each chunk has the weight of its seconds. Chunks without words count only if there are no others. `complete`: there
    are no more chunks.
    """
    detections = list(first)
    voters: list[Detection] = []
    for detection in detections:
        if detection.seconds:
            voters.append(detection)
            choice = _weigh(voters)
            certain = choice.probability >= CERTAIN and sum(voter.seconds for voter in voters) >= CERTAIN_S
            if certain or len(voters) == VOTERS:
                return choice
    if not complete or not detections:
        return None
    return _weigh(voters) if voters else replace(_weigh(detections), guessed=True)


def _weigh(detections: Sequence[Detection]) -> Choice:
    weights = [detection.seconds or 1.0 for detection in detections]
    shares: dict[str, float] = {}
    for detection, weight in zip(detections, weights, strict=True):
        for language, probability in detection.probabilities.items():
            shares[language] = shares.get(language, 0.0) + probability * weight
    winner = max(sorted(shares), key=shares.__getitem__)
    total = sum(weights)
    return Choice(winner, shares[winner] / total, {language: share / total for language, share in shares.items()})


def is_other_language(language: str, probabilities: Mapping[str, float], seconds: float, *, multilingual: bool) -> bool:
    """Whether a text in `language` may be made up, because something else is spoken.

    `probabilities`: detected in its chunk, which has so many `seconds` of speech. `multilingual`: a chunk without a
    clear language may have several.
    """
    if seconds < OTHER_S or not probabilities:
        return False
    own = probabilities.get(language, 0.0)
    others = max((value for name, value in probabilities.items() if name != language), default=0.0)
    return others >= OTHER or (multilingual and own < CLEAR)


def next_language(
    settled: Sequence[str], detections: Mapping[int, Detection], start: str | None, *, complete: bool
) -> str | None:
    """The language of the chunk after the settled ones, in a recording of several; None if not known yet.

    A chunk keeps the language before it, unless its own is clear, or the next chunk with words has the same one.
    `start`: the language that an unclear first chunk gets; None: not known yet.
    """
    index = len(settled)
    own = detections.get(index)
    if own is None:
        return None
    current = own.language if own.clear else settled[-1] if settled else start
    if current is None or not own.seconds or own.language == current:
        return current
    following = _next_with_words(detections, index + 1)
    if following is None and not complete:
        return None
    return own.language if following is not None and following.language == own.language else current


def _next_with_words(detections: Mapping[int, Detection], index: int) -> Detection | None:
    """None: there is none, or a chunk before it is not decoded yet."""
    while index in detections:
        if detections[index].seconds:
            return detections[index]
        index += 1
    return None


class JobLanguage:
    """Which language each chunk of a job is decoded in, as far as it is known.

    `choice`: the language of the job, once given or voted. `multilingual`: each chunk has its own language, and
    `choice` is only that of the first speech.
    """

    def __init__(self, language: str | None, *, multilingual: bool = False) -> None:
        self.choice = Choice(language, 1.0) if language else None
        self.multilingual = multilingual
        self.detections: dict[int, Detection] = {}
        self._decoded_in: dict[int, str] = {}
        self._requested: dict[int, str | None] = {}
        self._settled: list[str] = []
        self._resettled: dict[int, str] = {}
        self._chunks_total: int | None = None

    def of(self, index: int) -> str | None:
        """The language that a chunk is to be decoded in; None: not known yet."""
        if not self.multilingual:
            return self.choice.language if self.choice else None
        return self._settled[index] if index < len(self._settled) else None

    def may_decode(self, indexes: Iterable[int]) -> list[int]:
        """Those of the chunks that may be decoded now; the others wait for a vote.

        A chunk that was decoded once waits until its language is known.
        """
        voters = self.voters()
        return [
            index
            for index in indexes
            if self.of(index) is not None or (index not in self._decoded_in and (self.multilingual or index in voters))
        ]

    def voters(self) -> list[int]:
        """Chunks to decode before the vote: the first one alone, which is mostly enough, then as many as may vote."""
        candidates = (index for index in count() if index not in self.detections or self.detections[index].seconds)
        return [next(candidates) for _ in range(VOTERS if 0 in self.detections else 1)]

    def request(self, index: int) -> str | None:
        """The language to decode a chunk in, at the moment when it goes to an engine; None: detect it."""
        detect = self.multilingual and index not in self._decoded_in
        self._requested[index] = None if detect else self.of(index)
        return self._requested[index]

    def record(self, index: int, result: ChunkResult, seconds: float) -> str:
        """Take in what an engine returned for a chunk; returns the language of its text. `seconds`: see `Detection`."""
        requested = self._requested.pop(index, None)
        if requested is None:
            found = result.language_probabilities or {result.language: result.language_probability}
            self.detect(index, Detection(found, seconds))
        language = self._decoded_in[index] = requested or result.language
        return language

    def detect(self, index: int, detection: Detection) -> None:
        """The first detection of a chunk counts: decoding again detects the same."""
        self.detections.setdefault(index, detection)
        self._settle()

    def recall(self, index: int, language: str, detection: Detection | None) -> None:
        """Take in what an earlier attempt stored.

        If a chunk was decoded in another language than was detected in it, its language was settled. That may have
        depended on the end of the recording, which this attempt has not reached yet, so it is kept.
        """
        self._decoded_in[index] = language
        if detection is not None:
            if language != detection.language:
                self._resettled[index] = language
            self.detect(index, detection)

    def forget_from(self, index: int, language: str | None) -> None:
        """From this chunk on the audio is cut differently: forget what was known of it, and all conclusions.

        `language`: the one that the row of the job has.
        """
        self.detections = {known: value for known, value in self.detections.items() if known < index}
        self._resettled = {known: value for known, value in self._resettled.items() if known < index}
        self._decoded_in = {known: value for known, value in self._decoded_in.items() if known < index}
        self._settled.clear()
        self.choice = Choice(language, 1.0) if language else None
        self._settle()

    def complete(self, chunks_total: int) -> None:
        """No more chunks follow: those whose language waited for later speech wait no longer."""
        self._chunks_total = chunks_total
        self._settle()

    def is_done(self, index: int) -> bool:
        """Whether a chunk was decoded in its final language."""
        return index in self._decoded_in and self.is_final(index)

    def _settle(self) -> None:
        """Decide what can be decided."""
        complete = self._chunks_total is not None and len(self.detections) >= self._chunks_total
        self.choice = self.choice or vote(self._first(), complete=complete)
        while self.multilingual and (language := self._next(complete)) is not None:
            self._settled.append(language)

    def is_final(self, index: int) -> bool:
        """Whether a decoded chunk needs no other language. A chunk without a detection was given its language."""
        return index not in self.detections or self._decoded_in.get(index) == self.of(index)

    def _first(self) -> Iterator[Detection]:
        index = 0
        while index in self.detections:
            yield self.detections[index]
            index += 1

    def _next(self, complete: bool) -> str | None:
        if (again := self._resettled.get(len(self._settled))) is not None:
            return again
        start = self.choice.language if self.choice else None
        return next_language(self._settled, self.detections, start, complete=complete)
