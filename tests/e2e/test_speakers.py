"""Who said what, on the running program: two voices in turn, in every format, and through kills of every process."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_files import samples, spoken, write, write_wav
from served import Served, served, start, until
from speaker_material import two_voices

from scrivano.domain.chunk import SAMPLE_RATE

SEED = 11
KILLS = 8
TURNS = 6


@pytest.fixture(scope="module")
def dialogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two voices say the same sentences by turns."""
    low, high = two_voices(samples(spoken("en-clean-short-03").path))
    pause = np.zeros(SAMPLE_RATE, np.int16)
    turns = [audio for _ in range(TURNS // 2) for audio in (low, pause, high, pause)]
    path = tmp_path_factory.mktemp("dialogue") / "dialogue.wav"
    write(path, np.concatenate(turns))
    return path


def submit(server: Served, path: Path, **fields: str) -> str:
    form = {"queue": "true", **fields}
    answer = server.http.post("/jobs", files={"audio": (path.name, path.read_bytes())}, data=form)
    assert answer.status_code == 202, answer.text
    job_id: str = answer.json()["job_id"]
    return job_id


def said(job: dict[str, Any]) -> list[tuple[str, str]]:
    return [(segment["speaker"], segment["text"]) for segment in job["segments"]]


def test_two_voices_by_turns(tmp_path: Path, dialogue: Path) -> None:
    with served(tmp_path) as server:
        job_id = submit(server, dialogue, speakers="true")
        job = server.ended(job_id, timeout_s=300)
        assert job["status"] == "done"

        speakers = [segment["speaker"] for segment in job["segments"]]
        changes = [one for one, before in zip(speakers, [None, *speakers], strict=False) if one != before]
        assert changes == ["S1", "S2"] * (TURNS // 2)
        assert [one["name"] for one in job["speakers"]] == ["Speaker 1", "Speaker 2"]
        assert all(word["speaker"] == segment["speaker"] for segment in job["segments"] for word in segment["words"])
        assert job["overlaps"] == []

        files = {
            name: server.http.get(f"/jobs/{job_id}/transcript", params={"format": name}).text
            for name in ("txt", "srt", "vtt", "tsv", "json", "rttm")
        }
        assert files["txt"].count("Speaker 1: ") == files["txt"].count("Speaker 2: ") == TURNS // 2
        assert "Speaker 1: " in files["srt"]
        assert "<v Speaker 2>" in files["vtt"]
        assert "\tSpeaker 2\t" in files["tsv"]
        assert '"speaker": "Speaker 1"' in files["json"]
        assert files["rttm"].count("SPEAKER dialogue 1 ") == TURNS

        path = f"/jobs/{job_id}/speakers"
        named = server.http.patch(path, json={"names": {"S1": "Ada"}}).json()
        assert [one["name"] for one in named["speakers"]] == ["Ada", "Speaker 2"]
        assert "Ada: " in server.http.get(f"/jobs/{job_id}/transcript").text
        assert server.http.patch(path, json={"names": {"S7": "Eve"}}).status_code == 400
        assert server.http.patch(path, json={}).status_code == 400
        merged = server.http.patch(path, json={"merge": {"S2": "S1"}}).json()
        assert [one["id"] for one in merged["speakers"]] == ["S1"]
        assert {segment["speaker"] for segment in merged["segments"]} == {"S1"}

        alone = server.ended(submit(server, dialogue, num_speakers="1"), timeout_s=300)
        assert [one["id"] for one in alone["speakers"]] == ["S1"]
        refused = server.http.post(
            "/jobs", files={"audio": (dialogue.name, b"x")}, data={"min_speakers": "3", "max_speakers": "2"}
        )
        assert refused.status_code == 400
        assert "min_speakers" in refused.json()["error"]


@pytest.mark.slow
def test_kills_at_any_moment_change_no_speaker(tmp_path: Path, dialogue: Path) -> None:
    with served(tmp_path / "undisturbed") as server:
        began = time.monotonic()
        expected = server.ended(submit(server, dialogue, speakers="true"), timeout_s=300)
        alone_s = time.monotonic() - began
    lot = random.Random(SEED)
    server = Served(start(tmp_path / "killed"))
    try:
        job_id = submit(server, dialogue, speakers="true")
        for _ in range(KILLS):
            time.sleep(lot.uniform(0, alone_s / 3))
            victim = lot.choice(["server", "speakers", "speakers", "media"])
            if victim == "server":
                server.process.kill()
                server.close()
                server = Served(start(tmp_path / "killed"))
            for pid in server.children(victim) if victim != "server" else []:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        job = server.ended(job_id, timeout_s=300)
        assert job["status"] == "done", job
        assert (said(job), job["speakers"]) == (said(expected), expected["speakers"])
    finally:
        server.close()


def test_without_the_networks_the_transcript_is_there_with_a_warning(tmp_path: Path, dialogue: Path) -> None:
    """A speakers process that is killed over and over, as by the kernel's memory killer."""
    with served(tmp_path) as server:
        job_id = submit(server, dialogue, speakers="true")

        def ended() -> bool:
            for pid in server.children("speakers"):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return bool(server.job(job_id)["status"] == "done")

        until(ended, 300)
        job = server.job(job_id)
        assert "speakers" not in job
        assert [one["code"] for one in job["warnings"]] == ["no_speakers"]
        assert job["segments"]


def test_other_interfaces_have_speakers_too(tmp_path: Path, dialogue: Path) -> None:
    with served(tmp_path) as server:
        server.load()
        upload = {"audio_file": (dialogue.name, dialogue.read_bytes())}
        asr = server.http.post("/asr", params={"diarize": "true", "output": "json"}, files=upload, timeout=300)
        assert {segment["speaker"] for segment in asr.json()["segments"]} == {"Speaker 1", "Speaker 2"}
        reversed_ = server.http.post("/asr", params={"min_speakers": "3", "max_speakers": "2"}, files=upload)
        assert reversed_.status_code == 400

        file = {"file": (dialogue.name, dialogue.read_bytes())}
        form = {"model": "gpt-4o-transcribe-diarize", "response_format": "diarized_json", "stream": "true"}
        events = server.http.post("/v1/audio/transcriptions", data=form, files=file, timeout=300).text
        sent = [json.loads(line[6:]) for line in events.splitlines() if line.startswith("data: ")]
        speakers = [event["speaker"] for event in sent if event["type"] == "transcript.text.segment"]
        assert set(speakers) == {"A", "B"}
        assert sent[-1]["type"] == "transcript.text.done"
        assert [segment["speaker"] for segment in sent[-1]["segments"]] == speakers

        command = [sys.executable, "-m", "scrivano", "transcribe", "--speakers", "--server", str(server.http.base_url)]
        ran = subprocess.run([*command, str(dialogue)], capture_output=True, text=True, timeout=300)
        assert ran.returncode == 0, ran.stderr
        assert "Speaker 1: " in ran.stdout
        assert "Speaker 2: " in ran.stdout


# Channels ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One voice a side, by turns; each side also hears the other one, at -15 dB."""
    audio = samples(spoken("en-clean-short-03").path).astype(np.float64) / 2
    pause, silence = np.zeros(SAMPLE_RATE), np.zeros(len(audio))
    left = np.concatenate([audio, pause, silence, pause] * 2)
    right = np.concatenate([silence, pause, audio, pause] * 2)
    leak = 10 ** (-15 / 20)
    sides = [np.rint(one + leak * other).astype(np.int16) for one, other in ((left, right), (right, left))]
    return write_wav(tmp_path_factory.mktemp("call") / "call.wav", sides)


def test_the_channels_of_a_call_are_its_speakers(tmp_path: Path, call: Path) -> None:
    with served(tmp_path, CHANNEL_NAMES="agent,customer") as server:
        job_id = submit(server, call, speakers="true")
        job = server.ended(job_id, timeout_s=300)

        assert job["audio"]["channel_content"] == "voices"
        assert [one["name"] for one in job["speakers"]] == ["agent", "customer"]
        words = [word for segment in job["segments"] for word in segment["words"]]
        turn_s = (samples(spoken("en-clean-short-03").path).size + SAMPLE_RATE) / SAMPLE_RATE
        assert all(word["speaker"] == f"S{1 + int(word['start'] / turn_s) % 2}" for word in words)
        assert {word["speaker"] for word in words} == {"S1", "S2"}
        assert "<v customer>" in server.http.get(f"/jobs/{job_id}/transcript", params={"format": "vtt"}).text
        rttm = server.http.get(f"/jobs/{job_id}/transcript", params={"format": "rttm"}).text
        assert rttm.count("SPEAKER call 1 ") >= 4

        named = server.http.patch(f"/jobs/{job_id}/speakers", json={"names": {"S2": "Ada"}}).json()
        assert [one["name"] for one in named["speakers"]] == ["agent", "Ada"]
        merged = server.http.patch(f"/jobs/{job_id}/speakers", json={"merge": {"S2": "S1"}}).json()
        assert {segment["speaker"] for segment in merged["segments"]} == {"S1"}

        mixed = server.ended(submit(server, call), timeout_s=300)
        assert "sides" not in mixed["audio"]
        assert "speakers" not in mixed
        upload = {"audio_file": (call.name, call.read_bytes())}
        answer = server.http.post("/asr", params={"channels": "split", "channel_names": "A1,B2"}, files=upload)
        assert answer.text.count("A1: ") == answer.text.count("B2: ") == 2
        refused = server.http.post("/jobs", files={"audio": ("a.wav", b"x")}, data={"channels": "both"})
        assert refused.status_code == 400
        assert "channels" in refused.json()["error"]


@pytest.mark.slow
def test_kills_at_any_moment_change_no_side(tmp_path: Path, call: Path) -> None:
    with served(tmp_path / "undisturbed") as server:
        expected = server.ended(submit(server, call, channels="split"), timeout_s=300)
    lot = random.Random(SEED)
    server = Served(start(tmp_path / "killed"))
    try:
        job_id = submit(server, call, channels="split")
        for _ in range(4):
            time.sleep(lot.uniform(0, 1.5))
            server.process.kill()
            server.close()
            server = Served(start(tmp_path / "killed"))
        job = server.ended(job_id, timeout_s=300)
        assert (said(job), job["speakers"], job["overlaps"]) == (
            said(expected),
            expected["speakers"],
            expected["overlaps"],
        )
    finally:
        server.close()


# Voices ------------------------------------------------------------------------------------------------------------


def test_an_enrolled_voice_is_known_where_that_is_asked_for(tmp_path: Path, dialogue: Path) -> None:
    audio = samples(spoken("en-clean-short-03").path)
    _, high = two_voices(audio)
    sample = write(tmp_path / "sample.wav", np.concatenate([high, high]))
    silence = write(tmp_path / "silence.wav", np.zeros(4 * SAMPLE_RATE, np.int16))
    with served(tmp_path / "data", VOICES="true") as server:

        def enrol(path: Path, name: str) -> Any:
            files = {"audio": (path.name, path.read_bytes())}
            return server.http.post("/voices", files=files, data={"name": name}, timeout=300)

        enrolled = enrol(sample, "Ada")
        assert enrolled.status_code == 201, enrolled.text
        assert set(enrolled.json()) == {"id", "name", "created_at"}
        assert server.http.get("/voices").json() == {"voices": [enrolled.json()]}
        assert server.http.get("/jobs").json()["jobs"] == [], "the sample is deleted"
        assert enrol(silence, "Eve").status_code == 400
        assert enrol(sample, " ").status_code == 400

        named = server.ended(submit(server, dialogue, voices="true"), timeout_s=300)
        assert [one["name"] for one in named["speakers"]] == ["Speaker 1", "Ada"]
        plain = server.ended(submit(server, dialogue, speakers="true"), timeout_s=300)
        assert [one["name"] for one in plain["speakers"]] == ["Speaker 1", "Speaker 2"]

        path = f"/voices/{enrolled.json()['id']}"
        assert (server.http.delete(path).status_code, server.http.delete(path).status_code) == (204, 404)
        assert server.http.get("/voices").json() == {"voices": []}


def test_no_voice_is_kept_unless_the_server_allows_it(tmp_path: Path, dialogue: Path) -> None:
    with served(tmp_path) as server:
        answer = server.http.post("/voices", files={"audio": ("a.wav", b"x")}, data={"name": "Ada"})
        assert (answer.status_code, "VOICES=true" in answer.json()["error"]) == (403, True)
