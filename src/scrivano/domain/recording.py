"""What was found out about a recording while it was read."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MOST_PEAKS", "AudioTrack", "RecordingWarning", "Waveform"]

# So many peaks are enough, however long the recording is: an hour has one for every 0.4 s, a day one for every 6.4 s.
MOST_PEAKS = 16384


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioTrack:
    """The audio track that was transcribed.

    `track` counts from 0 among the audio tracks of the file. `duration`: seconds as the container claims; None: it
    does not say. `start`: seconds from the start of the file's clock to the first sound of the track. `tracks`: all
    that were mixed, if more than one was.
    """

    track: int
    codec: str
    channels: int
    sample_rate: int
    duration: float | None
    start: float
    tracks: tuple[int, ...] = ()


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
