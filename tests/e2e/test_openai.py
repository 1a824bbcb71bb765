"""OpenAI's API, by OpenAI's own client, against a server in its own process."""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from served import CATALOG, DATA, Served, served, until, word_error_rate
from shared_gpu import scripted

CLIP = "en-exact-0.flac"
TEXT = CATALOG[CLIP]["text"]
LONG = "en-it-mixed-0.flac"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("openai"), IDLE_TIMEOUT_SECS="0") as server:
        yield server


@pytest.fixture
def client(server: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def form(name: str = CLIP, **fields: str) -> dict[str, Any]:
    return {"files": {"file": (name, (DATA / name).read_bytes())}, "data": {"model": "whisper-1", **fields}}


def jobs_with(server: Served, name: str, header: str = "X-Job-Id", **fields: str) -> str:
    answer = server.http.post("/v1/audio/transcriptions", **form(name, **fields))
    assert answer.status_code == 200, answer.text
    return answer.headers[header]


def done(server: Served) -> list[str]:
    """The jobs that were computed, as the log tells, which comes a little later than the answer."""
    return [line["job_id"] for line in server.log if line["message"] == "job done"]


# Formats ---------------------------------------------------------------------------------------------------------


def test_a_request_is_held_while_the_model_loads(server: Served, client: openai.OpenAI) -> None:
    """This one is the first of the module: the model is not loaded."""
    answer = client.audio.transcriptions.with_raw_response.create(file=DATA / CLIP, model="whisper-1")

    assert answer.parse().text == TEXT
    job = server.job(answer.headers["X-Job-Id"])
    assert (job["status"], job["filename"]) == ("done", CLIP)


def test_json_is_text_and_usage(server: Served) -> None:
    answer = server.http.post("/v1/audio/transcriptions", **form())

    duration = server.job(answer.headers["X-Job-Id"])["duration_secs"]
    assert answer.headers["Content-Type"] == "application/json"
    assert set(answer.json()) == {"text", "usage"}
    assert answer.json()["usage"]["type"] == "duration"
    assert duration <= answer.json()["usage"]["seconds"] < duration + 1


@pytest.mark.parametrize("format", ["text", "srt", "vtt"])
def test_other_formats_are_plain_text(client: openai.OpenAI, format: Any) -> None:
    answer = client.audio.transcriptions.create(file=DATA / CLIP, model="whisper-1", response_format=format)

    text = str(answer)
    assert TEXT.split()[0] in text
    if format == "text":
        assert text == f"{TEXT}\n"
    elif format == "vtt":
        assert text.startswith("WEBVTT\n")
    else:
        assert text.startswith("1\n00:00:")


def test_verbose_json_has_what_clients_read(client: openai.OpenAI) -> None:
    answer = client.audio.transcriptions.create(
        file=DATA / CLIP,
        model="whisper-1",
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )

    assert answer.language == "english"
    assert answer.text == TEXT
    assert float(answer.duration) > 1
    assert answer.segments is not None
    assert answer.words is not None
    assert set(answer.segments[0].to_dict()) == {
        "id",
        "seek",
        "start",
        "end",
        "text",
        "tokens",
        "temperature",
        "avg_logprob",
        "compression_ratio",
        "no_speech_prob",
    }
    assert set(answer.words[0].to_dict()) == {"word", "start", "end"}
    assert " ".join(word.word for word in answer.words) == TEXT
    assert answer.usage is not None
    assert answer.usage.type == "duration"


def test_words_are_at_the_top_only_when_asked_for(server: Served) -> None:
    answer = server.http.post("/v1/audio/transcriptions", **form(response_format="verbose_json")).json()

    assert set(answer) == {"task", "language", "duration", "text", "segments", "usage", "quality"}
    assert isinstance(answer["duration"], float)
    assert "words" not in answer["segments"][0]


@pytest.mark.parametrize("name", ["timestamp_granularities[]", "timestamp_granularities", "timestamp_granularities[0]"])
def test_arrays_are_understood_however_they_are_written(server: Served, name: str) -> None:
    """Subtitle Edit, too, which wants segments beside `json`."""
    answer = server.http.post("/v1/audio/transcriptions", **form(**{name: "word,segment"})).json()

    assert [word["word"] for word in answer["words"]] == TEXT.split()
    assert answer["segments"][0]["text"]


def test_every_field_of_the_api_is_accepted(client: openai.OpenAI) -> None:
    answer = client.audio.transcriptions.create(
        file=DATA / CLIP,
        model="gpt-4o-transcribe",
        language="en",
        prompt="A talk.",
        temperature=0,
        include=["logprobs"],
        chunking_strategy={"type": "server_vad", "threshold": 0.5},
        extra_body={"languages": ["en", "it"], "keywords": ["park"]},
    )

    assert word_error_rate(TEXT, answer.text) < 0.5
    assert answer.logprobs is not None
    assert "".join(str(item.token) for item in answer.logprobs).strip() == answer.text
    assert all(item.logprob is not None and item.logprob <= 0 for item in answer.logprobs)


def test_a_translation_is_a_job_of_that_task(server: Served, client: openai.OpenAI) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer clients call this route old
        answer = client.audio.translations.with_raw_response.create(
            file=DATA / "it-exact-0.flac", model="whisper-1", response_format="verbose_json"
        )

    assert answer.parse().language == "english"
    assert server.job(answer.headers["X-Job-Id"])["task"] == "translate"


def test_silence_is_a_valid_answer_in_every_format(server: Served) -> None:
    bodies = {
        format: server.http.post("/v1/audio/transcriptions", **form("silence-0.flac", response_format=format))
        for format in ("json", "text", "srt", "vtt", "verbose_json")
    }

    assert {answer.status_code for answer in bodies.values()} == {200}
    assert bodies["json"].json()["text"] == bodies["verbose_json"].json()["text"] == ""
    assert bodies["vtt"].text == "WEBVTT\n"
    assert bodies["srt"].text == ""


@pytest.mark.parametrize(
    ("fields", "type"),
    [
        pytest.param({}, "audio/flac", id="Open WebUI"),
        pytest.param({"language": "", "temperature": "0"}, "application/octet-stream", id="n8n"),
        pytest.param(
            {"response_format": "verbose_json", "timestamp_granularities[]": "segment", "language": "en"},
            "audio/flac",
            id="Subtitle Edit",
        ),
        pytest.param({"response_format": "verbose_json", "prompt": ""}, "audio/flac", id="LangChain"),
    ],
)
def test_what_programs_send_is_understood(server: Served, fields: dict[str, str], type: str) -> None:
    answer = server.http.post(
        "/v1/audio/transcriptions",
        headers={"Authorization": "Bearer unused"},
        files={"file": (CLIP, (DATA / CLIP).read_bytes(), type)},
        data={"model": "whisper-1", **fields},
    )

    assert answer.json()["text"] == TEXT
    assert ("segments" in answer.json()) == ("response_format" in fields)


# Streaming -------------------------------------------------------------------------------------------------------


def test_a_stream_ends_with_the_whole_text(client: openai.OpenAI) -> None:
    events = list(client.audio.transcriptions.create(file=DATA / LONG, model="whisper-1", stream=True, prompt="One."))

    *deltas, done = events
    assert deltas
    assert done.type == "transcript.text.done"
    assert done.text
    assert "".join(event.delta for event in deltas if event.type == "transcript.text.delta") == done.text


def test_frames_have_event_and_data_and_segments_when_asked_for(server: Served) -> None:
    answer = server.http.post(
        "/v1/audio/transcriptions", **form(stream="true", **{"timestamp_granularities[]": "segment"})
    )

    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert server.job(answer.headers["X-Job-Id"])["status"] == "done"
    frames = [frame.split("\n") for frame in answer.text.replace("\r\n", "\n").strip().split("\n\n")]
    events = [(frame[0].removeprefix("event: "), json.loads(frame[1].removeprefix("data: "))) for frame in frames]
    assert all(name == data["type"] for name, data in events)
    assert events[-1][1]["text"] == TEXT
    assert events[-1][1]["segments"][0]["text"]
    assert set(events[-1][1]["usage"]) == {"type", "seconds"}


def test_a_recording_that_fails_in_a_stream_is_an_error_of_the_client(client: openai.OpenAI) -> None:
    stream = client.audio.transcriptions.create(file=("a.mp3", b"not audio" * 99), model="whisper-1", stream=True)

    with pytest.raises(openai.APIError, match="not a recording"):
        list(stream)


# Errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": "xml"}, "response_format"),
        ({"num_speakers": "0"}, "num_speakers"),
        ({"temperature": "2"}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"timestamp_granularities[]": "sentence"}, "timestamp_granularities"),
        ({"include[]": "everything"}, "include"),
        ({"language": "klingon"}, "language"),
        ({"languages[]": "klingon"}, "languages"),
        ({"stream": "perhaps"}, "stream"),
        ({"stream": "true", "response_format": "srt"}, "stream"),
        ({"chunking_strategy": "thirds"}, "chunking_strategy"),
        ({"chunking_strategy[type]": "thirds"}, "chunking_strategy"),
    ],
)
def test_an_unknown_value_is_refused_by_name(server: Served, fields: dict[str, str], param: str) -> None:
    answer = server.http.post("/v1/audio/transcriptions", **form(**fields))

    assert answer.status_code == 400
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, "invalid_value")


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.audio.transcriptions.create(file=DATA / CLIP, model="gpt-9")

    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert "gpt-9" in caught.value.message


def test_what_is_no_recording_is_a_bad_request_with_its_job(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.transcriptions.create(file=("a.mp3", b"not audio" * 99), model="whisper-1")

    assert caught.value.code == "not_media"
    assert caught.value.response.headers["X-Job-Id"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/nothing", 404), ("GET", "/v1/audio/transcriptions", 405), ("POST", "/v1/audio/translations", 400)],
)
def test_every_error_has_openais_body(server: Served, method: str, path: str, status: int) -> None:
    answer = server.http.request(method, path)

    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_a_key_of_another_request_is_refused(server: Served) -> None:
    key = {"Idempotency-Key": "one key"}
    first = server.http.post("/v1/audio/transcriptions", headers=key, **form())
    other = server.http.post("/v1/audio/transcriptions", headers=key, **form(prompt="Two."))

    assert first.status_code == 200
    assert other.status_code == 422
    assert other.json()["error"]["code"] == "key_reused"


# Models ----------------------------------------------------------------------------------------------------------


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]

    assert names == [
        "nano",
        "whisper-1",
        "gpt-4o-transcribe",
        "gpt-4o-mini-transcribe",
        "gpt-transcribe",
        "gpt-4o-transcribe-diarize",
    ]
    assert client.models.retrieve("nano").owned_by == "scrivano"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("a/b")


def test_a_models_name_may_have_a_slash(tmp_path: Path) -> None:
    with served(tmp_path, WHISPER_MODEL="some/model") as server:
        assert server.http.get("/v1/models/some/model").json()["id"] == "some/model"


# Jobs underneath -------------------------------------------------------------------------------------------------


def test_the_same_request_is_computed_once(server: Served) -> None:
    first = jobs_with(server, CLIP, prompt="Once.")

    assert jobs_with(server, CLIP, prompt="Once.") == first
    assert jobs_with(server, CLIP, prompt="Once.", response_format="srt") == first
    assert jobs_with(server, CLIP, prompt="Twice.") != first


def test_a_client_that_was_killed_gets_the_same_job_with_its_key(server: Served) -> None:
    key = {"Idempotency-Key": "killed"}
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(
            f"{server.url}/v1/audio/transcriptions", headers=key, timeout=httpx2.Timeout(10, read=0.05), **form(LONG)
        )

    again = server.http.post("/v1/audio/transcriptions", headers=key, **form(LONG))

    job = server.job(again.headers["X-Job-Id"])
    assert again.status_code == 200
    assert job["status"] == "done"
    assert again.json()["text"] == " ".join(segment["text"] for segment in job["segments"])


def test_the_clients_own_retries_pay_once(tmp_path: Path) -> None:
    """The client gives up waiting and uploads again, as it does after 600 s."""
    with (
        served(tmp_path) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=40, timeout=1.0) as client,
    ):
        answer = client.audio.transcriptions.with_raw_response.create(file=DATA / LONG, model="whisper-1")

        assert answer.parse().text
        assert server.job(answer.headers["X-Job-Id"])["status"] == "done"
        assert until(lambda: done(server)) == [answer.headers["X-Job-Id"]]


def test_a_full_queue_says_when_to_come_back(tmp_path: Path) -> None:
    with served(tmp_path, MAX_QUEUE="1", WHISPER_MODEL="some/model", ADMISSION="queue") as server:
        first = server.submit(CLIP)
        full = server.http.post("/v1/audio/transcriptions", **form(LONG))
        plain = server.http.post("/jobs", files={"audio": (LONG, (DATA / LONG).read_bytes())})

        assert server.job(first)["status"] == "queued"
        assert full.status_code == plain.status_code == 429
        assert full.headers["Retry-After"] == plain.headers["Retry-After"] == "30"
        assert full.json()["error"]["code"] == "queue_full"
        assert set(plain.json()) == {"error"}


def test_a_call_that_waits_is_told_when_the_server_ends_and_finds_its_job_again(tmp_path: Path) -> None:
    answers: list[httpx2.Response] = []
    with scripted(tmp_path, free_mb=8000, load=["hang"]) as (server, _):
        url = f"{server.url}/v1/audio/transcriptions"
        caller = threading.Thread(target=lambda: answers.append(httpx2.post(url, timeout=120, **form())))
        caller.start()
        until(lambda: server.http.get("/health").json()["queue_depth"] == 1)
    caller.join(120)

    assert [answer.status_code for answer in answers] == [503]
    assert answers[0].json()["error"]["code"] == "server_stopping"
    with served(tmp_path / "data") as server:
        job_id = jobs_with(server, CLIP)
        assert answers[0].headers["X-Job-Id"] == job_id
        assert until(lambda: done(server)) == [job_id]
        assert server.http.get("/health").json()["queue_depth"] == 0


def test_a_call_is_told_why_the_model_cannot_be_loaded(tmp_path: Path) -> None:
    offline = {"WHISPER_MODEL": "tiny", "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hub")}
    with served(tmp_path / "data", **offline) as server:
        answer = server.http.post("/v1/audio/transcriptions", files={"file": (CLIP, (DATA / CLIP).read_bytes())})

        error = answer.json()["error"]
        assert (answer.status_code, error["type"], error["code"]) == (500, "server_error", "model_unavailable")
        assert "WHISPER_MODEL_PATH" in error["message"]
        (job,) = server.http.get("/jobs").json()["jobs"]
        assert (job["status"], job["id"]) == ("queued", answer.headers["X-Job-Id"])
