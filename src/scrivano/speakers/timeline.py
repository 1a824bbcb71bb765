"""Centres of speakers → who speaks when. Pure.

Within a stretch, the speakers of all tenths of a second are the likeliest sequence when every change has a price
(Viterbi, 1967). Where two speak at once, the segmentation's local voices say who the second one is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from scrivano.speakers.chunk_voices import StretchVoices
from scrivano.speakers.segmentation import FIRST_S, FRAMES, HOP_S, LOCAL_VOICES, STEP_S, runs

__all__ = ["SpeakerTurn", "speaker_turns"]

Doubles = NDArray[np.float64]

# Start, end, number of the speaker.
SpeakerTurn = tuple[float, float, int]

CELL_S = 0.10
# What a change costs, in seconds times cosine: within a span, and at its start, where a change is likely.
CHANGE = 0.05
CHANGE_AT_PAUSE = 0.02

# A cell that only touches a part is still somewhat like it.
LEAST_WEIGHT = 0.02
# A part counts most at its middle, and nothing this far beyond its ends.
BEYOND_S = 0.05

# A local voice has a speaker if it speaks alone for so long, and this share of that as one speaker.
NAMED_S = 0.4
NAMED_SHARE = 0.6
# Shorter second voices are noise.
SHORTEST_SECOND_S = 0.3

# Pauses that do not end a turn, and turns that are too short to be one.
GAP_S = 0.35
SHORTEST_TURN_S = 0.2


def speaker_turns(stretches: Iterable[StretchVoices], centres: Doubles) -> list[SpeakerTurn]:
    """Who speaks when, in seconds of the file, ordered by time. Turns of two speakers may overlap."""
    found: list[list[SpeakerTurn]] = [[] for _ in centres]
    for one in stretches:
        if len(one.parts) and len(centres):
            for start, end, speaker in _turns(one, centres):
                found[speaker].append((one.start_s + start, one.start_s + end, speaker))
    return sorted(turn for turns in found for turn in _joined(sorted(turns)))


def _turns(voices: StretchVoices, centres: Doubles) -> list[SpeakerTurn]:
    first = _first_voices(voices, centres)
    return first + (_second_voices(voices, first, len(centres)) if len(centres) > 1 else [])


def _joined(turns: Iterable[SpeakerTurn]) -> Iterator[SpeakerTurn]:
    """The turns of one speaker without short pauses, and without those that are too short."""
    joined: list[SpeakerTurn] = []
    for start, end, speaker in turns:
        if joined and start - joined[-1][1] < GAP_S:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end), speaker)
        else:
            joined.append((start, end, speaker))
    for start, end, speaker in joined:
        if end - start >= SHORTEST_TURN_S:
            yield round(start, 3), round(end, 3), speaker


# The first voice ---------------------------------------------------------------------------------------------------


def _first_voices(voices: StretchVoices, centres: Doubles) -> list[SpeakerTurn]:
    """One speaker for all speech of a voices."""
    likeness = np.asarray(voices.vectors @ centres.T, np.float64)
    scores, prices, cells = [], [], []
    for (start, end), parts in zip(voices.spans.tolist(), _parts_of_spans(voices), strict=True):
        edges = np.linspace(start, end, max(1, round((end - start) / CELL_S)) + 1)
        weights = _weights((edges[:-1] + edges[1:]) / 2, voices.parts[parts])
        scores.append((edges[1] - edges[0]) * (weights @ likeness[parts]))
        prices += [CHANGE_AT_PAUSE] + [CHANGE] * (len(edges) - 2)
        cells += list(pairwise(edges.tolist()))
    turns: list[SpeakerTurn] = []
    for (start, end), speaker in zip(cells, _likeliest(np.concatenate(scores), prices), strict=True):
        if turns and turns[-1][2] == speaker and start - turns[-1][1] < 1e-6:
            turns[-1] = (turns[-1][0], end, speaker)
        else:
            turns.append((start, end, speaker))
    return turns


def _parts_of_spans(voices: StretchVoices) -> Iterator[slice]:
    first = 0
    for _, end in voices.spans.tolist():
        last = first
        while last < len(voices.parts) and voices.parts[last, 1] <= end + 1e-6:
            last += 1
        yield slice(first, last)
        first = last


def _weights(middles: Doubles, parts: Doubles) -> Doubles:
    """How much each part counts at each time, [times, parts]; rows sum to 1."""
    distance = np.abs(middles[:, None] - parts.mean(axis=1))
    weights = np.maximum(1 - distance / ((parts[:, 1] - parts[:, 0]) / 2 + BEYOND_S), LEAST_WEIGHT)
    inside = (parts[:, 0] <= middles[:, None]) & (middles[:, None] <= parts[:, 1])
    weights = np.where(inside, weights, 0.0)
    total: Doubles = weights.sum(axis=1, keepdims=True)
    return np.asarray(weights / total)


def _likeliest(scores: Doubles, prices: Sequence[float]) -> list[int]:
    """The sequence with the highest sum of `scores`, [cells, speakers], less the price of each change."""
    best = scores[0].copy()
    stay = np.arange(scores.shape[1])
    origins = np.zeros(scores.shape, np.intp)
    for cell in range(1, len(scores)):
        leader = int(best.argmax())
        changed = best[leader] - prices[cell]
        origins[cell] = np.where(best >= changed, stay, leader)
        best = np.maximum(best, changed) + scores[cell]
    sequence = [int(best.argmax())]
    for cell in range(len(scores) - 1, 0, -1):
        sequence.append(int(origins[cell, sequence[-1]]))
    return sequence[::-1]


# The second voice --------------------------------------------------------------------------------------------------


def _second_voices(voices: StretchVoices, first: Sequence[SpeakerTurn], speakers: int) -> list[SpeakerTurn]:
    """Where two local voices speak at once, the one that is not the first voice."""
    frames = round((len(voices.activity) - 1) * HOP_S / STEP_S) + FRAMES
    spoken = _spoken(first, frames)
    votes, both, heard = np.zeros((frames, speakers)), np.zeros(frames), np.zeros(frames)
    for number, window in enumerate(voices.activity):
        place = round(number * HOP_S / STEP_S)
        here = slice(place, min(place + FRAMES, frames))
        window = window[: here.stop - here.start]
        count = window.sum(axis=1)
        heard[here] += 1
        both[here] += count == 2
        for voice in range(LOCAL_VOICES):
            speaker = _speaker_of(spoken[here][window[:, voice] & (count == 1)])
            if speaker is not None:
                votes[here, speaker] += window[:, voice] & (count == 2)
    votes[np.arange(frames), np.maximum(spoken, 0)] = 0
    certain = (2 * both >= np.maximum(heard, 1)) & (spoken >= 0) & (votes.max(axis=1) > 0)
    second = np.where(certain, votes.argmax(axis=1), -1)
    return [
        (start * STEP_S + FIRST_S, end * STEP_S + FIRST_S, speaker)
        for speaker in range(speakers)
        for start, end in runs(second == speaker)
        if (end - start) * STEP_S >= SHORTEST_SECOND_S
    ]


def _spoken(turns: Iterable[SpeakerTurn], frames: int) -> NDArray[np.intp]:
    """The first voice of each frame; -1: nobody."""
    spoken = np.full(frames, -1, np.intp)
    for start, end, speaker in turns:
        first = max(0, int((start - FIRST_S) / STEP_S + 1))
        spoken[first : max(first, int((end - FIRST_S) / STEP_S + 1))] = speaker
    return spoken


def _speaker_of(alone: NDArray[np.intp]) -> int | None:
    """The speaker of a local voice. `alone`: the first voice wherever it speaks alone."""
    counts = np.bincount(alone[alone >= 0])
    if counts.sum() * STEP_S < NAMED_S or counts.max() <= NAMED_SHARE * counts.sum():
        return None
    return int(counts.argmax())
