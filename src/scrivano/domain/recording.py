"""What was found out about a recording while it was read."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AudioTrack", "RecordingWarning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioTrack:
    """The audio track that was transcribed.

    `track` counts from 0 among the audio tracks of the file. `duration`: seconds as the container claims; None: it
    does not say. `start`: seconds from the start of the file's clock to the first sound of the track.
    """

    track: int
    codec: str
    channels: int
    sample_rate: int
    duration: float | None
    start: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingWarning:
    """Something about a recording that its transcript does not show.

    `code` is stable. `at`: seconds from the start of the file; None: it is about all of it.
    """

    code: str
    message: str
    at: float | None = None
