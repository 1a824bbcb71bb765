"""An untrusted recording, decoded to 16 kHz mono on its own clock, with what is to be said about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from itertools import tee, zip_longest
from operator import itemgetter

import av
import numpy as np
from av.audio import AudioStream
from av.container import InputContainer
from av.stream import Discard, Disposition
from numpy.typing import NDArray

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.domain.errors import MediaError
from scrivano.domain.recording import AudioTrack, RecordingWarning
from scrivano.media.chunking import WINDOW
from scrivano.media.downmix import Downmix, MakeMixdown
from scrivano.media.excerpts import excerpts
from scrivano.media.leak import silence_leaks
from scrivano.media.level import Level
from scrivano.media.source import ADVICE, MediaFile
from scrivano.media.track_reader import TrackReader, claimed_duration
from scrivano.media.tracks import Track, TrackChoice, candidates

__all__ = ["BLOCK", "Mix", "Reading", "Recording", "Sides", "open_recording"]

# Samples per block (2 s): what the speech detector processes at once. A constant, because the same file must give the
# same chunks on every run.
BLOCK = 64 * WINDOW

# A recording ended early if more than this, and this part, of what its head claims is missing.
MISSING_S = 0.5
MISSING_PART = 0.02

# So many jumps of a clock, and gaps, are told.
MAX_JUMPS = 10

DESCRIBED = Disposition.comment | Disposition.visual_impaired | Disposition.hearing_impaired | Disposition.clean_effects


class Recording:
    """An open file. `tracks`: those to read, best first. `duration`: seconds that the container claims, if it does."""

    def __init__(self, file: MediaFile, choice: TrackChoice, max_audio_s: float) -> None:
        self._file = file
        self._choice = choice
        self._max_audio_s = max_audio_s
        with closing(file.open(file.links[0])) as container:
            tracks = _tracks(container)
            if not len(container.streams) or (
                tracks and not file.names_itself and not any(t.decodable for t in tracks)
            ):
                # Text or noise can be opened too: as nothing, or as a stream without a known codec.
                raise file.refusal()
            self.tracks = candidates(tracks, choice)
            claimed = container.duration if len(file.links) == 1 else None
            self.duration = claimed / av.time_base if claimed is not None and claimed > 0 else None

    def read(self, rank: int = 0, mixdown: MakeMixdown = Downmix) -> Reading:
        """Read the track of this rank from the start."""
        return Reading(self._file, self._choice, rank, self._max_audio_s, mixdown)

    def mix(self, ranks: Sequence[int], mixdown: MakeMixdown = Downmix) -> Reading | Mix:
        """Read the tracks of these ranks at the same time, as one."""
        readings = [self.read(rank, mixdown) for rank in ranks]
        return readings[0] if len(readings) == 1 else Mix(readings)

    def is_mono(self, rank: int) -> bool:
        """Whether a track has one channel throughout, as far as the file says; joined files may have others later."""
        return self.tracks[rank].channels == 1 and len(self._file.links) == 1

    def excerpts(self, rank: int, places: int, seconds: float) -> list[NDArray[np.float32]]:
        """What is heard on the channels of a track at so many places, spread evenly: [samples, channels] each, 16 kHz.

        All of it, if it is not longer than that. Fewer, or none, where the file cannot be read at any place.
        """
        links = self._file.links[:: -(-len(self._file.links) // places)]
        found: list[NDArray[np.float32]] = []
        for link in links:
            with suppress(MediaError), closing(self._file.open(link)) as container:
                ranked = candidates(_tracks(container), self._choice)
                stream = container.streams.audio[ranked[min(rank, len(ranked) - 1)].number]
                found += excerpts(container, stream, max(1, places // len(links)), seconds)
        channels = max((one.shape[1] for one in found), default=0)
        return [one for one in found if one.shape[1] == channels]


class Reading:
    """One pass over one track. `audio` and `warnings` are complete when the blocks are."""

    def __init__(
        self, file: MediaFile, choice: TrackChoice, rank: int, max_audio_s: float, mixdown: MakeMixdown
    ) -> None:
        self._file = file
        self._choice = choice
        self._rank = rank
        self._mixdown = mixdown
        self._max_audio_s = max_audio_s
        self._level = Level()
        self._whole = len(file.links) == 1
        self._samples = 0
        self._cut_off = False
        self._warnings: list[RecordingWarning] = []
        self.audio: AudioTrack | None = None

    def blocks(self) -> Iterator[NDArray[np.int16]]:
        """16 kHz mono audio in order, in blocks of `BLOCK` samples; the last block may be shorter.

        Sample 0 is the start of the file's clock. What is damaged is skipped, with a warning. Raises `MediaError` if
        nothing can be decoded, or sound cannot be mixed to mono.
        """
        return self._level.apply(self.sound())

    def sound(self) -> Iterator[NDArray[np.float32]]:
        """The same blocks at the level that they have in the file."""
        return _blocks(self._links())

    @property
    def has_integers(self) -> bool:
        """Whether the samples are floats that might be integers."""
        return self._level.integers

    @property
    def warnings(self) -> list[RecordingWarning]:
        return sorted(self._warnings + _level_warnings(self._level), key=_time)

    def _links(self) -> Iterator[NDArray[np.float32]]:
        refused: MediaError | None = None
        for link in self._file.links:
            try:
                with closing(self._file.open(link)) as container:
                    yield from self._link(container)
            except MediaError as error:
                if self._whole:
                    raise
                refused = error
                self._warn("part_skipped", f"a part of the file was skipped: {error}", self._seconds)
        if refused is not None and not self._samples:
            raise refused
        if not self._samples:
            self._warn("no_sound", "the audio track is empty: there is no sound in it", 0.0)
        if (self._cut_off or self._file.cut_off) and all(one.code != "ended_early" for one in self._warnings):
            message = f"the file was cut off: the recording ended early, at {self._seconds:.1f} s"
            self._warn("ended_early", message, self._seconds)

    def _link(self, container: InputContainer) -> Iterator[NDArray[np.float32]]:
        ranked = candidates(_tracks(container), self._choice)
        track = ranked[min(self._rank, len(ranked) - 1)]
        stream = container.streams.audio[track.number]
        stream.codec_context.thread_count = 1
        self._level.integers = stream.codec_context.name.startswith(("pcm_f", "wavpack"))
        for other in container.streams:
            if other.index != stream.index:
                other.discard = Discard.all
        reader = TrackReader(container, stream, self._seconds, self._max_audio_s, self._mixdown)
        claimed = claimed_duration(container, stream, counted=self._file.counts_frames)
        if claimed is not None:
            claimed /= max(self._file.part, 1e-3)
        for part in reader.parts():
            self._samples += len(part)
            yield part
        if reader.start is None and reader.damaged:
            raise MediaError("not_media", f"the sound in this file is damaged or copy-protected; {ADVICE}")
        self._conclude(reader, container, stream, track, claimed)

    def _conclude(
        self,
        reader: TrackReader,
        container: InputContainer,
        stream: AudioStream,
        track: Track,
        claimed: float | None,
    ) -> None:
        if self.audio is None:
            self.audio = AudioTrack(
                track=track.number,
                codec=stream.codec_context.name,
                channels=reader.channels,
                sample_rate=reader.sample_rate,
                duration=container.duration / av.time_base if container.duration and self._whole else None,
                start=round(reader.start or 0.0, 3),
            )
        self._cut_off = reader.cut_off
        if reader.damaged > reader.cut_off:
            what = "a damaged packet was" if reader.damaged == 1 else f"{reader.damaged} damaged packets were"
            self._warn("damaged_packets", f"{what} skipped", reader.damaged_at)
        for at, length in reader.gaps[:MAX_JUMPS]:
            self._warn("gap", f"{length:.1f} s of the recording are missing here, according to its time stamps", at)
        for jump in reader.jumps[:MAX_JUMPS]:
            self._warn("time_jump", "the time stamps of the file jump here; the jump was ignored", jump)
        # A length that contains a jump of the clock says nothing.
        missing = 0.0 if claimed is None or reader.jumps else claimed - reader.position
        if claimed is not None and missing > max(MISSING_S, MISSING_PART * claimed):
            message = f"the recording ended early, at {reader.position:.1f} s of {claimed:.1f} s; the rest is missing"
            self._warn("ended_early", message, reader.position)

    @property
    def _seconds(self) -> float:
        return self._samples / SAMPLE_RATE

    def _warn(self, code: str, message: str, at: float) -> None:
        self._warnings.append(RecordingWarning(code=code, message=message, at=round(at, 3)))


class Mix:
    """One pass over several tracks at the same time, as `Reading` is one over a single track."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        self._readings = readings
        self._level = Level()

    def blocks(self) -> Iterator[NDArray[np.int16]]:
        return self._level.apply(self.sound())

    def sound(self) -> Iterator[NDArray[np.float32]]:
        downmix = Downmix(("",) * len(self._readings))
        nothing = np.empty(0, np.float32)
        for blocks in zip_longest(*(reading.sound() for reading in self._readings), fillvalue=nothing):
            self._level.integers = any(reading.has_integers for reading in self._readings)
            length = max(map(len, blocks))
            yield downmix.mix(np.stack([np.pad(block, (0, length - len(block))) for block in blocks], axis=1))

    @property
    def has_integers(self) -> bool:
        return self._level.integers

    @property
    def audio(self) -> AudioTrack | None:
        tracks = [reading.audio for reading in self._readings if reading.audio is not None]
        return replace(tracks[0], tracks=tuple(sorted(track.track for track in tracks))) if tracks else None

    @property
    def warnings(self) -> list[RecordingWarning]:
        of_tracks = [warning for reading in self._readings for warning in reading.warnings]
        # What is wrong with the file is said by each of its tracks.
        return sorted(dict.fromkeys([*of_tracks, *_level_warnings(self._level)]), key=_time)


class Sides:
    """One pass over the sides of a conversation: channels of one track, or several tracks.

    `leak_db`: as in `channels.Picture`, by side; None: not known.
    """

    def __init__(self, readings: Sequence[Reading | Mix], leak_db: Sequence[Sequence[float]] | None) -> None:
        self._readings = readings
        self._levels = [Level() for _ in readings]
        self._leak_db = leak_db

    def __len__(self) -> int:
        return len(self._readings)

    def blocks(self) -> Iterator[tuple[NDArray[np.int16], ...]]:
        """For each block of time, one of each side; the sides of a block have one length."""
        if len(self._readings) == 1:  # which has a level of its own
            return ((block,) for block in self._readings[0].blocks())
        streams = tee(silence_leaks(self._aligned(), self._leak_db), len(self._readings))
        sides = [
            level.apply(map(itemgetter(number), stream))
            for number, (level, stream) in enumerate(zip(self._levels, streams, strict=True))
        ]
        return zip(*sides, strict=True)

    def _aligned(self) -> Iterator[list[NDArray[np.float32]]]:
        nothing = np.empty(0, np.float32)
        for blocks in zip_longest(*(reading.sound() for reading in self._readings), fillvalue=nothing):
            for level, reading in zip(self._levels, self._readings, strict=True):
                level.integers = reading.has_integers
            length = max(map(len, blocks))
            yield [np.pad(block, (0, length - len(block))) for block in blocks]

    @property
    def audio(self) -> AudioTrack | None:
        tracks = [reading.audio for reading in self._readings if reading.audio is not None]
        if len(self._readings) == 1 or len({track.track for track in tracks}) < 2:
            return tracks[0] if tracks else None
        return replace(tracks[0], tracks=tuple(sorted({track.track for track in tracks})))

    @property
    def warnings(self) -> list[RecordingWarning]:
        of_sides = [warning for reading in self._readings for warning in reading.warnings]
        of_levels = [warning for level in self._levels for warning in _level_warnings(level)]
        return sorted(dict.fromkeys([*of_sides, *of_levels]), key=_time)


def _level_warnings(level: Level) -> list[RecordingWarning]:
    found = []
    if level.amplified_at is not None:
        message = f"the recording is very quiet; it was amplified by up to {level.most_gain_db} dB"
        found.append(RecordingWarning(code="quiet", message=message, at=level.amplified_at / SAMPLE_RATE))
    if level.scaled:
        message = "the samples are integers in a format of floats; they were scaled"
        found.append(RecordingWarning(code="samples_scaled", message=message))
    if level.clipped:
        message = "the recording is clipped, because it was recorded too loud; this can cost words"
        found.append(RecordingWarning(code="clipped", message=message))
    return found


def _time(warning: RecordingWarning) -> float:
    return warning.at or 0.0


@contextmanager
def open_recording(
    source: str, max_audio_s: float, *, ending: str = "", choice: TrackChoice | None = None
) -> Iterator[Recording]:
    """Open an untrusted file. Raises `MediaError`: `not_media` or `no_audio`. See `MediaFile` for `ending`."""
    with closing(MediaFile(source, ending)) as file:
        yield Recording(file, choice or TrackChoice(), max_audio_s)


def _tracks(container: InputContainer) -> list[Track]:
    best = container.streams.best("audio")
    return [
        Track(
            number=number,
            decodable=stream.codec_context is not None,
            language=stream.metadata.get("language"),
            default=bool(stream.disposition & Disposition.default),
            best=best is not None and stream.index == best.index,
            described=bool(stream.disposition & DESCRIBED),
            channels=0 if stream.codec_context is None else stream.codec_context.channels,
            surround=_is_surround(stream),
        )
        for number, stream in enumerate(container.streams.audio)
    ]


def _is_surround(stream: AudioStream) -> bool:
    if stream.codec_context is None:
        return False
    names = {channel.name for channel in stream.codec_context.layout.channels}
    return len(names) > 2 and bool(names & {"FC", "LFE"})


def _blocks(audio: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """The same audio in blocks of `BLOCK` samples; the last one may be shorter."""
    block = np.empty(BLOCK, np.float32)
    filled = 0
    for part in audio:
        while len(part):
            taken = part[: BLOCK - filled]
            block[filled : filled + len(taken)] = taken
            filled += len(taken)
            part = part[len(taken) :]
            if filled == BLOCK:
                yield block
                block, filled = np.empty(BLOCK, np.float32), 0
    if filled:
        yield block[:filled]
