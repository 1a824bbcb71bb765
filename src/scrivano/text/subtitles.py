"""Timed words → readable subtitles: cues of few short lines, shown long enough, never two at once. Pure.

The text is never changed: the joined cues are the text of the transcript, each word once and in order. Where speech is
faster than readers, or a word is longer than a line, a cue exceeds a limit, and `shape.breaches` reports it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from scrivano.domain.transcript import Segment
from scrivano.text.atoms import Atom, Rank, atoms_of
from scrivano.text.cue import Cue, milliseconds, spaced, width
from scrivano.text.shape import Shape

__all__ = ["subtitles"]

# A cue ends at a silence as long as this.
LONG_PAUSE_MS = 1000

# A cue ends early, at the end of a sentence or a clause, only if it is at least this full: below, cues get too short.
LEAST_SENTENCE = 0.25
LEAST_CLAUSE = 0.4


def subtitles(
    segments: Iterable[Segment],
    shape: Shape,
    duration: float | None = None,
    name_of: Callable[[str], str] | None = None,
) -> list[Cue]:
    """The cues of a transcript. None ends after `duration`, the seconds of the file, if that is given.

    No cue has the words of two speakers. With `name_of`, what a speaker says begins with their name and a colon.

    In a segment whose words are not exactly its text, each character is assumed to take the same time.
    """
    atoms = atoms_of(segments)
    groups = list(_groups(atoms if name_of is None else list(_labelled(atoms, name_of)), shape))
    starts = [group[0].start_ms for group in groups]
    cues: list[Cue] = []
    for group, following in zip(groups, [*starts[1:], None], strict=False):
        cues.append(_cue(group, cues[-1].end_ms if cues else 0, following, shape))
    times = spaced([(cue.start_ms, cue.end_ms) for cue in cues], milliseconds(duration) if duration else None)
    return [replace(cue, start_ms=start, end_ms=end) for cue, (start, end) in zip(cues, times, strict=True)]


def _labelled(atoms: Iterable[Atom], name_of: Callable[[str], str]) -> Iterator[Atom]:
    """The atoms with a name before those of each speaker."""
    speaker: str | None = None
    for atom in atoms:
        if atom.speaker is not None and atom.speaker != speaker:
            yield replace(atom, text=f"{name_of(atom.speaker)}:", end_ms=atom.start_ms, spaced=True, rank=Rank.WORD)
            atom = replace(atom, spaced=True)
        yield atom
        speaker = atom.speaker


# Atoms → groups, one for each cue.


def _groups(atoms: Sequence[Atom], shape: Shape) -> Iterator[Sequence[Atom]]:
    start = 0
    while start < len(atoms):
        reach = _reach(atoms, start, shape)
        end = reach if _stops(atoms, reach) else _break(atoms, start, reach, shape)
        yield atoms[start:end]
        start = end


def _stops(atoms: Sequence[Atom], end: int) -> bool:
    """Whether there is a long pause, another speaker, or nothing more, behind the first `end` atoms."""
    if end == len(atoms) or atoms[end].speaker != atoms[end - 1].speaker:
        return True
    return atoms[end].start_ms - atoms[end - 1].end_ms >= LONG_PAUSE_MS


def _reach(atoms: Sequence[Atom], start: int, shape: Shape) -> int:
    """The end of the longest possible cue; it has at least one atom."""
    lines, column = 1, width(atoms[start].text)
    for index in range(start + 1, len(atoms)):
        atom = atoms[index]
        column += atom.width
        if column > shape.max_line_chars:
            lines, column = lines + 1, width(atom.text)
        too_long = atom.end_ms - atoms[start].start_ms > shape.max_cue_ms
        if lines > shape.max_lines or too_long or _stops(atoms, index):
            return index
    return len(atoms)


def _break(atoms: Sequence[Atom], start: int, reach: int, shape: Shape) -> int:
    """Where to end a cue that cannot hold all of the speech: behind a sentence, else a clause, else a word."""
    filled = list(_filled(atoms, start, reach))
    for rank, least in ((Rank.SENTENCE, LEAST_SENTENCE), (Rank.CLAUSE, LEAST_CLAUSE)):
        for end in range(reach, start, -1):
            duration_ms = atoms[end].start_ms - atoms[start].start_ms
            enough = filled[end - start - 1] >= least * filled[-1] and duration_ms >= shape.min_cue_ms
            if atoms[end - 1].rank >= rank and enough:
                return end
    half = _half(atoms, start, filled[-1])
    return max((start + 1 + at for at, chars in enumerate(filled) if chars <= half), default=start + 1)


def _filled(atoms: Sequence[Atom], start: int, end: int) -> Iterator[int]:
    """For each atom: the width of the line up to it."""
    chars = -int(atoms[start].spaced)
    for atom in atoms[start:end]:
        chars += atom.width
        yield chars


def _half(atoms: Sequence[Atom], start: int, full: int) -> float:
    """How wide a cue should be that ends within a clause.

    Half of the clause, if the clause fits into two cues, so that the second is not a single word. Otherwise as wide as
    possible.
    """
    for at, chars in enumerate(_filled(atoms, start, len(atoms)), start):
        if chars >= 2 * full:
            break
        if atoms[at].rank > Rank.WORD and chars > full:
            return chars / 2
    return full


# Groups → cues.


def _cue(group: Sequence[Atom], free_ms: int, following_ms: int | None, shape: Shape) -> Cue:
    """Shown from its first word until it has been read, but not before `free_ms` nor into the next cue.

    WebVTT requires at least a millisecond.
    """
    text = "\n".join(_lines(group, shape))
    start_ms = max(group[0].start_ms, free_ms)
    needed_ms = max(shape.min_cue_ms, shape.reading_ms(width(text.replace("\n", ""))))
    end_ms = min(max(group[-1].end_ms, start_ms + needed_ms), start_ms + shape.max_cue_ms)
    if following_ms is not None:
        end_ms = min(end_ms, following_ms)
    return Cue(start_ms, max(start_ms + 1, end_ms), text, group[0].speaker)


def _lines(group: Sequence[Atom], shape: Shape) -> Iterator[str]:
    """As few lines as possible, as even as possible, preferably broken at the end of a clause."""
    left = group
    for count in range(_count(group, shape), 0, -1):
        end = len(left) if count == 1 else _line_end(left, count, shape)
        yield "".join(" " * (atom.spaced and at > 0) + atom.text for at, atom in enumerate(left[:end]))
        left = left[end:]


def _count(group: Sequence[Atom], shape: Shape) -> int:
    """How many lines the group needs."""
    lines, column = 1, 0
    for at, atom in enumerate(group):
        column += atom.width if at else width(atom.text)
        if column > shape.max_line_chars and at:
            lines, column = lines + 1, width(atom.text)
    return lines


def _line_end(left: Sequence[Atom], count: int, shape: Shape) -> int:
    """Where the first of `count` lines ends: near an equal share, and so that the rest fits into the other lines.

    The end of a clause may be up to an eighth of a line farther from the share, the end of a sentence twice that.
    """
    filled = list(_filled(left, 0, len(left)))
    fits = [
        end
        for end in range(1, len(left))
        if (filled[end - 1] <= shape.max_line_chars or end == 1) and _count(left[end:], shape) < count
    ]
    share, bonus = filled[-1] / count, shape.max_line_chars / 8
    return min(fits, key=lambda end: abs(filled[end - 1] - share) - bonus * left[end - 1].rank)
