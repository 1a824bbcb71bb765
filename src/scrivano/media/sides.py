"""How to read a recording: as one, or each channel or track for itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from scrivano.domain.recording import MOST_SIDES, AudioTrack, ChannelUse, RecordingWarning
from scrivano.media.channels import Content, Picture, picture
from scrivano.media.mixdowns import mix_of, side_of
from scrivano.media.recording import Recording, Sides
from scrivano.media.track_search import Found

__all__ = ["Plan", "plan"]

# A recording is looked at in so many places, for so long each.
PLACES = 24
SECONDS = 4.0

_COPIES = (Content.COPY, Content.DELAYED_COPY, Content.INVERTED_COPY)


@dataclass(frozen=True, slots=True)
class Plan:
    """`sides`: the audio. `split`: each of them is a speaker; else there is only one.

    `content`: what the channels are, if known.
    """

    sides: Sides
    split: bool
    content: Content | None
    warnings: tuple[RecordingWarning, ...] = ()

    @property
    def audio(self) -> AudioTrack | None:
        about = self.sides.audio
        if about is None:
            return None
        content = None if self.content is None else self.content.value
        return replace(about, channel_content=content, sides=len(self.sides))


def plan(recording: Recording, tracks: Found, use: ChannelUse, speakers: int | None = None) -> Plan:
    """What to read. `AUTO` splits a conversation with one voice on each channel or track, `SPLIT` whatever can be.

    `speakers`: how many there are; `AUTO` splits into no other number.
    """
    if len(tracks.ranks) > 1:
        return _of_tracks(recording, tracks, use, speakers)
    rank = tracks.ranks[0]
    seen = None if recording.is_mono(rank) else picture(recording.excerpts(rank, PLACES, SECONDS))
    content = None if seen is None else seen.content
    if seen is not None and _is_split(seen, use, speakers, surround=recording.tracks[rank].surround):
        sides = Sides([recording.read(rank, side_of(channel)) for channel in range(seen.channels)], seen.leak_db)
        return Plan(sides, True, content, tracks.warnings)
    warnings = (*tracks.warnings, *_not_split(seen)) if use is ChannelUse.SPLIT else tracks.warnings
    return Plan(Sides([recording.read(rank, mix_of(seen))], None), False, content, warnings)


def _of_tracks(recording: Recording, tracks: Found, use: ChannelUse, speakers: int | None) -> Plan:
    count = len(tracks.ranks)
    automatic = use is ChannelUse.AUTO and tracks.apart and speakers in (None, count)
    if count > MOST_SIDES or not (use is ChannelUse.SPLIT or automatic):
        return Plan(Sides([recording.mix(tracks.ranks)], None), False, None, tracks.warnings)
    ranks = sorted(tracks.ranks, key=lambda rank: recording.tracks[rank].number)
    warnings = tuple(one for one in tracks.warnings if one.code != "tracks_mixed")
    return Plan(Sides([recording.read(rank) for rank in ranks], None), True, None, warnings)


def _is_split(seen: Picture, use: ChannelUse, speakers: int | None, *, surround: bool) -> bool:
    voices = seen.content is Content.VOICES and not surround and speakers in (None, seen.channels)
    automatic = use is ChannelUse.AUTO and voices
    may = seen.content not in _COPIES and seen.channels <= MOST_SIDES
    return may and (use is ChannelUse.SPLIT or automatic)


def _not_split(seen: Picture | None) -> Sequence[RecordingWarning]:
    if seen is None:
        why = "it has only one channel with sound"
    elif seen.content in _COPIES:
        why = "its channels are copies of one another"
    else:
        why = f"it has more than {MOST_SIDES} channels"
    return [RecordingWarning(code="not_split", message=f"the recording was not split: {why}")]
