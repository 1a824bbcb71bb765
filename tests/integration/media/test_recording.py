"""Real files: everything that plays is decoded, everything else is refused with a clear message."""

from __future__ import annotations

import random
import socket
import wave
from pathlib import Path

import numpy as np
import pytest
from media_files import KINDS, Audio, Kind, Spoken, covered, prepared, refused, write, write_long_silence

from scrivano.domain.chunk import SAMPLE_RATE


@pytest.mark.parametrize("suffix", KINDS)
def test_a_recording_of_any_kind_is_prepared(suffix: str, speech: Spoken, audio: Audio, tmp_path: Path) -> None:
    source = write(tmp_path / f"speech.{suffix}", audio, KINDS[suffix]).rename(tmp_path / "upload")

    result = prepared(source)

    assert result.end["duration"] == pytest.approx(len(audio) / SAMPLE_RATE, abs=0.15)
    assert result.end["chunks"] == 1
    assert len(result.audio) == round(result.end["duration"] * SAMPLE_RATE)
    assert all(covered(start, end, result.pieces) for start, end in speech.sentences)


def test_the_prepared_audio_is_the_recording(audio: Audio, tmp_path: Path) -> None:
    result = prepared(write(tmp_path / "speech.wav", audio))

    np.testing.assert_array_equal(result.audio, audio)
    assert result.sent[0] == {"type": "probe", "duration": len(audio) / SAMPLE_RATE, "sides": 1}


def test_tags_may_be_other_than_utf8(audio: Audio, tmp_path: Path) -> None:
    source = write(tmp_path / "speech.mp3", audio, Kind(codec="libmp3lame", tags={"title": "MARKMARK"}))
    source.write_bytes(source.read_bytes().replace(b"MARKMARK", b"\xe9\xff\xfe\x80\xe9\xff\xfe\x80"))

    assert prepared(source).end["chunks"] == 1


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mkv", "libmp3lame"), ("mp4", "aac"), ("ts", "mp2"), ("mov", "pcm_s16le")]
)
def test_audio_that_starts_late_has_silence_before_it(
    suffix: str, codec: str, speech: Spoken, audio: Audio, tmp_path: Path
) -> None:
    source = write(tmp_path / f"late.{suffix}", audio, Kind(codec=codec, picture=True, late_s=3.0))

    result = prepared(source)

    assert result.end["duration"] == pytest.approx(3 + len(audio) / SAMPLE_RATE, abs=0.15)
    assert not result.audio[: round(2.9 * SAMPLE_RATE)].any()
    assert all(covered(start + 3, end + 3, result.pieces) for start, end in speech.sentences)


def test_a_hole_in_the_recording_stays_a_hole(speech: Spoken, audio: Audio, tmp_path: Path) -> None:
    source = write(tmp_path / "hole.mkv", audio, Kind(codec="libopus", rate=48000, gap=(3.2, 60.0)))

    result = prepared(source)

    (before, after) = speech.sentences
    assert covered(*before, result.pieces)
    assert covered(after[0] + 60, after[1] + 60, result.pieces)
    assert result.end["chunks"] == 1


def test_recordings_that_were_joined_follow_each_other(audio: Audio, tmp_path: Path) -> None:
    one = write(tmp_path / "one.opus", audio, Kind(codec="libopus", rate=48000))
    both = tmp_path / "both"
    both.write_bytes(one.read_bytes() * 2)

    assert prepared(both).end["duration"] == pytest.approx(2 * len(audio) / SAMPLE_RATE, abs=0.15)


def test_a_truncated_file_is_prepared_up_to_its_end(audio: Audio, tmp_path: Path) -> None:
    for suffix, codec in (("flac", "flac"), ("mp3", "libmp3lame"), ("wav", "pcm_s16le"), ("mkv", "pcm_s16le")):
        source = write(tmp_path / f"cut.{suffix}", audio, Kind(codec=codec))
        source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])

        assert prepared(source).end["duration"] == pytest.approx(len(audio) / SAMPLE_RATE / 2, rel=0.2)


def test_only_the_damaged_part_of_a_recording_is_lost(audio: Audio, tmp_path: Path) -> None:
    source = write(tmp_path / "damaged.mp3", audio, Kind(codec="libmp3lame"))
    data = bytearray(source.read_bytes())
    data[10_000:12_000] = random.Random(1).randbytes(2000)
    source.write_bytes(data)

    result = prepared(source)

    assert result.end["duration"] == pytest.approx(len(audio) / SAMPLE_RATE, abs=1.5)
    assert result.end["chunks"] == 1


def test_a_recording_with_nothing_but_damage_is_refused(audio: Audio, tmp_path: Path) -> None:
    source = write(tmp_path / "locked.m4a", audio, Kind(codec="aac"))
    data = source.read_bytes()
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    source.write_bytes(data[:start] + b"\xff" * (end - start) + data[end:])

    error = refused(source)

    assert error.code == "not_media"
    assert "damaged or copy-protected" in str(error)


def test_a_recording_of_length_zero_is_an_empty_transcript(tmp_path: Path) -> None:
    result = prepared(write_long_silence(tmp_path / "zero.wav", 0))

    assert result.end == {"type": "end", "duration": 0.0, "chunks": 0}
    assert result.target.stat().st_size == 0


NOT_MEDIA = {
    "empty": b"",
    "text": b"this is not a recording\n" * 1000,
    "noise": random.Random(1).randbytes(100_000),
    "concat": b"ffconcat version 1.0\nfile '%(secret)s'\n",
    "bare-concat": b"file '%(secret)s'\n",
    "m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n%(url)s\n#EXT-X-ENDLIST\n",
    "m3u8-file": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://%(secret)s\n#EXT-X-ENDLIST\n",
    "m3u8-data": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\ndata:audio/wav;base64,UklGRg==\n#EXT-X-ENDLIST\n",
    "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio %(port)s RTP/AVP 0\n",
    "mpd": b"""<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"
        mediaPresentationDuration="PT9S"><Period><AdaptationSet mimeType="audio/mp4"><Representation id="1"
        bandwidth="1"><BaseURL>%(url)s</BaseURL></Representation></AdaptationSet></Period></MPD>""",
    "pls": b"[playlist]\nFile1=%(url)s\nNumberOfEntries=1\n",
    "rtsp": b"rtsptext rtsp://127.0.0.1:%(port)s/x\n",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="%(url)s"/></svg>',
}


@pytest.mark.parametrize("suffix", ["", ".mp3", ".m3u8", ".sdp"])
@pytest.mark.parametrize("name", NOT_MEDIA)
def test_other_files_are_refused_and_nothing_else_is_read(name: str, suffix: str, audio: Audio, tmp_path: Path) -> None:
    secret = write(tmp_path / "secret.wav", audio)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        fields = {b"secret": str(secret).encode(), b"url": b"http://127.0.0.1:%d/x" % port, b"port": b"%d" % port}
        source = tmp_path / f"upload{suffix}"
        body = NOT_MEDIA[name]
        source.write_bytes(body if name == "noise" else body % fields)

        error = refused(source)

        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert error.code == "not_media"
    assert "submit a WAV" in str(error)


@pytest.mark.parametrize(("channels", "readable"), [(3, True), (16, True), (64, True), (65, False)])
def test_many_channels_are_mixed_or_refused(channels: int, readable: bool, audio: Audio, tmp_path: Path) -> None:
    source = tmp_path / "many.wav"
    with wave.open(str(source), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.repeat(audio[:, None], channels, axis=1).tobytes())

    if readable:
        assert prepared(source).end["chunks"] == 1
    else:
        assert "65 channels" in str(refused(source))


def test_a_file_without_sound_is_refused(tmp_path: Path) -> None:
    for name, kind in (("video.mp4", Kind(picture=True)), ("video.mkv", Kind(picture=True))):
        error = refused(write(tmp_path / name, None, kind))

        assert error.code == "no_audio"
        assert str(error) == "the file has no audio stream; submit a file with sound"
