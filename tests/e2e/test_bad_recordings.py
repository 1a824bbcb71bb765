"""What is no recording, or hardly one, ends in its own clear error or an empty transcript; the next job runs."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from media_files import Kind, write, write_long_silence
from served import CATALOG, DATA, Served, served, text_of

CLIP = "en-exact-0.flac"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("bad"), ADMISSION="queue", IDLE_TIMEOUT_SECS="0") as server:
        yield server


def zero_length_wav() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 16000, 0, "NONE", ""))
    return file.getvalue()


def corrupt() -> bytes:
    whole = (DATA / CLIP).read_bytes()
    return whole[:20] + bytes(byte ^ 0xA5 for byte in whole[20:])


def video_without_sound(folder: Path) -> bytes:
    return write(folder / "mute.mp4", None, Kind(picture=True)).read_bytes()


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:1/secret.ts\n#EXT-X-ENDLIST\n"

REFUSED = {
    "corrupt.flac": (corrupt(), ("not_media", "no_audio")),
    "text.mp3": (b"Dear diary, today I did not record anything.\n" * 50, ("not_media",)),
    "playlist.m3u8": (PLAYLIST, ("not_media",)),
    "concat.wav": (b"ffconcat version 1.0\nfile /etc/hostname\n", ("not_media",)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_recording_is_said_so(server: Served, name: str) -> None:
    content, codes = REFUSED[name]

    job = ended(server, name, content)

    assert job["status"] == "failed"
    assert job["error_code"] in codes
    assert len(str(job["error"])) > 20
    assert "/" not in str(job["error"]).replace("and/or", ""), "no path of the server is told"
    assert text_of(server.ended(server.submit(CLIP))) == CATALOG[CLIP]["text"]


def test_an_empty_file_is_refused_at_once(server: Served) -> None:
    answer = server.http.post("/jobs", files={"audio": ("empty.wav", b"")})

    assert (answer.status_code, answer.json()) == (400, {"error": "audio field is empty"})


def test_a_video_without_sound_is_said_so(server: Served, tmp_path: Path) -> None:
    job = ended(server, "mute.mp4", video_without_sound(tmp_path))

    assert (job["status"], job["error_code"]) == ("failed", "no_audio")


def test_a_recording_of_no_length_has_an_empty_transcript(server: Served) -> None:
    job = ended(server, "zero.wav", zero_length_wav())

    assert (job["status"], job["segments"], job["duration_secs"]) == ("done", [], 0.0)


@pytest.mark.parametrize("name", ["silence-0.flac", "noise-0.flac"])
def test_silence_and_noise_have_an_empty_transcript(server: Served, name: str) -> None:
    job = server.ended(server.submit(name))

    assert (job["status"], job["segments"]) == ("done", [])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_day_of_silence_has_an_empty_transcript(server: Served, tmp_path: Path) -> None:
    day = write_long_silence(tmp_path / "day.wav", 24 * 3600)
    with day.open("rb") as file:
        job_id = server.http.post("/jobs", files={"audio": ("day.wav", file)}).json()["job_id"]
    clip = server.submit(CLIP)

    assert server.ended(clip)["status"] == "done"
    job = server.ended(job_id, timeout_s=800)  # 130 s of processor time on an old processor
    assert (job["status"], job["segments"], job["duration_secs"]) == ("done", [], 86400.0)


def test_a_recording_over_the_limit_is_said_so(tmp_path: Path) -> None:
    with served(tmp_path, ADMISSION="queue", MAX_AUDIO_SECS="3") as server:
        job = server.ended(server.submit(CLIP))

    assert (job["status"], job["error_code"]) == ("failed", "too_long")
    assert "MAX_AUDIO_SECS" in job["error"]


def ended(server: Served, name: str, content: bytes) -> dict[str, object]:
    answer = server.http.post("/jobs", files={"audio": (name, content)})
    assert answer.status_code == 202
    return server.ended(answer.json()["job_id"])
