"""What was detected in chunks → the language of a job, or that of each chunk. Pure.

Everything here goes by the order of the chunks, never by the order in which they were decoded: a job that is resumed,
or whose batches were others, comes to the same languages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

__all__ = ["VOTERS", "Choice", "Detection", "Languages", "next_language", "vote"]

CERTAIN = 0.8
# A vote ends at once when a language has so much of it after so much audio. Less audio may be one name, or "okay": of
# 245 pieces of one second the bundled model takes 2 for the other language, one with 0.96; of longer ones, none.
CERTAIN_S = 5.0

# Chunks with speech that take part in a vote: about 90 s.
VOTERS = 3

CLEAR = 0.6
# So probable, in so much audio, a language may take over in the middle of a recording.
CLEAR_S = 3.0


@dataclass(frozen=True, slots=True)
class Detection:
    """`probabilities` are those of the likeliest languages. `seconds` of audio; 0 where no words were heard in it."""

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
    language: str
    probability: float


def vote(first: Iterable[Detection], *, complete: bool) -> Choice | None:
    """The language of a job by its first chunks, in order; None while more of them have to be heard.

    Each has the weight of its seconds; those without words have none, unless there are no others. `complete`: there
    are no more chunks.
    """
    detections = list(first)
    voters: list[Detection] = []
    for detection in detections:
        if detection.seconds:
            voters.append(detection)
            choice = _weigh(voters)
            certain = choice.probability >= CERTAIN and sum(one.seconds for one in voters) >= CERTAIN_S
            if certain or len(voters) == VOTERS:
                return choice
    return _weigh(voters or detections) if complete and detections else None


def _weigh(detections: Sequence[Detection]) -> Choice:
    weights = [detection.seconds or 1.0 for detection in detections]
    shares: dict[str, float] = {}
    for detection, weight in zip(detections, weights, strict=True):
        for language, probability in detection.probabilities.items():
            shares[language] = shares.get(language, 0.0) + probability * weight
    winner = max(sorted(shares), key=shares.__getitem__)
    return Choice(winner, shares[winner] / sum(weights))


def next_language(
    settled: Sequence[str], detections: Mapping[int, Detection], start: str | None, *, complete: bool
) -> str | None:
    """The language of the chunk after the settled ones, in a recording of several; None while that is not known.

    A chunk stays in the language before it, unless its own is clear, or the next chunk with words has the same one.
    `start` is what an unclear first chunk stays in; None: not known yet.
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
    """None: there is none, or it lies behind one that was not heard yet."""
    while index in detections:
        if detections[index].seconds:
            return detections[index]
        index += 1
    return None


class Languages:
    """The languages of one job's chunks, as far as they are known.

    `choice` is the job's, once it is given or voted for. `multilingual`: each chunk has its own, and `choice` is only
    that of the first speech.
    """

    def __init__(self, language: str | None, *, multilingual: bool = False) -> None:
        self.choice = Choice(language, 1.0) if language else None
        self.multilingual = multilingual
        self.detections: dict[int, Detection] = {}
        self._settled: list[str] = []
        self._again: dict[int, str] = {}

    def hear(self, index: int, detection: Detection) -> None:
        """What was detected in a chunk. The first time counts: what is decoded again gives the same."""
        self.detections.setdefault(index, detection)

    def recall(self, index: int, detection: Detection, language: str) -> None:
        """What an earlier attempt knew of a chunk. Decoded in another language than its own, it had been settled, maybe
        by the end of the chunks, of which this attempt does not know yet."""
        self.hear(index, detection)
        if language != detection.language:
            self._again[index] = language

    def forget(self, index: int, language: str | None) -> None:
        """What was detected in a chunk is void, and all that was decided by it; `language` stands, the job's."""
        self.detections.pop(index, None)
        self._again.pop(index, None)
        self._settled.clear()
        self.choice = Choice(language, 1.0) if language else None

    def settle(self, chunks_total: int | None) -> None:
        """Decide what can be decided. `chunks_total` None: there may be more."""
        complete = chunks_total is not None and len(self.detections) >= chunks_total
        self.choice = self.choice or vote(self._first(), complete=complete)
        while self.multilingual and (language := self._next(complete)) is not None:
            self._settled.append(language)

    def of(self, index: int) -> str | None:
        """What a chunk is to be decoded in; None: not known yet."""
        if not self.multilingual:
            return self.choice.language if self.choice else None
        return self._settled[index] if index < len(self._settled) else None

    def voters(self) -> list[int]:
        """Chunks that may be decoded before the language is known: the first one alone, for it mostly tells, then as
        many as have a vote."""
        candidates = (index for index in count() if index not in self.detections or self.detections[index].seconds)
        return [next(candidates) for _ in range(VOTERS if 0 in self.detections else 1)]

    def _first(self) -> Iterable[Detection]:
        index = 0
        while index in self.detections:
            yield self.detections[index]
            index += 1

    def _next(self, complete: bool) -> str | None:
        if (again := self._again.get(len(self._settled))) is not None:
            return again
        start = self.choice.language if self.choice else None
        return next_language(self._settled, self.detections, start, complete=complete)
