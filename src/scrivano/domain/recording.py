"""What was found out about a recording while it was read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["MOST_PEAKS", "MOST_SIDES", "AudioTrack", "ChannelUse", "RecordingWarning", "Waveform"]

# So many peaks are enough, however long the recording is: an hour has one for every 0.4 s, a day one for every 6.4 s.
MOST_PEAKS = 16384

# More channels or tracks than this are mixed.
MOST_SIDES = 8


class ChannelUse(StrEnum):
    """What to do with several channels, or tracks that belong together.

    `MIX`: make one of them. `SPLIT`: transcribe each for itself, as a speaker. `AUTO`: that, if each has a voice of its
    own and speakers are wanted.
    """

    AUTO = "auto"
    MIX = "mix"
    SPLIT = "split"


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioTrack:
    """The audio track that was transcribed.

    `track` counts from 0 among the audio tracks of the file. `duration`: seconds as the container claims; None: it
    does not say. `start`: seconds from the start of the file's clock to the first sound of the track. `tracks`: all
    that were read, if more than one was. `sides`: how many channels or tracks were transcribed for themselves, each as
    a speaker; 1: none. `channel_content`: what the channels are (`media.channels.Content`); None: not known.
    """

    track: int
    codec: str
    channels: int
    sample_rate: int
    duration: float | None
    start: float
    tracks: tuple[int, ...] = ()
    channel_content: str | None = None
    sides: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingWarning:
    """Something about a recording that its transcript does not show.

    `code` is stable. `at`: seconds from the start of the file; None: it is about all of it.
    """

    code: str
    message: str
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Waveform:
    """The outline of a recording: the loudest sample of each `peak_secs`, one byte each, from 0 (silence) to 255.

    There are at most `MOST_PEAKS`.
    """

    peak_secs: float
    peaks: bytes
