"""Which tracks of a file have speech, and which of them belong together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scrivano.domain.errors import MediaError
from scrivano.domain.recording import RecordingWarning
from scrivano.media.chunking import WINDOW, ChunkingOptions, SpanFinder
from scrivano.media.recording import Recording
from scrivano.media.silero_vad import whole_windows
from scrivano.media.simultaneous import SECOND, Relation, TrackSound, relation
from scrivano.media.tracks import Track, may_join

__all__ = ["Found", "find_tracks"]

# Tracks that may belong together are compared for so long after the first speech in them.
COMPARED_S = 600

Detect = Callable[[Iterator[NDArray[np.int16]]], Iterator[NDArray[np.float32]]]


@dataclass(frozen=True, slots=True)
class Found:
    """`ranks` of the tracks to read, at least one. `speaks`: speech was found in them, or not looked for.

    `apart`: no track has the sound of another one in it.
    """

    ranks: tuple[int, ...]
    speaks: bool = True
    apart: bool = True
    warnings: tuple[RecordingWarning, ...] = ()


def find_tracks(recording: Recording, detect: Detect) -> Found:
    """The best track with speech, and those that together with it are one conversation: one person on each.

    The only track is not read. Others are read to their first speech, those that may belong together further.
    `detect` gives the probability of speech in each window.
    """
    tracks = recording.tracks
    if len(tracks) == 1:
        return Found((0,))
    for rank, track in enumerate(tracks):
        sound = _sound(recording, rank, detect, compared=any(may_join(track, other) for other in tracks[rank + 1 :]))
        if sound is not None:
            return _with_partners(recording, rank, sound, detect)
    return Found((0,), speaks=False)


def _with_partners(recording: Recording, best: int, sound: TrackSound, detect: Detect) -> Found:
    tracks = recording.tracks
    mixed, left_out, apart = [best], [], True
    for rank in range(best + 1, len(tracks)):
        if not may_join(tracks[best], tracks[rank]):
            left_out.append(tracks[rank])
        elif (other := _sound(recording, rank, detect, compared=True)) is not None:
            match found := relation(sound, other):
                case Relation.PARTNER | Relation.MORE:
                    mixed.append(rank)
                    sound = sound.mixed(other)
                    apart = apart and found is Relation.PARTNER
                case Relation.VERSION:
                    left_out.append(tracks[rank])
                case Relation.COPY:
                    pass
    return Found(tuple(mixed), apart=apart, warnings=tuple(_warnings(tracks, mixed, left_out)))


def _sound(recording: Recording, rank: int, detect: Detect, *, compared: bool) -> TrackSound | None:
    """The start of a track: up to its first speech, and `COMPARED_S` more if it is to be compared; None: no speech."""
    finder = SpanFinder(ChunkingOptions())
    blocks: list[NDArray[np.int16]] = []
    parts: list[TrackSound] = []
    speaks, left = False, COMPARED_S * SECOND if compared else 0
    try:
        for probabilities in detect(_recorded(recording.read(rank).blocks(), blocks)):
            count = len(probabilities) * WINDOW
            # Detection runs ahead of its results, by some blocks.
            audio = np.concatenate(blocks)
            parts.append(TrackSound.of(probabilities, audio[:count]))
            blocks[:] = [audio[count:]]
            left -= len(probabilities) if speaks else 0
            speaks = speaks or any(finder.push(probability) for probability in probabilities.tolist())
            if speaks and left <= 0:
                break
    except MediaError as error:
        if error.code != "not_media":
            raise
        return None
    if not speaks and finder.finish(finder.position) is None:
        return None
    return TrackSound.joined(parts)


def _recorded(blocks: Iterable[NDArray[np.int16]], kept: list[NDArray[np.int16]]) -> Iterator[NDArray[np.int16]]:
    """The blocks as whole windows; each is also appended to `kept`."""
    for block in blocks:
        whole = whole_windows(block)
        kept.append(whole)
        yield whole


def _warnings(tracks: Sequence[Track], mixed: Sequence[int], left_out: Sequence[Track]) -> Iterator[RecordingWarning]:
    used = tracks[mixed[0]].number
    if mixed[0]:
        message = f"track {tracks[0].number} has no speech, or is damaged; track {used} was transcribed"
        yield RecordingWarning(code="other_track", message=message)
    advice = "audio_track chooses one track"
    if len(mixed) > 1:
        numbers = _listed(sorted(str(tracks[rank].number) for rank in mixed))
        message = f"tracks {numbers} have speech that belongs together, so they were mixed; {advice}"
        yield RecordingWarning(code="tracks_mixed", message=message)
    if left_out:
        message = f"track {used} was transcribed, and not {_listed([_named(track) for track in left_out])}; {advice}"
        yield RecordingWarning(code="tracks_left_out", message=message)


def _named(track: Track) -> str:
    return f"track {track.number}" + (f" ({track.language})" if track.language else "")


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
