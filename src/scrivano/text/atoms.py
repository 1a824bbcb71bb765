"""Timed words → atoms: the parts of a text between which a line may break. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from scrivano.domain.languages import UNSPACED
from scrivano.domain.transcript import Segment
from scrivano.text.cue import milliseconds, printable, width
from scrivano.text.punctuation import ends_clause, ends_sentence

__all__ = ["Atom", "Rank", "atoms_of"]

# A silence this long is a good place for a break, like a comma: speakers pause about this long between clauses.
PAUSE_MS = 300

_RUN = re.compile(r"\S+")
_UNSPACED = re.compile(f"[{UNSPACED}]")

# Kinsoku shori: characters that must not start a line (closing marks, small kana), and those that must not end one.
# Also vowels of Thai and Lao that are written before or after their consonant, and signs that stack Khmer and Burmese
# letters.
_NOT_FIRST = frozenset(
    "、。，．・：；？！!?,.:;)]}」』）】》〉〕］｝”’…‥ー～々ゝゞヽヾぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ"  # noqa: RUF001
    "\u0e30\u0e32\u0e33\u0e45\u0e46\u0e2f\u0eb0\u0eb2\u0eb3\u0ebd\u0ec6\u0eaf"
)
_NOT_LAST = frozenset("「『（【《〈〔［｛“‘([{\u0e40\u0e41\u0e42\u0e43\u0e44\u0ec0\u0ec1\u0ec2\u0ec3\u0ec4\u17d2\u1039")  # noqa: RUF001
_MARKS = ("Mn", "Mc", "Me", "Cf")


class Rank(IntEnum):
    """How good the place behind an atom is for a break."""

    WORD = 0
    CLAUSE = 1
    SENTENCE = 2


@dataclass(frozen=True, slots=True)
class Atom:
    """A part of the text without a line break: a word, or a character in scripts without spaces.

    `spaced`: a space precedes it. `speaker`: who says it, if that is known.
    """

    text: str
    start_ms: int
    end_ms: int
    spaced: bool
    rank: Rank = Rank.WORD
    speaker: str | None = None

    @property
    def width(self) -> int:
        """Characters that it adds to a line."""
        return self.spaced + width(self.text)


def atoms_of(segments: Iterable[Segment]) -> list[Atom]:
    """The atoms of a transcript, with ascending times."""
    return _ranked(_in_order(atom for segment in segments for atom in _atoms(segment)))


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Text spoken from `start_ms` to `end_ms`, at `offset` in the text of its segment."""

    offset: int
    length: int
    start_ms: int
    end_ms: int

    def at(self, offset: int) -> int:
        """When the character at `offset` starts, if all characters take equally long."""
        return self.start_ms + (self.end_ms - self.start_ms) * (offset - self.offset) // self.length


def _atoms(segment: Segment) -> Iterator[Atom]:
    text, stretches = _timed_text(segment)
    at = 0
    for run in _RUN.finditer(text):
        start = run.start()
        for piece in _pieces(run.group()):
            end = start + len(piece)
            while stretches[at].offset + stretches[at].length <= start:
                at += 1
            first = last = at
            while stretches[last].offset + stretches[last].length < end:
                last += 1
            yield Atom(
                piece,
                stretches[first].at(start),
                stretches[last].at(end),
                spaced=start == run.start(),
                speaker=segment.speaker,
            )
            start = end


def _timed_text(segment: Segment) -> tuple[str, list[_Stretch]]:
    """The segment's printable text and the times of its parts: of its words, if they are exactly the text."""
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
    """Text without white space, cut wherever a line may break."""
    start = 0
    if _UNSPACED.search(run):
        for at in range(1, len(run)):
            if _may_break(run[at - 1], run[at]):
                yield run[start:at]
                start = at
    yield run[start:]


def _may_break(before: str, after: str) -> bool:
    if before in _NOT_LAST or after in _NOT_FIRST or unicodedata.category(after) in _MARKS:
        return False
    return bool(_UNSPACED.match(before) or _UNSPACED.match(after))


def _in_order(atoms: Iterable[Atom]) -> list[Atom]:
    """The atoms with times that ascend, and none of which ends before it starts."""
    ordered: list[Atom] = []
    for atom in atoms:
        start_ms = max(atom.start_ms, ordered[-1].start_ms if ordered else 0)
        ordered.append(replace(atom, start_ms=start_ms, end_ms=max(start_ms, atom.end_ms)))
    return ordered


def _ranked(atoms: Sequence[Atom]) -> list[Atom]:
    return [
        replace(atom, rank=_rank(atom, None if following is None else following.start_ms - atom.end_ms))
        for atom, following in zip(atoms, [*atoms[1:], None], strict=False)
    ]


def _rank(atom: Atom, pause_ms: int | None) -> Rank:
    """`pause_ms`: the silence behind the atom; None: it is the last one."""
    if ends_sentence(atom.text):
        return Rank.SENTENCE
    if ends_clause(atom.text) or pause_ms is None or pause_ms >= PAUSE_MS:
        return Rank.CLAUSE
    return Rank.WORD
