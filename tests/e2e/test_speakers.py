"""Who said what, on the running program: two voices in turn, in every format, and through kills of every process."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import openai
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


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("speakers"), CHANNEL_NAMES="agent,customer") as server:
        yield server


def submit(server: Served, path: Path, **fields: str) -> str:
    form = {"queue": "true", **fields}
    answer = server.http.post("/jobs", files={"audio": (path.name, path.read_bytes())}, data=form)
    assert answer.status_code == 202, answer.text
    job_id: str = answer.json()["job_id"]
    return job_id


def said(job: dict[str, Any]) -> list[tuple[str, str]]:
    return [(segment["speaker"], segment["text"]) for segment in job["segments"]]


def test_two_voices_by_turns(server: Served, dialogue: Path) -> None:
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
@pytest.mark.timeout(1500)
def test_who_speaks_is_known_while_a_job_runs(server: Served, tmp_path: Path, dialogue: Path) -> None:
    long = write(tmp_path / "long.wav", np.tile(samples(dialogue), 2))
    job_id = submit(server, long, speakers="true")
    until(lambda: server.job(job_id).get("speakers") or server.job(job_id)["status"] == "done", 300)
    running = server.job(job_id)
    if running["status"] != "done":  # on most machines
        partial = server.http.get(f"/jobs/{job_id}/transcript", params={"partial": "true"})
        assert partial.status_code == 200
        refused = server.http.patch(f"/jobs/{job_id}/speakers", json={"names": {"S1": "Ada"}})
        assert refused.status_code == 409 or server.job(job_id)["status"] == "done"
    job = server.ended(job_id, timeout_s=300)
    sent = server.http.get(f"/jobs/{job_id}/stream", headers={"Last-Event-ID": "0"}).text

    events = [json.loads(line[6:]) for line in sent.splitlines() if line.startswith("data: ")]
    guesses = [event for event in events if event["type"] == "speakers"]
    assert guesses, "after the first chunk"
    assert {one["id"] for guess in guesses for one in guess["speakers"]} <= {"S1", "S2"}
    assert {speaker for guess in guesses for speaker in guess["segments"]} <= {"S1", "S2", None}
    told = [event for event in events if event["type"] == "segment"]
    assert all(len(guess["segments"]) <= len(told) for guess in guesses)
    assert [one["id"] for one in job["speakers"]] == ["S1", "S2"]


@pytest.mark.slow
@pytest.mark.timeout(1500)
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


def test_other_interfaces_have_speakers_too(server: Served, dialogue: Path) -> None:
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


def test_the_channels_of_a_call_are_its_speakers(server: Served, call: Path) -> None:
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
@pytest.mark.timeout(1500)
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
        assert set(enrolled.json()) == {"id", "name", "owner", "created_at"}
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


def data_url(path: Path) -> str:
    return f"data:audio/wav;base64,{b64encode(path.read_bytes()).decode()}"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The second voice of the dialogue, for 6 s."""
    _, high = two_voices(samples(spoken("en-clean-short-03").path))
    return write(tmp_path_factory.mktemp("sample") / "sample.wav", np.resize(high, 6 * SAMPLE_RATE))


def test_openais_client_names_speakers_by_samples(tmp_path: Path, dialogue: Path, sample: Path) -> None:
    silence = write(tmp_path / "silence.wav", np.zeros(4 * SAMPLE_RATE, np.int16))
    brief = write(tmp_path / "brief.wav", samples(sample)[:SAMPLE_RATE])
    long = write(tmp_path / "long.wav", np.resize(samples(sample), 12 * SAMPLE_RATE))
    text = tmp_path / "text.wav"
    text.write_text("This is no recording.")
    with (
        served(tmp_path / "data") as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client,
    ):

        def transcribe(**options: Any) -> Any:
            return client.audio.transcriptions.create(
                file=dialogue,
                model="gpt-4o-transcribe-diarize",
                response_format="diarized_json",
                chunking_strategy="auto",
                **options,
            )

        known: dict[str, Any] = {"known_speaker_names": ["Ada"], "known_speaker_references": [data_url(sample)]}
        answer = transcribe(**known)
        speakers = [segment.speaker for segment in answer.segments]
        assert [one for one, _ in groupby(speakers)] == ["A", "Ada"] * (TURNS // 2)

        events = list(transcribe(**known, stream=True))
        sent = [event.speaker for event in events if event.type == "transcript.text.segment"]
        assert sent == speakers
        # The same request is the same job, and samples are deleted.
        [job] = server.http.get("/jobs").json()["jobs"]
        assert [one["name"] for one in job["speakers"]] == ["Speaker 1", "Ada"]

        for path, says in ((silence, "no speech"), (brief, "1.0 s"), (long, "12.0 s"), (text, "cannot be used")):
            with pytest.raises(openai.BadRequestError, match=says) as caught:
                transcribe(known_speaker_names=["Ada"], known_speaker_references=[data_url(path)])
            assert caught.value.param == "known_speaker_references"
        with pytest.raises(openai.BadRequestError, match="one sample for each name"):
            transcribe(known_speaker_names=["Ada", "Eve"], known_speaker_references=[data_url(sample)])
        assert len(server.http.get("/jobs").json()["jobs"]) == 1
        secret = server.http.get(f"/jobs/{job['id']}").text
        assert "centre" not in secret


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_known_speakers_survive_a_kill(tmp_path: Path, dialogue: Path, sample: Path) -> None:
    form = {
        "response_format": "diarized_json",
        "known_speaker_names": "Ada",
        "known_speaker_references": data_url(sample),
    }
    server = Served(start(tmp_path))
    try:
        with ThreadPoolExecutor() as pool:
            call = pool.submit(
                server.http.post,
                "/v1/audio/transcriptions",
                data=form,
                files={"file": (dialogue.name, dialogue.read_bytes())},
                timeout=300,
            )
            until(
                lambda: [job.get("filename") for job in server.http.get("/jobs").json()["jobs"]] == [dialogue.name], 300
            )
            server.process.kill()
            with suppress(httpx2.HTTPError):
                call.result(60)
        server.close()
        server = Served(start(tmp_path))
        [job] = server.http.get("/jobs").json()["jobs"]
        job = server.ended(job["id"], timeout_s=300)
        assert [one["name"] for one in job["speakers"]] == ["Speaker 1", "Ada"]
    finally:
        server.close()


def test_no_voice_is_kept_unless_the_server_allows_it(server: Served) -> None:
    answer = server.http.post("/voices", files={"audio": ("a.wav", b"x")}, data={"name": "Ada"})
    assert (answer.status_code, "VOICES=true" in answer.json()["error"]) == (403, True)
