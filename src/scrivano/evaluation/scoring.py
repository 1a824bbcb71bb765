"""One transcript against its reference, word by word; in languages without spaces character by character."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest

from scrivano.comparison.alignment import Counts, Kind, Step, align, count
from scrivano.comparison.tokens import Token, tokens_of
from scrivano.domain.transcript import Segment
from scrivano.evaluation.material import Recording
from scrivano.evaluation.normalizers import Normalize, Normalizers

__all__ = ["HOLE_WORDS", "Hole", "Score", "TimeErrors", "Transcribed", "score"]

# So many reference words in a row without any of the transcript's are a hole.
HOLE_WORDS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcribed:
    """What a system returned for one recording. `error`: why there is no transcript; then `segments` is empty.

    `duration`: seconds of the recording, 0 if they are not known.
    """

    language: str | None = None
    duration: float = 0.0
    segments: tuple[Segment, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Hole:
    """Reference words in a row that the transcript lacks. Times in seconds, None if the reference has none."""

    words: int
    text: str
    start: float | None
    end: float | None


@dataclass(frozen=True, slots=True)
class TimeErrors:
    """Seconds by which a transcript's times are off; all are positive.

    - `word_starts`, `word_ends`: of words that both have, if the reference has times of words
    - `phrase_starts`, `phrase_ends`: of the first and last words of the reference's segments
    - `segment_starts`: of the transcript's segments that begin where a segment of the reference does
    """

    word_starts: tuple[float, ...] = ()
    word_ends: tuple[float, ...] = ()
    phrase_starts: tuple[float, ...] = ()
    phrase_ends: tuple[float, ...] = ()
    segment_starts: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """`reference` and `heard`: normalized tokens; `steps` lead from one to the other.

    `language`: by which the texts were normalized. `by_characters`: a token is a character. `char_errors` of
    `char_count` characters of the reference, spaces included unless `by_characters`.
    """

    language: str | None
    by_characters: bool
    reference: tuple[Token, ...]
    heard: tuple[Token, ...]
    steps: tuple[Step, ...]
    char_errors: int
    char_count: int
    times: TimeErrors
    transcribed: Transcribed

    @property
    def counts(self) -> Counts:
        return count(self.steps)

    @property
    def rate(self) -> float:
        """Errors per token of the reference: WER, or CER for languages without spaces."""
        return self.counts.edits / max(1, self.counts.first)

    @property
    def holes(self) -> list[Hole]:
        runs: list[list[int]] = [[]]
        for step in self.steps:
            if step.kind is Kind.DELETED and step.a is not None:
                runs[-1].append(step.a)
            else:
                runs.append([])
        return [self._hole(run) for run in runs if len(run) >= HOLE_WORDS]

    def _hole(self, run: Sequence[int]) -> Hole:
        tokens = [self.reference[i] for i in run]
        text = ("" if self.by_characters else " ").join(filter(None, (token.text for token in tokens)))
        return Hole(len(tokens), text, tokens[0].start, tokens[-1].end)


@dataclass(frozen=True, slots=True)
class _Text:
    """Normalized tokens. `segments`: for each token, the segment that it is in."""

    tokens: tuple[Token, ...]
    segments: tuple[int, ...]

    @property
    def forms(self) -> list[str]:
        return [token.form for token in self.tokens]

    def edges(self) -> dict[int, tuple[int, int]]:
        """For each segment the places of its first and last token."""
        found: dict[int, tuple[int, int]] = {}
        for place, segment in enumerate(self.segments):
            found[segment] = (found.get(segment, (place, place))[0], place)
        return found


def score(recording: Recording, transcribed: Transcribed, normalizers: Normalizers, language: str | None) -> Score:
    """`language`: by which both texts are normalized."""
    normalize, characters = normalizers.of(language), normalizers.by_characters(language)
    untimed = () if recording.reference.timed else _without_times(recording.reference.segments)
    reference = _normalized(untimed or recording.reference.segments, normalize, characters)
    if untimed:
        reference = _Text(tuple(replace(one, start=None, end=None) for one in reference.tokens), reference.segments)
    heard = _normalized(transcribed.segments, normalize, characters)
    steps = _edits(reference.forms, heard.forms)
    between = "" if characters else " "
    char_errors, char_count = _character_errors(between.join(reference.forms), between.join(heard.forms))
    timed = recording.reference.timed
    return Score(
        language=language,
        by_characters=characters,
        reference=reference.tokens,
        heard=heard.tokens,
        steps=steps,
        char_errors=char_errors,
        char_count=char_count,
        times=_time_errors(recording, transcribed, reference, heard, steps) if timed else TimeErrors(),
        transcribed=transcribed,
    )


def _without_times(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    return tuple(Segment(start=0, end=0, text=one.text) for one in segments)


def _normalized(segments: Sequence[Segment], normalize: Normalize, characters: bool) -> _Text:
    """The tokens of the whole text as the normalizer makes them, each with the written word that it comes from.

    Whisper's normalizers join and divide words ("twenty one" is 21), so that the tokens of the whole text are not those
    of its words; the two are aligned.
    """
    by_segment = [tokens_of([one], characters=characters, normalize=normalize) for one in segments]
    parts = _each_shown(list(chain.from_iterable(by_segment)))
    places = [number for number, tokens in enumerate(by_segment) for _ in tokens]
    text = normalize(" ".join(one.text for one in segments))
    whole = list(text.replace(" ", "")) if characters else text.split()
    forms = [part.form for part in parts]
    if forms == whole:
        return _Text(tuple(parts), tuple(places))
    tokens, origins, last = list[Token](), list[int](), 0
    for step in align(forms, whole):
        last = last if step.a is None else step.a
        if step.b is None or not parts:
            continue
        form = whole[step.b]
        if step.kind is Kind.EQUAL:
            tokens.append(parts[last])
        else:  # shown as normalized; its times are those of the nearest word
            shown = parts[last].text if step.a is not None else form
            tokens.append(replace(parts[last], form=form, text=shown, exact=False))
        origins.append(places[last])
    return _Text(tuple(tokens), tuple(origins))


def _each_shown(parts: Sequence[Token]) -> list[Token]:
    """A written word that became several tokens is shown as these, because some may be right and others wrong."""
    shown: list[Token] = []
    for part, after in zip_longest(parts, parts[1:]):
        is_part = not part.text or (after is not None and not after.text)
        shown.append(replace(part, text=part.form) if is_part else part)
    return shown


def _edits(reference: Sequence[str], heard: Sequence[str]) -> tuple[Step, ...]:
    """The fewest edits, as jiwer finds them."""
    import jiwer

    if not reference or not heard:
        return tuple(align(reference, heard))
    kinds = {"equal": Kind.EQUAL, "substitute": Kind.SUBSTITUTED, "delete": Kind.DELETED, "insert": Kind.INSERTED}
    steps: list[Step] = []
    [chunks] = jiwer.process_words(" ".join(reference), " ".join(heard)).alignments
    for chunk in chunks:
        kind = kinds[chunk.type]
        length = max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
        for n in range(length):
            a = None if kind is Kind.INSERTED else chunk.ref_start_idx + n
            b = None if kind is Kind.DELETED else chunk.hyp_start_idx + n
            steps.append(Step(kind, a, b))
    return tuple(steps)


def _character_errors(reference: str, heard: str) -> tuple[int, int]:
    import jiwer

    if not reference:
        return len(heard), 0
    found = jiwer.process_characters(reference, heard)
    return found.substitutions + found.deletions + found.insertions, len(reference)


def _time_errors(
    recording: Recording, transcribed: Transcribed, reference: _Text, heard: _Text, steps: Sequence[Step]
) -> TimeErrors:
    twins = {s.a: s.b for s in steps if s.kind is Kind.EQUAL and s.a is not None and s.b is not None}
    words = [
        (reference.tokens[a], heard.tokens[b])
        for a, b in twins.items()
        if reference.tokens[a].exact and heard.tokens[b].exact
    ]
    edges, ours = reference.edges(), {first: number for number, (first, _) in heard.edges().items()}
    segments = recording.reference.segments
    firsts = [(segments[n].start, twins.get(first)) for n, (first, _) in edges.items()]
    lasts = [(segments[n].end, twins.get(last)) for n, (_, last) in edges.items()]
    known = {place for place, token in enumerate(heard.tokens) if token.exact}
    return TimeErrors(
        word_starts=_off((a.start, b.start) for a, b in words),
        word_ends=_off((a.end, b.end) for a, b in words),
        phrase_starts=_off((start, heard.tokens[b].start) for start, b in firsts if b is not None and b in known),
        phrase_ends=_off((end, heard.tokens[b].end) for end, b in lasts if b is not None and b in known),
        segment_starts=_off(
            (start, transcribed.segments[ours[b]].start) for start, b in firsts if b is not None and b in ours
        ),
    )


def _off(pairs: Iterable[tuple[float | None, float | None]]) -> tuple[float, ...]:
    return tuple(abs(a - b) for a, b in pairs if a is not None and b is not None)
