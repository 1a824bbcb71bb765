"""Timed words → subtitles that can be read: cues of few short lines, on screen long enough, never two at once. Pure.

What is said is never changed: the cues joined are the transcript's text, each word once and in order. Where speech is
faster than a reader, or a word longer than a line, the cue breaks a limit, and `breaches` says so.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from scrivano.domain.errors import BadRequest
from scrivano.domain.languages import UNSPACED
from scrivano.domain.transcript import Segment

__all__ = ["PROFILES", "Breach", "Cue", "Shape", "breaches", "milliseconds", "printable", "shape_of", "shaped", "width"]

# No cue goes on over a silence as long as this.
LONG_PAUSE_MS = 1000

# A silence as long as this is a good place to break at, like a comma. Speakers pause about so long between clauses.
PAUSE_MS = 300

LEAST_SENTENCE = 0.25
# A cue ends early, for the sake of its sentence or clause, only when it is filled to this part.
LEAST_CLAUSE = 0.4


@dataclass(frozen=True, slots=True)
class Cue:
    """Text to show from `start_ms` until `end_ms`: at least one line, no blank ones, no control characters."""

    start_ms: int
    end_ms: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What subtitles are to look like. `max_line_chars` counts as `width` does."""

    max_line_chars: int = 42
    max_lines: int = 2
    max_cue_secs: float = 7.0
    min_cue_secs: float = 1.0
    max_chars_per_sec: float = 17.0

    @property
    def max_cue_ms(self) -> int:
        return milliseconds(self.max_cue_secs)

    @property
    def min_cue_ms(self) -> int:
        return milliseconds(self.min_cue_secs)

    def reading_ms(self, chars: int) -> int:
        """How long it takes to read so much."""
        return math.ceil(chars * 1000 / self.max_chars_per_sec)


# docs/formats.md names the sources, and what of these numbers is our own choice.
PROFILES: Mapping[str, Shape] = {
    "netflix": Shape(min_cue_secs=5 / 6),
    "bbc": Shape(max_line_chars=37, max_chars_per_sec=18.0),
    "youtube": Shape(max_line_chars=32, max_chars_per_sec=20.0),
}


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that a cue does not keep: `cue` counts from 1, `rule` is the limit's name in `Shape`."""

    cue: int
    rule: str
    value: float
    limit: float


def shape_of(profile: str | None, limits: Mapping[str, float | None]) -> Shape:
    """A profile's shape with some limits of one's own; None leaves a limit as it is. Raises `BadRequest`."""
    if profile is not None and profile not in PROFILES:
        raise BadRequest(f"profile must be one of {', '.join(PROFILES)}")
    given: Mapping[str, float] = {name: limit for name, limit in limits.items() if limit is not None}
    shape = replace(PROFILES.get(profile or "", Shape()), **given)  # type: ignore[arg-type]
    if shape.min_cue_secs > shape.max_cue_secs:
        raise BadRequest("min_cue_secs must not be more than max_cue_secs")
    return shape


def milliseconds(seconds: float) -> int:
    """The nearest millisecond, never below 0; the float that a millisecond is written as gives that millisecond.

    Half a millisecond goes to the even neighbour, as far as a float can be exactly in the middle.
    """
    return max(0, round(seconds * 1000))


def printable(text: str) -> str:
    """Without control characters (white space stays): a NUL ends a whole file in some players."""
    return _CONTROL.sub("", text)


def width(text: str) -> int:
    """Characters as a reader counts them: two for a wide one (a Chinese character), none for a mark above another."""
    return len(text) if text.isascii() else sum(_char_width(char) for char in text)


def shaped(segments: Iterable[Segment], shape: Shape) -> list[Cue]:
    """The cues of a transcript. Segments whose words are not their text are timed by their length."""
    atoms = _in_order(atom for segment in segments for atom in _atoms(segment))
    groups = list(_groups(_ranked(atoms), shape))
    starts = [group[0].start_ms for group in groups]
    made: list[Cue] = []
    for group, following in zip(groups, [*starts[1:], None], strict=False):
        made.append(_cue(group, made[-1].end_ms if made else 0, following, shape))
    return made


def breaches(cues: Iterable[Cue], shape: Shape) -> list[Breach]:
    """What does not keep to the shape, in the order of the cues."""
    return [breach for number, cue in enumerate(cues, 1) for breach in _breaches(number, cue, shape)]


def _breaches(number: int, cue: Cue, shape: Shape) -> Iterator[Breach]:
    """Compared in whole milliseconds; a value above its limit is rounded up, so that it does not look like it."""
    lines = cue.text.split("\n")
    lasts_ms = cue.end_ms - cue.start_ms
    longest, chars = max(map(width, lines)), sum(map(width, lines))
    if longest > shape.max_line_chars:
        yield Breach(number, "max_line_chars", longest, shape.max_line_chars)
    if len(lines) > shape.max_lines:
        yield Breach(number, "max_lines", len(lines), shape.max_lines)
    if lasts_ms > shape.max_cue_ms:
        yield Breach(number, "max_cue_secs", lasts_ms / 1000, shape.max_cue_secs)
    if lasts_ms < shape.min_cue_ms:
        yield Breach(number, "min_cue_secs", lasts_ms / 1000, shape.min_cue_secs)
    if lasts_ms < shape.reading_ms(chars):
        yield Breach(number, "max_chars_per_sec", math.ceil(chars * 100_000 / lasts_ms) / 100, shape.max_chars_per_sec)


# ---------------------------------------------------------------------------------------------------------------
# Words → atoms, between which a line may break.


class _Rank(IntEnum):
    """How good a place to break is behind an atom."""

    WORD = 0
    CLAUSE = 1
    SENTENCE = 2


@dataclass(frozen=True, slots=True)
class _Atom:
    """What no line break may part: a word; a character where words are not spaced. `spaced`: a space goes before."""

    text: str
    start_ms: int
    end_ms: int
    spaced: bool
    rank: _Rank = _Rank.WORD

    @property
    def width(self) -> int:
        """Within a line."""
        return self.spaced + width(self.text)


_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")
_RUN = re.compile(r"\S+")
_UNSPACED = re.compile(f"[{UNSPACED}]")
_CLOSERS = r"[\"'\u201d\u2019)\u00bb\]\u300d\u300f\uff09]*$"
_SENTENCE_END = re.compile(r"[.!?\u2026\u3002\uff01\uff1f]" + _CLOSERS)
_CLAUSE_END = re.compile(r"[,;:\u2013\u2014\u060c\u061b\u3001\uff0c\uff1b\uff1a]" + _CLOSERS)

# Kinsoku shori: what may not begin a line (closing marks, small kana), and what may not end one. With them, vowels of
# Thai and Lao that are written before or after their consonant, and the signs that stack Khmer and Burmese letters.
_NOT_FIRST = frozenset(
    "、。，．・：；？！!?,.:;)]}」』）】》〉〕］｝”’…‥ー～々ゝゞヽヾぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ"  # noqa: RUF001
    "\u0e30\u0e32\u0e33\u0e45\u0e46\u0e2f\u0eb0\u0eb2\u0eb3\u0ebd\u0ec6\u0eaf"
)
_NOT_LAST = frozenset("「『（【《〈〔［｛“‘([{\u0e40\u0e41\u0e42\u0e43\u0e44\u0ec0\u0ec1\u0ec2\u0ec3\u0ec4\u17d2\u1039")  # noqa: RUF001
_MARKS = ("Mn", "Mc", "Me", "Cf")


def _char_width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Text spoken from `start_ms` to `end_ms`, which stands at `offset` in its segment."""

    offset: int
    length: int
    start_ms: int
    end_ms: int

    def at(self, offset: int) -> int:
        """When the character there begins."""
        return self.start_ms + (self.end_ms - self.start_ms) * (offset - self.offset) // self.length


def _atoms(segment: Segment) -> Iterator[_Atom]:
    text, stretches = _timed_text(segment)
    at = 0
    for run in _RUN.finditer(text):
        begin = run.start()
        for piece in _pieces(run.group()):
            end = begin + len(piece)
            while stretches[at].offset + stretches[at].length <= begin:
                at += 1
            first = last = at
            while stretches[last].offset + stretches[last].length < end:
                last += 1
            yield _Atom(piece, stretches[first].at(begin), stretches[last].at(end), spaced=begin == run.start())
            begin = end


def _timed_text(segment: Segment) -> tuple[str, list[_Stretch]]:
    """The segment's printable text and when its parts are spoken: its words, if they are all of it and no more."""
    words = [(printable(word.text), word.start, word.end) for word in segment.words]
    joined = "".join(text for text, _, _ in words)
    if joined.split() != printable(segment.text).split():
        joined = printable(segment.text)
        words = [(joined, segment.start, segment.end)]
    stretches, offset = [], 0
    for text, start, end in words:
        if text:
            start_ms = milliseconds(start)
            stretches.append(_Stretch(offset, len(text), start_ms, max(start_ms, milliseconds(end))))
        offset += len(text)
    return joined, stretches


def _pieces(run: str) -> Iterator[str]:
    """A run without white space, cut wherever a line may break."""
    begin = 0
    if _UNSPACED.search(run):
        for at in range(1, len(run)):
            if _may_break(run[at - 1], run[at]):
                yield run[begin:at]
                begin = at
    yield run[begin:]


def _may_break(before: str, after: str) -> bool:
    if before in _NOT_LAST or after in _NOT_FIRST or unicodedata.category(after) in _MARKS:
        return False
    return bool(_UNSPACED.match(before) or _UNSPACED.match(after))


def _in_order(atoms: Iterable[_Atom]) -> list[_Atom]:
    """None begins before the one ahead of it, or ends before it begins."""
    settled: list[_Atom] = []
    for atom in atoms:
        start_ms = max(atom.start_ms, settled[-1].start_ms if settled else 0)
        settled.append(replace(atom, start_ms=start_ms, end_ms=max(start_ms, atom.end_ms)))
    return settled


def _ranked(atoms: Sequence[_Atom]) -> list[_Atom]:
    return [
        replace(atom, rank=_rank(atom, None if following is None else following.start_ms - atom.end_ms))
        for atom, following in zip(atoms, [*atoms[1:], None], strict=False)
    ]


def _rank(atom: _Atom, pause_ms: int | None) -> _Rank:
    """`pause_ms`: the silence behind it; None at the end."""
    if _SENTENCE_END.search(atom.text):
        return _Rank.SENTENCE
    if _CLAUSE_END.search(atom.text) or pause_ms is None or pause_ms >= PAUSE_MS:
        return _Rank.CLAUSE
    return _Rank.WORD


# ---------------------------------------------------------------------------------------------------------------
# Atoms → groups, each a cue.


def _groups(atoms: Sequence[_Atom], shape: Shape) -> Iterator[Sequence[_Atom]]:
    begin = 0
    while begin < len(atoms):
        reach = _reach(atoms, begin, shape)
        end = reach if _stops(atoms, reach) else _break(atoms, begin, reach, shape)
        yield atoms[begin:end]
        begin = end


def _stops(atoms: Sequence[_Atom], end: int) -> bool:
    """Whether speech stops there."""
    return end == len(atoms) or atoms[end].start_ms - atoms[end - 1].end_ms >= LONG_PAUSE_MS


def _reach(atoms: Sequence[_Atom], begin: int, shape: Shape) -> int:
    """Behind the last atom that still fits into one cue; at least one does."""
    lines, column = 1, width(atoms[begin].text)
    for index in range(begin + 1, len(atoms)):
        atom = atoms[index]
        column += atom.width
        if column > shape.max_line_chars:
            lines, column = lines + 1, width(atom.text)
        too_long = atom.end_ms - atoms[begin].start_ms > shape.max_cue_ms
        if lines > shape.max_lines or too_long or _stops(atoms, index):
            return index
    return len(atoms)


def _break(atoms: Sequence[_Atom], begin: int, reach: int, shape: Shape) -> int:
    """Where to end a cue that cannot hold all that is said: behind a sentence, a clause, else a word."""
    filled = list(_filled(atoms, begin, reach))
    for rank, least in ((_Rank.SENTENCE, LEAST_SENTENCE), (_Rank.CLAUSE, LEAST_CLAUSE)):
        for end in range(reach, begin, -1):
            lasts_ms = atoms[end].start_ms - atoms[begin].start_ms
            enough = filled[end - begin - 1] >= least * filled[-1] and lasts_ms >= shape.min_cue_ms
            if atoms[end - 1].rank >= rank and enough:
                return end
    half = _half(atoms, begin, filled[-1])
    return max((begin + 1 + at for at, chars in enumerate(filled) if chars <= half), default=begin + 1)


def _filled(atoms: Sequence[_Atom], begin: int, end: int) -> Iterator[int]:
    """The width of the atoms up to each."""
    chars = -int(atoms[begin].spaced)
    for atom in atoms[begin:end]:
        chars += atom.width
        yield chars


def _half(atoms: Sequence[_Atom], begin: int, full: int) -> float:
    """How wide a cue should be when its clause fits into two: half of it, so that no lone word is left for the second;
    else as wide as it can be."""
    for at, chars in enumerate(_filled(atoms, begin, len(atoms)), begin):
        if chars >= 2 * full:
            break
        if atoms[at].rank > _Rank.WORD and chars > full:
            return chars / 2
    return full


# ---------------------------------------------------------------------------------------------------------------
# Groups → cues.


def _cue(group: Sequence[_Atom], free_ms: int, following_ms: int | None, shape: Shape) -> Cue:
    """From its first word, and until it has been read; not before `free_ms`, nor into the next cue.

    A millisecond is the least that WebVTT allows.
    """
    text = "\n".join(_lines(group, shape))
    start_ms = max(group[0].start_ms, free_ms)
    needed_ms = max(shape.min_cue_ms, shape.reading_ms(width(text.replace("\n", ""))))
    end_ms = min(max(group[-1].end_ms, start_ms + needed_ms), start_ms + shape.max_cue_ms)
    if following_ms is not None:
        end_ms = min(end_ms, following_ms)
    return Cue(start_ms, max(start_ms + 1, end_ms), text)


def _lines(group: Sequence[_Atom], shape: Shape) -> Iterator[str]:
    """As few lines as can hold it, as even as they can be, rather broken at a clause."""
    left = group
    for count in range(_count(group, shape), 0, -1):
        end = len(left) if count == 1 else _line_end(left, count, shape)
        yield "".join(" " * (atom.spaced and at > 0) + atom.text for at, atom in enumerate(left[:end]))
        left = left[end:]


def _count(group: Sequence[_Atom], shape: Shape) -> int:
    """How many lines it takes."""
    lines, column = 1, 0
    for at, atom in enumerate(group):
        column += atom.width if at else width(atom.text)
        if column > shape.max_line_chars and at:
            lines, column = lines + 1, width(atom.text)
    return lines


def _line_end(left: Sequence[_Atom], count: int, shape: Shape) -> int:
    """Where the first of `count` lines ends: near an equal share, and so that the rest fits into the others.

    Up to an eighth of a line is given for a clause, twice that for a sentence.
    """
    filled = list(_filled(left, 0, len(left)))
    fits = [
        end
        for end in range(1, len(left))
        if (filled[end - 1] <= shape.max_line_chars or end == 1) and _count(left[end:], shape) < count
    ]
    share, favour = filled[-1] / count, shape.max_line_chars / 8
    return min(fits, key=lambda end: abs(filled[end - 1] - share) - favour * left[end - 1].rank)
