"""What a file claims to be, by its first bytes and by its name. Pure, but for reading the bytes it is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

__all__ = [
    "ISO_BOXES",
    "LONG_PLACEHOLDER",
    "PLACEHOLDER",
    "RAW_FORMATS",
    "W64_RIFF",
    "WavData",
    "counts_frames",
    "is_recording",
    "length_patches",
    "skipped_tags",
    "wav_data",
]

# Formats without a head, by the ending of the file's name: FFmpeg's demuxer, and options that it needs.
RAW_FORMATS: dict[str, tuple[str, dict[str, str]]] = {
    "al": ("alaw", {"sample_rate": "8000"}),
    "alaw": ("alaw", {"sample_rate": "8000"}),
    "aptx": ("aptx", {}),
    "aptxhd": ("aptx_hd", {}),
    "dfpwm": ("dfpwm", {}),
    "g722": ("g722", {}),
    "722": ("g722", {}),
    "g723": ("g723_1", {}),
    "g723_1": ("g723_1", {}),
    "tco": ("g723_1", {}),
    "rco": ("g723_1", {}),
    "g726": ("g726le", {}),
    "g729": ("g729", {}),
    "gsm": ("gsm", {}),
    "msbc": ("sbc", {}),
    "mulaw": ("mulaw", {"sample_rate": "8000"}),
    "sbc": ("sbc", {}),
    "sln": ("sln", {}),
    "sln16": ("sln", {"sample_rate": "16000"}),
    "ub": ("u8", {"sample_rate": "8000"}),
    "ul": ("mulaw", {"sample_rate": "8000"}),
    "ulaw": ("mulaw", {"sample_rate": "8000"}),
}

# The start of a Sony Wave64 file, and of its chunk of samples.
W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")

# First bytes of files that name themselves; RIFF and ISO media also name their kind a little later.
SIGNATURES = (
    b"OggS", b"fLaC", b"\x1aE\xdf\xa3", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"#!AMR", b"FLV", b"caff", b".snd",
    b"MAC ", b"wvpk", W64_RIFF, b"TTA1", b"DSD ", b".RMF", b"\x00\x00\x01\xba", b"Creative Voice File",
)  # fmt: skip
RIFF = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM")
RIFF_KINDS = (b"WAVE", b"AVI ", b"AIFF", b"AIFC")
ISO_BOXES = (b"ftyp", b"moov", b"mdat", b"moof", b"styp", b"wide", b"pnot")
# Chunks of a WAV file are looked through so far for its data.
WAV_HEAD_BYTES = 1 << 20
UNKNOWN = 0xFFFFFFFF
# Programs that write into a pipe put sizes from here on into the head; into one with 64 bits, those below it.
PLACEHOLDER = 0x7FFFF000
LONG_PLACEHOLDER = 1 << 62
# So much behind the samples of a WAV file is neither padding nor a tag, if it is not a chunk either.
REST_BYTES = 4096


def is_recording(head: bytes) -> bool:
    """Whether the first bytes are those of a recording, even if nothing useful follows."""
    if head[:4] in RIFF:
        return head[8:12] in RIFF_KINDS
    if head[:1] == b"G":  # packets of a transport stream
        return head[188:189] == head[376:377] == b"G"
    return head.startswith(SIGNATURES) or head[4:8] in ISO_BOXES


def skipped_tags(file: BinaryIO) -> int:
    """The bytes of ID3v2 tags at the start, whatever follows them."""
    offset = 0
    while True:
        file.seek(offset)
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3" or max(head[6:10]) > 0x7F:
            return offset
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        offset += 10 + size + (10 if head[5] & 0x10 else 0)


@dataclass(frozen=True, slots=True)
class WavData:
    """The samples of a WAV file, in bytes: how many there are, and how many its head says.

    `stale`: more samples follow those, because the recorder did not come back to correct its head.
    """

    present: int
    claimed: int
    stale: bool = False

    @property
    def unknown(self) -> bool:
        """Whether the head does not know: the file was written into a pipe, or is too long for its head."""
        too_long = self.present - self.claimed >= UNKNOWN
        return self.present > 0 and (self.claimed == 0 or too_long or self.stale)

    @property
    def part(self) -> float:
        """Which part of what the head says is there, 0 to 1."""
        missing = self.present < self.claimed < PLACEHOLDER
        return self.present / self.claimed if missing else 1.0


def wav_data(file: BinaryIO, offset: int, size: int) -> WavData | None:
    """`offset`: where the WAV file begins; `size`: of the file. None: it is none."""
    file.seek(offset)
    head = file.read(WAV_HEAD_BYTES)
    if head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:12] != b"WAVE":
        return None
    at, long_size = 12, 0
    while at + 8 <= len(head):
        name, length = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        if name == b"ds64":
            long_size = int.from_bytes(head[at + 16 : at + 24], "little")
        if name == b"data":
            claimed = long_size if length == UNKNOWN and head[:4] != b"RIFF" else length
            present = max(0, size - offset - at - 8)
            stale = _is_stale(file, offset + at + 8 + claimed + claimed % 2, size)
            return WavData(present=present, claimed=claimed, stale=stale)
        at += 8 + length + length % 2
    return None


def _is_stale(file: BinaryIO, end: int, size: int) -> bool:
    """Whether something else than a chunk, a tag or another file follows the samples that the head announces."""
    rest = size - end
    if rest < REST_BYTES:
        return False
    file.seek(end)
    head = file.read(8)
    is_chunk = all(0x20 <= byte < 0x7F for byte in head[:4]) and int.from_bytes(head[4:], "little") <= rest
    return not is_chunk and head[:3] != b"ID3"


def counts_frames(head: bytes) -> bool:
    """Whether the first frame of an MP3 file says how many follow."""
    return head[:1] == b"\xff" and (b"Xing" in head[:64] or b"Info" in head[:64])


def length_patches(file: BinaryIO, offset: int, size: int) -> Mapping[int, bytes]:
    """Lengths to read in place of those that a program wrote that could not come back to fill them in.

    Of AU, AIFF and Wave64 files, by the offset in the file.
    """
    file.seek(offset)
    head = file.read(WAV_HEAD_BYTES)
    if head[:4] == b".snd" and head[8:12] == bytes(4):
        return {offset + 8: UNKNOWN.to_bytes(4, "big")}
    if head[:16] == W64_RIFF and (data := head.find(W64_DATA)) > 0:
        claimed = int.from_bytes(head[data + 16 : data + 24], "little")
        if 0 < claimed < LONG_PLACEHOLDER:
            return {}
        lengths = {16: size - offset, data + 16: size - offset - data}
        return {offset + at: length.to_bytes(8, "little") for at, length in lengths.items()}
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return {offset + at: patch for at, patch in _aiff_patches(head, size - offset).items()}
    return {}


def _aiff_patches(head: bytes, size: int) -> Mapping[int, bytes]:
    sound, common = head.find(b"SSND"), head.find(b"COMM")
    if min(sound, common) < 0 or any(head[sound + 4 : sound + 8]):
        return {}
    left = max(0, size - sound - 16)
    channels, bits = (
        int.from_bytes(head[common + 8 : common + 10], "big"),
        int.from_bytes(head[common + 14 : common + 16], "big"),
    )
    frames = left // max(1, channels * -(-bits // 8))
    lengths = {4: size - 8, sound + 4: left + 8, common + 10: frames}
    return {at: min(length, PLACEHOLDER).to_bytes(4, "big") for at, length in lengths.items()}
