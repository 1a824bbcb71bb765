"""The media child against real files: everything that plays is prepared, everything else is refused clearly."""

from __future__ import annotations

import random
import re
import socket
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_whisper.vad import get_speech_timestamps, get_vad_model
from media_files import (
    KINDS,
    RECORDINGS,
    Audio,
    Kind,
    Spoken,
    covered,
    media_child,
    recordings,
    samples,
    spoken,
    write,
    write_long_silence,
)
from numpy.typing import NDArray
from onnxruntime import InferenceSession

from scrivano.domain.errors import MediaError
from scrivano.domain.job import SAMPLE_RATE
from scrivano.media.child import BLOCK, Request, prepare
from scrivano.media.chunking import WINDOW, ChunkingOptions, SpanFinder
from scrivano.media.parallel_map import LEAD, ParallelMap
from scrivano.media.vad import Hear, SileroVad, loudness, model_path

DEADLINE_S = 20.0
HOUR = 3600


class Prepared:
    """What one preparation sent, and the audio that it left."""

    def __init__(self, sent: list[Mapping[str, Any]], target: Path) -> None:
        self.sent = sent
        self.target = target

    @property
    def pieces(self) -> list[list[int]]:
        return [piece for body in self.sent if body["type"] == "chunk" for piece in body["pieces"]]

    @property
    def end(self) -> Mapping[str, Any]:
        return self.sent[-1]

    @property
    def audio(self) -> Audio:
        return np.fromfile(self.target, "<i2")


def prepared(source: Path, *, max_audio_secs: float = 86400, hear: Hear | None = None) -> Prepared:
    """Run the whole preparation in this process, without its limits."""
    sent: list[Mapping[str, Any]] = []
    target = source.with_name("prepared.s16")
    request = Request(source=str(source), target=str(target), max_audio_secs=max_audio_secs)
    prepare(request, hear or SileroVad(model_path()), sent.append)
    return Prepared(sent, target)


def refused(source: Path, *, max_audio_secs: float = 86400) -> MediaError:
    with pytest.raises(MediaError) as caught:
        prepared(source, max_audio_secs=max_audio_secs)
    assert str(source.parent) not in str(caught.value)
    return caught.value


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def speech() -> Spoken:
    return spoken("en-exact-0")


@pytest.fixture(scope="module")
def audio(speech: Spoken) -> Audio:
    return samples(speech.path)


# --- all of it is speech, if so wished ---


def test_without_vad_all_audio_is_cut_into_windows(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(-900, 900, 70 * SAMPLE_RATE).astype(np.int16)
    quiet = np.zeros(len(noise), np.int16)
    noise[25 * SAMPLE_RATE : 25 * SAMPLE_RATE + 8000] //= 50

    for name, audio in (("noise", noise), ("silence", quiet)):
        (tmp_path / name).mkdir()
        whole = prepared(write(tmp_path / name / "a.wav", audio), hear=loudness)
        pieces = whole.pieces
        assert (pieces[0][0], pieces[-1][1]) == (0, len(audio))
        assert [end for _, end in pieces[:-1]] == [start for start, _ in pieces[1:]]
        assert max(end - start for start, end in pieces) <= 30 * SAMPLE_RATE
        assert whole.end["chunks"] == len(pieces) >= 3
        if name == "noise":
            assert 25 <= pieces[0][1] / SAMPLE_RATE <= 25.5, "cut where it is quietest"


def test_a_child_that_is_told_so_leaves_nothing_out(tmp_path: Path) -> None:
    source = write(tmp_path / "a.wav", np.zeros(SAMPLE_RATE, np.int16))

    with media_child() as child:
        child.request(source, tmp_path / "prepared.s16", vad=False)
        sent = child.rest()

    assert [body["pieces"] for body in sent if body["type"] == "chunk"] == [[[0, SAMPLE_RATE]]]


# --- speech is found ---


def hear(audio: Audio, block: int, vad: Hear | None = None) -> NDArray[np.float32]:
    """The probabilities of all of it, heard in blocks of so many windows."""
    blocks = (audio[at : at + block * WINDOW] for at in range(0, len(audio), block * WINDOW))
    return np.concatenate(list((vad or SileroVad(model_path()))(blocks)))


def test_the_streaming_vad_hears_what_the_whole_file_vad_hears(audio: Audio) -> None:
    whole = audio[: len(audio) // WINDOW * WINDOW]
    # faster-whisper blanks the end of the last window, hence one more.
    reference = get_vad_model()(np.pad(whole.astype(np.float32) / 32768, (0, WINDOW)))[:-1]

    heard = hear(whole, 7)

    np.testing.assert_allclose(heard, reference.reshape(-1), atol=1e-4)


def test_spans_are_those_of_the_reference_algorithm() -> None:
    audio = samples(spoken("en-it-mixed-0").path)
    audio = audio[: len(audio) // WINDOW * WINDOW]
    options = ChunkingOptions()
    reference = get_speech_timestamps(
        audio.astype(np.float32) / 32768,
        min_silence_duration_ms=options.min_silence_ms,
        min_speech_duration_ms=options.min_speech_ms,
        speech_pad_ms=0,
    )
    finder = SpanFinder(options)

    spans = [span for probability in hear(audio, len(audio) // WINDOW) if (span := finder.push(float(probability)))]

    assert [(span.start, span.end) for span in spans] == [(one["start"], one["end"]) for one in reference]


@pytest.mark.parametrize("block", [7, 64, 3000])
def test_speech_after_digital_silence_is_heard_as_if_it_came_first(block: int, audio: Audio) -> None:
    begun = audio[5000 : 5000 + 100 * WINDOW]
    whole = np.concatenate([begun, np.zeros(2000 * WINDOW, np.int16), begun])

    heard = hear(whole, block)

    assert not heard[133:2100].any()
    np.testing.assert_allclose(heard[2100:], heard[:100], atol=1e-4)


@pytest.mark.parametrize("lanes", [1, 3])
def test_lanes_hear_what_one_thread_hears_to_the_last_bit(lanes: int, audio: Audio) -> None:
    whole = np.concatenate([audio, np.zeros(3 * SAMPLE_RATE, np.int16), audio, audio])
    whole = whole[: len(whole) // WINDOW * WINDOW]

    with ParallelMap(lanes) as threads:
        heard = hear(whole, 16, partial(SileroVad(model_path()), spread=threads.map))

    np.testing.assert_array_equal(heard, hear(whole, 16))


def test_the_halves_of_the_network_hear_what_the_whole_one_hears(audio: Audio) -> None:
    windows = audio[: len(audio) // WINDOW * WINDOW].reshape(-1, WINDOW).astype(np.float32) / 32768
    before = np.pad(windows[:-1, -64:], ((1, 0), (0, 0)))
    state = np.zeros((1, 1, 128), np.float32)
    whole = InferenceSession(str(model_path()), providers=["CPUExecutionProvider"])

    heard = whole.run(None, {"input": np.hstack([before, windows]), "h": state, "c": state})[0]

    np.testing.assert_allclose(hear(audio[: windows.size], len(windows)), heard.reshape(-1), atol=1e-6)


@pytest.mark.parametrize("recording", recordings(), ids=lambda recording: recording.path.stem)
def test_chunks_hold_every_sentence_of_the_recordings(recording: Spoken, tmp_path: Path) -> None:
    source = tmp_path / "upload"
    source.symlink_to(recording.path)

    result = prepared(source)

    assert all(covered(start, end, result.pieces) for start, end in recording.sentences)
    assert bool(result.pieces) == bool(recording.sentences)


def test_noise_and_silence_give_nothing(tmp_path: Path) -> None:
    for name in ("noise-0", "silence-0"):
        source = tmp_path / name
        source.symlink_to(RECORDINGS / f"{name}.flac")
        assert prepared(source).end["chunks"] == 0


def test_the_same_file_gives_the_same_chunks(tmp_path: Path) -> None:
    source = tmp_path / "upload"
    source.symlink_to(spoken("en-it-mixed-0").path)

    with ParallelMap(1) as one, ParallelMap(3) as three:
        alone, *others = [
            prepared(source, hear=partial(SileroVad(model_path()), spread=spread)).sent
            for spread in (map, map, one.map, three.map)
        ]

    assert all(sent == alone for sent in others)


def test_the_first_chunk_is_sent_long_before_the_end(audio: Audio, tmp_path: Path) -> None:
    source = write(tmp_path / "long.wav", np.tile(audio, 25))
    target = tmp_path / "prepared.s16"
    decoded: list[float] = []

    def send(body: Mapping[str, Any]) -> None:
        if body["type"] == "chunk":
            decoded.append(target.stat().st_size / 2 / SAMPLE_RATE)

    with ParallelMap(3) as lanes:
        request = Request(source=str(source), target=str(target), max_audio_secs=86400)
        prepare(request, partial(SileroVad(model_path()), spread=lanes.map), send)

    assert len(audio) * 25 / SAMPLE_RATE > 170
    # A chunk, the speech that did not fit into it any more, and what is decoded ahead.
    assert decoded[0] <= 30 + 10 + (LEAD + 1) * BLOCK / SAMPLE_RATE


def test_an_error_in_a_lane_fails_the_preparation(audio: Audio, tmp_path: Path) -> None:
    def broken(block: Audio) -> NDArray[np.float32]:
        raise MemoryError("no room in the lane")

    with pytest.raises(MemoryError, match="no room in the lane"), ParallelMap(2) as lanes:
        prepared(write(tmp_path / "a.wav", audio), hear=lambda blocks: lanes.map(broken, blocks))


# --- every kind of file ---


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
    assert result.sent[0] == {"type": "probe", "duration": len(audio) / SAMPLE_RATE, "format": "wav"}


def test_a_second_attempt_overwrites_the_first_in_place(audio: Audio, tmp_path: Path) -> None:
    source = write(tmp_path / "speech.wav", np.concatenate([np.zeros(5 * SAMPLE_RATE, np.int16), audio]))
    target = tmp_path / "prepared.s16"
    target.write_bytes(b"\1" * 4 * SAMPLE_RATE * 30)
    before = target.stat().st_ino

    result = prepared(source)

    assert target.stat().st_ino == before
    np.testing.assert_array_equal(result.audio, samples(source))


def test_tags_that_are_not_utf8_are_no_obstacle(audio: Audio, tmp_path: Path) -> None:
    source = write(tmp_path / "speech.mp3", audio, Kind(codec="libmp3lame", tags={"title": "MARKMARK"}))
    source.write_bytes(source.read_bytes().replace(b"MARKMARK", b"\xe9\xff\xfe\x80\xe9\xff\xfe\x80"))

    assert prepared(source).end["chunks"] == 1


# --- the file's clock ---


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


# --- what is damaged ---


def test_of_a_truncated_file_the_rest_is_prepared(audio: Audio, tmp_path: Path) -> None:
    for suffix, codec in (("flac", "flac"), ("mp3", "libmp3lame"), ("wav", "pcm_s16le"), ("mkv", "pcm_s16le")):
        source = write(tmp_path / f"cut.{suffix}", audio, Kind(codec=codec))
        source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])

        assert prepared(source).end["duration"] == pytest.approx(len(audio) / SAMPLE_RATE / 2, rel=0.2)


def test_damage_in_the_middle_costs_only_itself(audio: Audio, tmp_path: Path) -> None:
    source = write(tmp_path / "damaged.mp3", audio, Kind(codec="libmp3lame"))
    data = bytearray(source.read_bytes())
    data[10_000:12_000] = random.Random(1).randbytes(2000)
    source.write_bytes(data)

    result = prepared(source)

    assert result.end["duration"] == pytest.approx(len(audio) / SAMPLE_RATE, abs=1.5)
    assert result.end["chunks"] == 1


def test_sound_that_is_nothing_but_damage_is_refused(audio: Audio, tmp_path: Path) -> None:
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


# --- what is refused ---

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
def test_what_is_no_recording_is_refused_without_reading_anything_else(
    name: str, suffix: str, audio: Audio, tmp_path: Path
) -> None:
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


@pytest.mark.parametrize(("channels", "readable"), [(3, True), (16, True), (32, False)])
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
        assert "32 channels" in str(refused(source))


def test_a_file_without_sound_is_told_so(tmp_path: Path) -> None:
    for name, kind in (("video.mp4", Kind(picture=True)), ("video.mkv", Kind(picture=True))):
        error = refused(write(tmp_path / name, None, kind))

        assert error.code == "no_audio"
        assert str(error) == "the file has no audio stream; submit a file with sound"


def test_a_recording_beyond_the_limit_is_refused(audio: Audio, tmp_path: Path) -> None:
    error = refused(write(tmp_path / "long.wav", audio), max_audio_secs=5)

    assert error.code == "too_long"
    assert "MAX_AUDIO_SECS" in str(error)


def test_a_recording_just_within_the_limit_is_prepared(audio: Audio, tmp_path: Path) -> None:
    source = write(tmp_path / "long.wav", audio)

    assert prepared(source, max_audio_secs=len(audio) / SAMPLE_RATE).end["type"] == "end"


def test_silence_before_the_audio_counts_towards_the_limit(audio: Audio, tmp_path: Path) -> None:
    source = write(tmp_path / "late.mkv", audio, Kind(codec="libmp3lame", picture=True, late_s=3.0))

    assert refused(source, max_audio_secs=9).code == "too_long"


# --- the child, through its pipes ---


def test_the_child_streams_chunks_whose_audio_is_there(audio: Audio, tmp_path: Path) -> None:
    source = write(tmp_path / "long.flac", np.tile(audio, 30), Kind(codec="flac"))
    target = tmp_path / "prepared.s16"
    types = []
    with media_child() as child:
        child.request(source, target, memory_bytes=400_000_000, cpu_secs=60)
        while (body := child.next())["type"] != "end":
            types.append(body["type"])
            if body["type"] == "chunk":
                assert target.stat().st_size >= body["pieces"][-1][1] * 2
        assert child.process.wait(DEADLINE_S) == 0

    assert types[0] == "probe"
    assert types.index("chunk") <= 3
    assert types.count("progress") >= len(audio) * 30 / SAMPLE_RATE // 60
    assert body["chunks"] == types.count("chunk")


def test_the_child_answers_an_error_and_ends_in_order(tmp_path: Path) -> None:
    source = tmp_path / "text.mp3"
    source.write_text("not a recording")
    with media_child() as child:
        child.request(source, tmp_path / "prepared.s16")

        assert [body["code"] for body in child.rest()] == ["not_media"]
        assert child.process.wait(DEADLINE_S) == 0


def test_a_spare_child_ends_when_it_is_not_needed() -> None:
    with media_child() as child:
        assert child.process.stdin is not None
        child.process.stdin.close()

        assert child.rest() == []
        assert child.process.wait(DEADLINE_S) == 0
        child.process.stdin = None


def test_a_working_child_ends_with_its_server(tmp_path: Path) -> None:
    with media_child() as child:
        child.request(write_long_silence(tmp_path / "day.wav", 20 * HOUR), tmp_path / "prepared.s16")
        assert child.next()["type"] == "probe"
        assert child.process.stdin is not None
        child.process.stdin.close()

        assert child.process.wait(DEADLINE_S) == 1
        child.process.stdin = None


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG")
def test_a_child_is_killed_with_a_server_that_is_killed() -> None:
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'scrivano.media.child'], stdin=0, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    server = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with server:
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        server.kill()

        # The child's stdin is still open here: only the signal can have ended it.
        until(lambda: _is_gone(pid))


def _is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def test_cpu_time_is_limited(tmp_path: Path) -> None:
    with media_child() as child:
        child.request(write_long_silence(tmp_path / "day.wav", 20 * HOUR), tmp_path / "prepared.s16", cpu_secs=1)

        last = child.rest()[-1]
        assert (last["type"], last["code"]) == ("error", "media_timeout")
        assert child.process.wait(DEADLINE_S) == 0


def test_memory_is_limited(audio: Audio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What glibc kept of freed memory would otherwise be enough for a short file.
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "65536")
    with media_child() as child:
        child.request(write(tmp_path / "a.wav", audio), tmp_path / "prepared.s16", memory_bytes=1_000_000)

        # With so little left it may not even be able to say so; the server takes its death for the same.
        *_, last = child.rest() or [{"type": "error", "code": "media_crashed"}]
        assert (last["type"], last.get("code")) == ("error", "media_crashed")
        child.process.wait(DEADLINE_S)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_the_other_limits_are_set(tmp_path: Path) -> None:
    with media_child() as child:
        source = write_long_silence(tmp_path / "day.wav", 20 * HOUR)
        child.request(source, tmp_path / "prepared.s16", max_audio_secs=100_000, memory_bytes=500_000_000, cpu_secs=60)
        assert child.next()["type"] == "probe"
        limits = Path(f"/proc/{child.process.pid}/limits").read_text()

    values = {line[:26].strip(): line[26:].split()[:2] for line in limits.splitlines()}
    assert values["Max core file size"] == ["0", "0"]
    assert values["Max open files"] == ["16", "16"]
    assert values["Max data size"] == ["500000000", "500000000"]
    assert int(values["Max file size"][0]) < 3_300_000_000
    assert int(values["Max cpu time"][1]) <= 70


def _peak_kb(pid: int) -> int:
    """Not `ru_maxrss`: that begins with what the parent had when it started the child."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0])


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_memory_stays_flat_over_hours(tmp_path: Path) -> None:
    source = write_long_silence(tmp_path / "hours.wav", 3 * HOUR)
    peak_kb = 0
    with media_child() as child:
        child.request(source, tmp_path / "t", max_audio_secs=86400, memory_bytes=300_000_000)
        while (last := child.next())["type"] not in ("end", "error"):
            peak_kb = _peak_kb(child.process.pid)

    assert last == {"type": "end", "duration": 3.0 * HOUR, "chunks": 0}
    assert 0 < peak_kb * 1024 < 300_000_000
    assert (tmp_path / "t").stat().st_blocks * 512 < 1_000_000
