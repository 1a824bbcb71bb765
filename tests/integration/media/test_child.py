"""The media child: the whole preparation in this process, and a real child through its pipes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from media_files import (
    RECORDINGS,
    Audio,
    Kind,
    Spoken,
    covered,
    media_child,
    prepared,
    recordings,
    refused,
    samples,
    spoken,
    write,
    write_long_silence,
)
from numpy.typing import NDArray

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.media.child import prepare
from scrivano.media.parallel_map import LEAD, ParallelMap
from scrivano.media.recording import BLOCK
from scrivano.media.silero_vad import SileroVad
from scrivano.processes.messages import ChunkCut, MediaMessage, Prepare, encoder

DEADLINE_S = 60.0
HOUR = 3600


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("recording", recordings(), ids=lambda recording: recording.path.stem)
def test_chunks_hold_every_sentence_of_the_recordings(recording: Spoken, tmp_path: Path) -> None:
    source = tmp_path / "upload"
    source.symlink_to(recording.path)

    result = prepared(source)

    assert all(covered(start, end, result.pieces) for start, end in recording.sentences)
    assert bool(result.pieces) == bool(recording.sentences)


def test_somebody_far_away_is_heard_beside_somebody_near(tmp_path: Path) -> None:
    """40 dB quieter, and 3 dB above the noise."""
    near = samples(RECORDINGS / "en-exact-0.flac").astype(np.float64)
    both = np.concatenate([near, near * 0.01, near])
    noise = np.random.default_rng(1).standard_normal(len(both)) * 16
    source = write(tmp_path / "meeting.wav", np.rint(both + noise).clip(-32768, 32767).astype(np.int16))

    pieces = prepared(source).pieces

    for start, end in spoken("en-exact-0").sentences:
        assert all(covered(start + at, end + at, pieces) for at in np.arange(3) * len(near) / SAMPLE_RATE)


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
            prepared(source, detector=partial(SileroVad(), map_function=spread)).sent
            for spread in (map, map, one.map, three.map)
        ]

    assert all(sent == alone for sent in others)


def test_the_first_chunk_is_sent_long_before_the_end(audio: Audio, tmp_path: Path) -> None:
    source = write(tmp_path / "long.wav", np.tile(audio, 25))
    target = tmp_path / "prepared.s16"
    decoded: list[float] = []

    def send(message: MediaMessage) -> None:
        if isinstance(message, ChunkCut):
            decoded.append(target.stat().st_size / 2 / SAMPLE_RATE)

    with ParallelMap(3) as threads:
        request = Prepare(source=str(source), target=str(target), max_audio_s=86400)
        prepare(request, partial(SileroVad(), map_function=threads.map), send)

    assert len(audio) * 25 / SAMPLE_RATE > 170
    # A chunk, the speech that did not fit into it any more, and what is decoded ahead.
    assert decoded[0] <= 30 + 10 + (LEAD + 1) * BLOCK / SAMPLE_RATE


def test_an_error_in_another_thread_fails_the_preparation(audio: Audio, tmp_path: Path) -> None:
    def broken(block: Audio) -> NDArray[np.float32]:
        raise MemoryError("out of memory in a thread")

    with pytest.raises(MemoryError, match="out of memory in a thread"), ParallelMap(2) as threads:
        prepared(write(tmp_path / "a.wav", audio), detector=lambda blocks: threads.map(broken, blocks))


def test_a_child_without_speech_detection_leaves_nothing_out(tmp_path: Path) -> None:
    source = write(tmp_path / "a.wav", np.zeros(SAMPLE_RATE, np.int16))

    with media_child() as child:
        child.request(source, tmp_path / "prepared.s16", vad=False)
        sent = child.rest()

    assert [(body["pieces"], body["speech"]) for body in sent if body["type"] == "chunk"] == [([[0, SAMPLE_RATE]], [])]


def test_speech_is_told_apart_with_and_without_speech_detection(audio: Audio, tmp_path: Path) -> None:
    pause = np.zeros(4 * SAMPLE_RATE, np.int16)
    source = write(tmp_path / "a.wav", np.concatenate([pause, audio, pause]))

    with media_child() as child:
        child.request(source, tmp_path / "prepared.s16")
        detected = child.rest()
    with media_child() as child:
        child.request(source, tmp_path / "prepared.s16", vad=False)
        whole = child.rest()

    spans = [
        [span for body in sent if body["type"] == "chunk" for span in body["speech"]] for sent in (detected, whole)
    ]
    assert spans[0] == spans[1]
    assert 4 * SAMPLE_RATE <= spans[0][0][0] < spans[0][-1][1] <= 4 * SAMPLE_RATE + len(audio)


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


def test_the_child_streams_chunks_whose_audio_is_there(audio: Audio, tmp_path: Path) -> None:
    source = write(tmp_path / "long.flac", np.tile(audio, 30), Kind(codec="flac"))
    target = tmp_path / "prepared.s16"
    types = []
    with media_child() as child:
        child.request(source, target, memory_bytes=400_000_000, cpu_s=60)
        while (body := child.next())["type"] != "end":
            types.append(body["type"])
            if body["type"] == "chunk":
                assert target.stat().st_size >= body["pieces"][-1][1] * 2
        assert child.process.wait(DEADLINE_S) == 0

    assert types[0] == "probe"
    assert types.index("chunk") <= 3
    assert types.count("progress") >= len(audio) * 30 / SAMPLE_RATE // 60
    assert body["chunks"] == types.count("chunk")


def test_the_child_sends_an_error_and_exits_with_0(tmp_path: Path) -> None:
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
def test_a_child_is_killed_with_a_server_that_is_killed(tmp_path: Path) -> None:
    source = write_long_silence(tmp_path / "day.wav", 20 * HOUR)
    request = Prepare(source=str(source), target=str(tmp_path / "prepared.s16"), max_audio_s=86400)
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'scrivano.media.child'], stdin=0, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    server = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(encoder(Prepare)(request) + b"\n")
        server.stdin.flush()
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
