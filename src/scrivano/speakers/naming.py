"""The stored voices of a recording → its speakers, with ids and names, and their turns. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scrivano.domain.speakers import SpeakerCount
from scrivano.speakers.chunk_voices import StretchVoices
from scrivano.speakers.clustering import find_centres
from scrivano.speakers.timeline import SpeakerTurn, speaker_turns

__all__ = ["Known", "Naming", "Voice", "name_speakers"]

Vector = NDArray[np.float32]

# A speaker is a known voice if the cosine of their centres reaches this: within one recording, where telephone and room
# are the same, and between recordings.
SAME_RECORDING = 0.5
OTHER_RECORDING = 0.45


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A voice with a name. `id`: the speaker of an earlier version of the transcript; None: from elsewhere."""

    name: str
    centre: Vector
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """A speaker. `name` None: nobody known."""

    id: str
    name: str | None
    centre: Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """Turns name their speaker by the index in `voices`, which are in the order in which they begin to speak."""

    voices: tuple[Voice, ...]
    turns: tuple[SpeakerTurn, ...]


def name_speakers(
    stretches: Sequence[StretchVoices], count: SpeakerCount | None = None, known: Sequence[Known] = ()
) -> Naming:
    """Speakers who are nobody known get the next free id: an id is never used for another voice."""
    found = find_centres(stretches, count)
    turns = speaker_turns(stretches, found)
    order = list(dict.fromkeys(speaker for _, _, speaker in turns))
    centres = found[order].astype(np.float32)
    earlier = [one for one in known if one.id is not None]
    again = _matches(centres, earlier, SAME_RECORDING)
    others = _matches(centres, [one for one in known if one.id is None], OTHER_RECORDING)
    free = itertools.count(max((int(one.id[1:]) for one in earlier if one.id), default=0) + 1)
    voices = []
    for centre, before, other in zip(centres, again, others, strict=True):
        speaker_id = before.id if before is not None and before.id else f"S{next(free)}"
        named = before or other
        voices.append(Voice(id=speaker_id, name=named.name if named else None, centre=centre))
    places = {speaker: place for place, speaker in enumerate(order)}
    return Naming(voices=tuple(voices), turns=tuple((start, end, places[one]) for start, end, one in turns))


def _matches(centres: Vector, known: Sequence[Known], alike: float) -> list[Known | None]:
    """For each centre the known voice that it is; the best pairs first, and no voice twice."""
    found: list[Known | None] = [None] * len(centres)
    if not known or not len(centres):
        return found
    cosines = centres @ np.stack([one.centre for one in known]).T
    while cosines.max() >= alike:
        row, column = np.unravel_index(int(cosines.argmax()), cosines.shape)
        found[int(row)] = known[int(column)]
        cosines[row], cosines[:, column] = -np.inf, -np.inf
    return found
