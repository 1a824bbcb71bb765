"""An untrusted file, opened with FFmpeg.

FFmpeg may open only the file itself: the protocols and the formats are whitelisted. Without the whitelists, a playlist
of 37 bytes makes FFmpeg read other local files or call addresses.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import av
from av.container import InputContainer
from av.error import FFmpegError

from scrivano.domain.errors import MediaError
from scrivano.media import joined
from scrivano.media.signatures import (
    RAW_FORMATS,
    counts_frames,
    is_recording,
    length_patches,
    skipped_tags,
    wav_data,
)
from scrivano.media.truncation import is_cut_off

__all__ = ["ADVICE", "MediaFile"]

# FFmpeg's demuxers of recordings (`mov` is MP4, M4A and 3GP too; `matroska` WebM; `asf` WMA; `wav` RF64). None of them
# opens another file or address. Demuxers that do are left out: concat, hls, dash, sdp, rtsp, image2, imf, vobsub.
FORMATS = (
    "aa,aac,ac3,ac4,act,aiff,alaw,amr,amrnb,amrwb,ape,aptx,aptx_hd,asf,asf_o,au,avi,avr,bonk,caf,"
    "codec2,daud,dfpwm,dhav,dsf,dss,dts,dtshd,dv,eac3,epaf,flac,flv,g722,g723_1,g726,g726le,g728,"
    "g729,gsm,gxf,hcom,iamf,iff,ifv,ilbc,ircam,ivf,ivr,kux,laf,lc3,live_flv,loas,lvf,lxf,matroska,"
    "mlp,mov,mp3,mpc,mpc8,mpeg,mpegts,mulaw,mxf,mxg,nistsphere,nsv,nut,nuv,ogg,oma,osq,paf,pmp,"
    "pva,pvf,qcp,qoa,rka,rm,rso,sbc,sds,sdx,shn,sln,smjpeg,sox,spdif,tak,truehd,tta,u8,vivo,voc,"
    "vqf,w64,wav,wavarc,wsd,wtv,wv,wve,xwma"
)

# Streams whose sound begins late are looked at again with more of the file: bytes, in steps. FFmpeg holds that much in
# memory.
PROBE_BYTES = (32 << 20, 256 << 20)
PROBE_US = 3600 * 1_000_000
# Containers without a list of their streams.
HEADLESS = ("mpegts", "mpeg")

# What is looked at to tell what a file claims to be.
HEAD_BYTES = 512

ADVICE = "submit a WAV, MP3, M4A, FLAC, OGG, MP4 or MKV file"


class _Range:
    """A part of an open file, as FFmpeg reads it. `patches`: bytes to read in place of others, by their offset."""

    def __init__(self, fd: int, start: int, end: int, patches: Mapping[int, bytes]) -> None:
        self._patches = patches
        self._fd = fd
        self._start = start
        self._size = max(0, end - start)
        self._at = 0

    def read(self, size: int) -> bytes:
        offset = self._start + self._at
        data = os.pread(self._fd, max(0, min(size, self._size - self._at)), offset)
        self._at += len(data)
        for at, patch in self._patches.items():
            first, last = max(at, offset), min(at + len(patch), offset + len(data))
            if first < last:
                data = data[: first - offset] + patch[first - at : last - at] + data[last - offset :]
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at


class MediaFile:
    """One file. `ending`: that of its name, without the dot; only endings of headless formats make a difference.

    `links`: byte ranges to read one after the other, each a recording of its own. `part`: which part of the sound that
    a WAV file's head announces is there; FFmpeg tells that of all other formats. `cut_off`: the file ends in the middle
    of something. Raises `MediaError` (`not_media`) if the file is empty.
    """

    def __init__(self, path: str, ending: str = "") -> None:
        # FFmpeg never takes an absolute path for an address.
        self._path = os.path.abspath(path)
        self._size = os.stat(path).st_size
        if not self._size:
            raise MediaError("not_media", f"the file is empty; {ADVICE}")
        self._file = open(path, "rb")  # noqa: SIM115 - closed by `close`
        start = min(skipped_tags(self._file), self._size)
        self._file.seek(start)
        self._head = self._file.read(HEAD_BYTES)
        wav = wav_data(self._file, start, self._size)
        self._options = {"ignore_length": "1"} if wav and wav.unknown else {}
        self.part = wav.part if wav else 1.0
        self.cut_off = is_cut_off(self._file, start, self._size)
        self._patches = length_patches(self._file, start, self._size)
        self._raw = None if is_recording(self._head) else RAW_FORMATS.get(ending.lower())
        self.links = joined.recordings(self._file, start, self._size)

    def close(self) -> None:
        self._file.close()

    def open(self, link: tuple[int, int]) -> InputContainer:
        """Open one of the links. Raises `MediaError` (`not_media`)."""
        container = self._open(link, {})
        for size in PROBE_BYTES:
            if _is_known(container):
                break
            container.close()
            container = self._open(link, {"probesize": str(size), "analyzeduration": str(PROBE_US)})
            if size >= self._size:
                break
        return container

    def _open(self, link: tuple[int, int], probe: Mapping[str, str]) -> InputContainer:
        form, options = self._raw or (None, self._options)
        whitelists = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
        try:
            container = av.open(
                self._source(link),
                format=form,
                container_options={**whitelists, **options, **probe},
                metadata_errors="replace",  # old tags are often not UTF-8
            )
            assert isinstance(container, InputContainer)
            return container
        except MemoryError:
            raise
        except (FFmpegError, ValueError) as error:
            raise self.refusal() from error

    def _source(self, link: tuple[int, int]) -> str | _Range:
        whole = link == (0, self._size) and not self._patches
        return self._path if whole else _Range(self._file.fileno(), *link, self._patches)

    @property
    def counts_frames(self) -> bool:
        """Whether it is an MP3 file whose first frame says how many follow."""
        return counts_frames(self._head)

    @property
    def names_itself(self) -> bool:
        """Whether its first bytes are those of a recording."""
        return self._raw is not None or is_recording(self._head)

    def refusal(self) -> MediaError:
        """Why nothing can be read."""
        if self.names_itself:
            why = "the recording app did not finish it, or its upload ended early; save it again, and send all of it"
            return MediaError("not_media", f"the file is an incomplete or damaged recording: {why}")
        return MediaError("not_media", f"the file is not a recording that can be read here; {ADVICE}")


def _is_known(container: InputContainer) -> bool:
    """Whether the container needs no second look for its sound."""
    if container.format.name not in HEADLESS:
        return True
    audio = container.streams.audio
    return bool(audio) and all(stream.codec_context is not None and stream.codec_context.rate for stream in audio)
