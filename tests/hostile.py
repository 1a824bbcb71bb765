"""Malicious files, built on demand. They try to read a secret file, or to connect to a socket."""

from __future__ import annotations

import gzip
import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from media_files import KINDS, Audio, Kind, write

from scrivano.domain.chunk import SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Trap:
    """The targets that no upload may reach: a recording on the server's disk, and an address."""

    secret: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/x"


def hostile_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The file name and the bytes of each."""
    yield from _absurd_headers()
    yield from _bombs(folder)
    yield from _structures()


def spoiled_files(
    audio: Audio, folder: Path, suffixes: Iterable[str], places: int, seed: int
) -> Iterator[tuple[str, bytes]]:
    """Recordings of these kinds: each truncated at several places, and with random bytes at the start as often."""
    lot = random.Random(seed)
    for suffix in suffixes:
        whole = write(folder / f"whole.{suffix}", audio, KINDS[suffix]).read_bytes()
        head = min(len(whole), 2000)
        for number in range(places):
            # Half of the cuts are in the headers.
            cut = lot.randrange(1, head if number % 2 else len(whole))
            yield f"cut-{cut}.{suffix}", whole[:cut]
            damaged = bytearray(whole)
            for _ in range(lot.randrange(1, 20)):
                damaged[lot.randrange(head)] = lot.randrange(256)
            yield f"damaged-{number}.{suffix}", bytes(damaged)


# Files that refer to other files or addresses


def references(trap: Trap) -> Iterator[tuple[str, bytes]]:
    secret, url = trap.secret, trap.url
    for name, target in {
        "file": f"file://{secret}",
        "path": str(secret),
        "http": url,
        "up": f"../{secret.name}",
    }.items():
        yield f"{name}.m3u8", _playlist(target)
        yield f"{name}.mpd", _dash(target)
        yield f"{name}.ffconcat", f"ffconcat version 1.0\nfile '{target}'\n".encode()
        yield f"{name}.m3u", f"#EXTM3U\n#EXTINF:9,\n{target}\n".encode()
        yield f"{name}.pls", f"[playlist]\nFile1={target}\nNumberOfEntries=1\n".encode()
        yield f"{name}.asx", f'<asx version="3.0"><entry><ref href="{target}"/></entry></asx>'.encode()
        yield f"{name}.smil", f'<smil><body><audio src="{target}"/></body></smil>'.encode()
        yield f"{name}.url", f"[InternetShortcut]\nURL={target}\n".encode()
        yield f"{name}.txt", target.encode()
        yield f"{name}.mov", _referring_mov(target)
    yield "data.m3u8", _playlist("data:audio/wav;base64,UklGRiQAAABXQVZFZm10IA==")
    yield "concat-protocol.m3u8", _playlist(f"concat:{secret}|{secret}")
    yield "subfile.m3u8", _playlist(f"subfile,,start,0,end,9999,,:{secret}")
    yield "crypto.m3u8", _playlist(f"crypto:{secret}")
    yield "key.m3u8", _playlist("a.ts").replace(b"#EXTINF", f'#EXT-X-KEY:METHOD=AES-128,URI="{url}"\n#EXTINF'.encode())
    yield "map.m3u8", _playlist("a.mp4").replace(b"#EXTINF", f'#EXT-X-MAP:URI="{url}"\n#EXTINF'.encode())
    yield "hidden-by-tag.mp3", _id3(b"") + _playlist(url)
    yield "hidden-by-wav.wav", b"RIFF\xff\xff\xff\x7fWAVELIST\x08\x00\x00\x00abcdefgh" + _playlist(url)
    yield "gab2.avi", _avi_with_playlist(url)
    sdp = f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {trap.port} RTP/AVP 0\n"
    yield "x.sdp", sdp.encode()
    yield "x.rtsp", f"rtsptext\nrtsp://127.0.0.1:{trap.port}/x\n".encode()
    yield "x.svg", f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}"/></svg>'.encode()
    entity = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file://{secret}">]>'
    yield "entity.mpd", entity.encode() + _dash("&b;")


def _playlist(target: str) -> bytes:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n".encode()


def _dash(target: str) -> bytes:
    return f"""<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"
        mediaPresentationDuration="PT9S"><Period><AdaptationSet mimeType="audio/mp4"><Representation id="1"
        bandwidth="1"><BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>""".encode()


def _referring_mov(target: str) -> bytes:
    """Its audio is in another file, by a QuickTime reference."""
    dref = _atom(b"dref", struct.pack(">II", 0, 1) + _atom(b"url ", b"\0\0\0\0" + target.encode() + b"\0"))
    return _mov(dref=dref, samples=1000)


def _avi_with_playlist(url: str) -> bytes:
    """FFmpeg treats this packet as a subtitle file; old versions opened the file that it names."""
    text = _playlist(url)
    gab2 = b"GAB2\0\2\0" + struct.pack("<I", 2) + b"a\0" + struct.pack("<HI", 4, len(text)) + text
    strh = b"vidsGAB2" + struct.pack("<IHHIIIIIIIIHHHH", 0, 0, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0)
    strf = struct.pack("<IiiHHIIiiII", 40, 16, 16, 1, 24, 0, 0, 0, 0, 0, 0)
    avih = struct.pack("<14I", 1, 0, 0, 0, 1, 0, 1, 0, 16, 16, 0, 0, 0, 0)
    header = _chunk(
        b"LIST",
        b"hdrl" + _chunk(b"avih", avih) + _chunk(b"LIST", b"strl" + _chunk(b"strh", strh) + _chunk(b"strf", strf)),
    )
    return _chunk(b"RIFF", b"AVI " + header + _chunk(b"LIST", b"movi" + _chunk(b"00tx", gab2)))


# Wrong headers


def _absurd_headers() -> Iterator[tuple[str, bytes]]:
    most = 0xFFFFFFFF
    for name, fields in {
        "rate-0": {"rate": 0},
        "rate-most": {"rate": most},
        "channels-0": {"channels": 0},
        "channels-most": {"channels": 65535},
        "bits-0": {"bits": 0},
        "bits-most": {"bits": 65535},
        "align-0": {"align": 0},
        "length-most": {"length": most},
        "tag-most": {"tag": 65535},
    }.items():
        yield f"{name}.wav", _wav(**fields)
    yield "fmt-most.wav", b"RIFF\xff\xff\xff\xffWAVEfmt \xff\xff\xff\xff" + bytes(1000)
    yield "list-most.wav", _wav()[:12] + b"LIST\xff\xff\xff\xff" + _wav()[12:]
    yield "chunks.wav", _wav()[:12] + _chunk(b"junk", b"") * 50_000 + _wav()[12:]
    info = struct.pack(">HH", 16, 65535) + bytes(6) + b"\xff" * 8 + bytes(16)
    yield "samples-most.flac", b"fLaC\x80\x00\x00\x22" + info + bytes(5000)
    yield "block-most.flac", b"fLaC\x84\xff\xff\xff" + bytes(5000)
    yield "rate-most.au", b".snd" + struct.pack(">IIIII", 24, most, 3, most, most) + bytes(5000)
    yield "head-most.au", b".snd" + struct.pack(">IIIII", most, most, 3, 8000, 1) + bytes(5000)
    common = struct.pack(">hIh", 1, most, 16)
    for name, rate in {"nan": b"\x7f\xff" + b"\xff" * 8, "huge": b"\x7f\xfe" + b"\xff" * 8, "zero": bytes(10)}.items():
        form = (
            b"AIFF" + b"COMM" + struct.pack(">I", 18) + common + rate + b"SSND" + struct.pack(">I", most) + bytes(3000)
        )
        yield f"rate-{name}.aiff", b"FORM" + struct.pack(">I", len(form)) + form
    desc = struct.pack(">d4sIIIII", float("inf"), b"lpcm", 0, most, most, most, most)
    yield (
        "rate-inf.caf",
        b"caff\0\1\0\0desc" + struct.pack(">q", 32) + desc + b"data" + struct.pack(">q", -1) + bytes(3000),
    )
    yield "size-negative.caf", b"caff\0\1\0\0desc" + struct.pack(">q", -32) + desc
    page = struct.pack("<4sBBqIIIB", b"OggS", 0, 2, 2**63 - 1, 1, 0, 0, 1) + b"\x13"
    yield "granule-most.ogg", page + b"OpusHead\x01\xff" + struct.pack("<HIhB", 65535, most, -32768, 255)
    yield "tag-most.mp3", b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + bytes(2000)
    yield "long.mp4", _mov(duration=2**32 - 1, timescale=1, samples=100)
    yield "timescale-0.mp4", _mov(duration=2**32 - 1, timescale=0, samples=100)
    yield "samples-most.mp4", _mov(samples=most)
    yield "atom-most.mp4", _atom(b"ftyp", b"isom\0\0\0\0") + b"\0\0\0\x01moov" + b"\x7f" + b"\xff" * 7 + bytes(3000)
    yield "atom-0.mp4", _atom(b"ftyp", b"isom\0\0\0\0") + b"\0\0\0\0moov" + bytes(3000)
    yield "duration.mkv", _mkv(tracks=1, duration=1e300)
    yield "element-most.mkv", _ebml(0x1A45DFA3, b"") + b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xfe" + bytes(2000)


def _wav(
    *, rate: int = 16000, channels: int = 1, bits: int = 16, align: int = 2, length: int = 4000, tag: int = 1
) -> bytes:
    format = struct.pack("<HHIIHH", tag, channels, rate, 32000, align, bits)
    data = b"data" + struct.pack("<I", length) + bytes(4000)
    return b"RIFF" + struct.pack("<I", 4036) + b"WAVE" + _chunk(b"fmt ", format) + data


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


# Decompression bombs


def _bombs(folder: Path) -> Iterator[tuple[str, bytes]]:
    hour = np.zeros(3600 * SAMPLE_RATE, np.int16)
    yield "hour-of-silence.flac", write(folder / "bomb.flac", hour, Kind(codec="flac")).read_bytes()
    zeros = bytes(64 * 1024 * 1024)
    yield "bomb.wav.gz", gzip.compress(zeros, 9)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.wav", zeros)
    yield "bomb.zip", packed.getvalue()
    yield "bomb.mp3", _id3(zlib.compress(zeros, 9))
    # A compressed QuickTime header that claims to be 4 GB.
    dcom = _atom(b"dcom", b"zlib")
    for name, claimed in {"bomb": len(zeros), "claims": 0xFFFFFFF0}.items():
        cmvd = _atom(b"cmvd", struct.pack(">I", claimed) + zlib.compress(zeros, 9))
        yield f"{name}.mov", _atom(b"moov", _atom(b"cmov", dcom + cmvd)) + bytes(1000)
    yield "bomb.mkv", _mkv(tracks=1, packed=zlib.compress(zeros, 9))


def _id3(packed: bytes) -> bytes:
    """A tag with a compressed frame that claims to be two gigabytes."""
    frame = b"TIT2" + struct.pack(">IH", len(packed) + 4, 0x0080) + struct.pack(">I", 0x7FFFFFFF) + packed
    size = len(frame)
    digits = bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\x00\x00" + digits + frame


# Deep nesting and large numbers


def _structures() -> Iterator[tuple[str, bytes]]:
    yield "streams.mkv", _mkv(tracks=10_000)
    yield "streams.mp4", _mov(samples=10, tracks=10_000)
    deep = b""
    for _ in range(10_000):
        deep = _atom(b"moov", deep)
    yield "deep.mp4", _atom(b"ftyp", b"isom\0\0\0\0") + deep
    nested = b""
    for _ in range(5_000):
        nested = _ebml(0x1549A966, nested)
    yield "deep.mkv", _ebml(0x1A45DFA3, b"") + _ebml(0x18538067, nested)
    yield "tags.mkv", _ebml(0x1A45DFA3, b"") + _ebml(0x18538067, _ebml(0x1254C367, _ebml(0x7373, b"") * 100_000))
    yield "polyglot.wav", _wav() + b"%PDF-1.4\n<script>alert(1)</script>" + b"PK\x05\x06" + bytes(18)
    yield "frames.mp3", b"\xff\xfb\x90\x00" * 50_000
    yield "nothing.wav", bytes(100_000)
    yield "noise.mp3", random.Random(1).randbytes(100_000)


def _atom(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", 8 + len(data)) + name + data


def _mov(
    *, dref: bytes | None = None, samples: int, duration: int = 1000, timescale: int = 16000, tracks: int = 1
) -> bytes:
    if dref is None:
        dref = _atom(b"dref", struct.pack(">II", 0, 1) + _atom(b"url ", b"\0\0\0\1"))
    entry = _atom(b"sowt", bytes(6) + struct.pack(">HHHIHHHHI", 1, 0, 0, 0, 1, 16, 0, 0, 16000 << 16))
    table = (
        _atom(b"stsd", struct.pack(">II", 0, 1) + entry)
        + _atom(b"stts", struct.pack(">IIII", 0, 1, samples, 1))
        + _atom(b"stsc", struct.pack(">IIIII", 0, 1, 1, samples, 1))
        + _atom(b"stsz", struct.pack(">III", 0, 2, samples))
        + _atom(b"stco", struct.pack(">III", 0, 1, 40))
    )
    minf = _atom(b"smhd", bytes(8)) + _atom(b"dinf", dref) + _atom(b"stbl", table)
    mdhd = _atom(b"mdhd", struct.pack(">IIIIIHH", 0, 0, 0, timescale, duration, 0, 0))
    hdlr = _atom(b"hdlr", b"\0\0\0\0mhlrsoun" + bytes(13))
    tkhd = _atom(b"tkhd", struct.pack(">IIIII", 1, 0, 0, 1, 0) + struct.pack(">I", duration) + bytes(60))
    trak = _atom(b"trak", tkhd + _atom(b"mdia", mdhd + hdlr + _atom(b"minf", minf)))
    mvhd = _atom(b"mvhd", struct.pack(">IIIII", 0, 0, 0, timescale, duration) + bytes(80))
    head = _atom(b"ftyp", b"qt  \0\0\0\0") + _atom(b"mdat", bytes(4000))
    return head + _atom(b"moov", mvhd + trak * tracks)


def _ebml(id: int, data: bytes) -> bytes:
    name = id.to_bytes((id.bit_length() + 7) // 8, "big")
    return name + (len(data) | 1 << 56).to_bytes(8, "big") + data


def _mkv(*, tracks: int, duration: float = 1000.0, packed: bytes | None = None) -> bytes:
    sound = _ebml(0xE1, _ebml(0xB5, struct.pack(">d", 16000.0)) + _ebml(0x9F, b"\1") + _ebml(0x6264, b"\x10"))
    packing = b""
    if packed is not None:
        scheme = _ebml(0x5034, _ebml(0x4254, b"\0"))
        packing = _ebml(0x6D80, _ebml(0x6240, scheme))
    entries = b"".join(
        _ebml(
            0xAE,
            _ebml(0xD7, number.to_bytes(2, "big"))
            + _ebml(0x73C5, number.to_bytes(2, "big"))
            + _ebml(0x83, b"\2")
            + _ebml(0x86, b"A_PCM/INT/LIT")
            + sound
            + packing,
        )
        for number in range(1, tracks + 1)
    )
    info = _ebml(
        0x1549A966, _ebml(0x2AD7B1, (1_000_000).to_bytes(4, "big")) + _ebml(0x4489, struct.pack(">d", duration))
    )
    block = _ebml(0xA3, b"\x81\0\0\x80" + (packed or bytes(3200)))
    cluster = _ebml(0x1F43B675, _ebml(0xE7, b"\0") + block)
    header = _ebml(0x1A45DFA3, _ebml(0x4282, b"matroska"))
    return header + _ebml(0x18538067, info + _ebml(0x1654AE6B, entries) + cluster)
