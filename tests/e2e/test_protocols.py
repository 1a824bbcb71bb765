"""whisper-asr-webservice, whisper.cpp and Wyoming, as their clients call them, against a server in its own process."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from served import CATALOG, DATA, Served, served, until
from wyoming.asr import Transcribe, Transcript
from wyoming.client import AsyncTcpClient
from wyoming.event import Event

from scrivano.domain.languages import LANGUAGES

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # Python's own audioop, which it takes where there is one
    from wyoming.audio import AudioChunk, AudioStart, AudioStop
    from wyoming.info import Describe, Info

CLIP = "en-exact-0.flac"
TEXT = CATALOG[CLIP]["text"]
ITALIAN = "it-exact-0.flac"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    settings = {"IDLE_TIMEOUT_SECS": "0", "WYOMING_PORT": "0", "MAX_UPLOAD_BYTES": "4000000"}
    with served(tmp_path_factory.mktemp("protocols"), **settings) as server:
        yield server


def pcm(name: str, rate: int = 16_000) -> bytes:
    """What Bazarr's FFmpeg makes of a recording: bare 16-bit mono."""
    with av.open(str(DATA / name)) as container:
        resampler = av.AudioResampler("s16", "mono", rate)
        frames = [*container.decode(audio=0), None]
        mixed = [out for frame in frames for out in resampler.resample(frame)]
    return b"".join(bytes(out.planes[0])[: 2 * out.samples] for out in mixed)


def one_line(text: str) -> str:
    return " ".join(text.split())


# whisper-asr-webservice ------------------------------------------------------------------------------------------


def test_bazarr_gets_subtitles_of_bare_pcm(server: Served) -> None:
    """Its request: the audio stream as PCM, without a file name of its own; the model is not loaded yet."""
    query = {"task": "transcribe", "language": "en", "output": "srt", "encode": "false", "video_file": "/a/b.mkv"}
    answer = server.http.post("/asr", params=query, files={"audio_file": pcm(CLIP)})

    assert answer.status_code == 200
    assert answer.text.startswith("1\n00:00:0")
    assert TEXT.split()[0] in answer.text
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.headers["Asr-Engine"]
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
    assert server.job(answer.headers["X-Job-Id"])["duration_secs"] == pytest.approx(len(pcm(CLIP)) / 32_000, abs=0.01)


def test_bazarr_detects_the_language(server: Served) -> None:
    answer = server.http.post("/detect-language", params={"encode": "false"}, files={"audio_file": pcm(ITALIAN)})

    body = answer.json()
    assert set(body) == {"detected_language", "language_code", "confidence"}
    assert (body["detected_language"], body["language_code"]) == ("italian", "it")
    assert 0.5 < body["confidence"] <= 1


def test_detection_leaves_a_transcription_of_the_same_recording_alone(server: Served) -> None:
    upload = {"audio_file": (ITALIAN, (DATA / ITALIAN).read_bytes())}
    detected = server.http.post("/detect-language", files=upload)
    transcribed = server.http.post("/asr", files=upload)

    assert detected.headers["X-Job-Id"] != transcribed.headers["X-Job-Id"]
    assert transcribed.text.split()[0] in CATALOG[ITALIAN]["text"]


def test_the_language_of_silence_is_a_guess(server: Served) -> None:
    upload = {"audio_file": ("a.flac", (DATA / "silence-0.flac").read_bytes())}

    answer = server.http.post("/detect-language", files=upload).json()

    assert answer["language_code"] in LANGUAGES
    assert answer["detected_language"] == LANGUAGES[answer["language_code"]]
    assert 0 <= answer["confidence"] <= 0.2


@pytest.mark.parametrize("output", ["txt", "vtt", "srt", "tsv", "json"])
def test_every_output(server: Served, output: str) -> None:
    upload = {"audio_file": ("x\r\ny/ü.flac", (DATA / CLIP).read_bytes())}
    answer = server.http.post("/asr", params={"output": output}, files=upload)

    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"].startswith(f'attachment; filename="u.{output}";')
    starts = {"txt": TEXT.split()[0], "vtt": "WEBVTT\n", "srt": "1\n", "tsv": "start\tend\ttext\n", "json": "{"}
    assert answer.text.startswith(starts[output])


def test_speakr_gets_segments_with_words_when_it_asks(server: Served) -> None:
    """Its request: `diarize` among the parameters, JSON as the answer."""
    query = {"encode": "true", "task": "transcribe", "language": "en", "output": "json", "diarize": "true"}
    upload = {"audio_file": (CLIP, (DATA / CLIP).read_bytes(), "audio/flac")}
    plain = server.http.post("/asr", params=query, files=upload).json()
    timed = server.http.post("/asr", params=query | {"word_timestamps": "true"}, files=upload).json()

    assert one_line(plain["text"]) == TEXT
    assert {"start", "end", "text"} <= set(plain["segments"][0])
    assert "words" not in plain["segments"][0]
    assert [word["word"].strip() for part in timed["segments"] for word in part["words"]] == TEXT.split()


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/asr", {"output": "docx"}, 400),
        ("/asr", {"task": "sing"}, 400),
        ("/asr", {"language": "klingon"}, 400),
        ("/asr", {}, 400),
        ("/detect-language", {}, 400),
    ],
)
def test_errors_have_no_body_and_say_the_reason_in_a_header(
    server: Served, path: str, query: dict[str, str], status: int
) -> None:
    answer = server.http.post(path, params=query, files={"audio_file": ("a.mp3", b"not audio" * 99)})

    assert (answer.status_code, answer.content) == (status, b"")
    assert len(answer.headers["X-Error"]) > 10


def test_errors_without_a_form_have_no_body(server: Served) -> None:
    assert server.http.get("/asr").content == b""
    assert server.http.post("/asr").content == b""
    assert server.http.post("/asr").status_code == 400
    assert "send multipart/form-data" in server.http.post("/asr", json={"audio_file": "a"}).headers["X-Error"]


def test_blank_parameters_and_another_fields_recording(server: Served) -> None:
    """Clients send what their user left empty, and guess where the recording belongs."""
    blank = {"task": "", "language": " ", "output": "", "vad_filter": "", "encode": "", "initial_prompt": ""}
    upload = (CLIP, (DATA / CLIP).read_bytes(), "audio/flac")
    assert server.http.post("/asr", params=blank, files={"audio_file": upload}).status_code == 200
    refused = server.http.post("/asr", files={"file": upload})
    assert refused.headers["X-Error"].endswith("the recording belongs in 'audio_file'; this request has it in 'file'")

    fields = ("task", "language", "prompt", "webhook_url", "audio_url", "queue", "beam_size", "priority", "metadata")
    answer = server.http.post("/jobs", files={"audio": upload}, data=dict.fromkeys(fields, ""))
    assert answer.status_code == 202
    assert inference(server, response_format=" ", temperature="", beam_size="", translate="").status_code == 200


def test_status_is_the_version(server: Served) -> None:
    assert set(server.http.get("/status").json()) == {"version"}


# whisper.cpp -----------------------------------------------------------------------------------------------------


def inference(server: Served, name: str = CLIP, **fields: str) -> Any:
    return server.http.post("/inference", files={"file": (name, (DATA / name).read_bytes())}, data=fields)


def test_inference_takes_its_parameters_as_strings(server: Served) -> None:
    answer = inference(server, temperature="0.0", temperature_inc="0.2", response_format="json", beam_size="-1")

    assert one_line(answer.json()["text"]) == TEXT
    assert server.job(answer.headers["X-Job-Id"])["language"] == "en"


def test_auto_detects_the_language(server: Served) -> None:
    answer = inference(server, ITALIAN, language="auto", response_format="verbose_json").json()

    assert answer["detected_language"] == "italian"
    assert answer["language_probabilities"]["it"] == answer["detected_language_probability"] > 0.5

    assert answer["language"] == "italian"
    assert one_line(answer["text"]) == CATALOG[ITALIAN]["text"]
    for segment in answer["segments"]:
        assert "".join(word["word"] for word in segment["words"]) == segment["text"]


def test_the_language_is_detected_beside_one_that_was_given(server: Served) -> None:
    answer = inference(server, ITALIAN, language="it", response_format="verbose_json").json()

    assert (answer["language"], answer["detected_language"]) == ("italian", "italian")
    assert answer["language_probabilities"]["it"] == answer["detected_language_probability"] > 0.5
    assert one_line(answer["text"]) == CATALOG[ITALIAN]["text"]

    # Without `language` whisper.cpp's server takes English, and says all the same what it hears.
    answer = inference(server, ITALIAN, response_format="verbose_json").json()
    assert (answer["language"], answer["detected_language"]) == ("english", "italian")

    answer = inference(server, ITALIAN, response_format="verbose_json", no_language_probabilities="true").json()
    assert not [name for name in answer if "probabilit" in name or "detected" in name]


@pytest.mark.parametrize(("format", "start"), [("text", " "), ("srt", "1\n"), ("vtt", "WEBVTT\n")])
def test_inference_formats(server: Served, format: str, start: str) -> None:
    assert inference(server, response_format=format).text.startswith(start)


def test_inference_says_what_is_wrong(server: Served) -> None:
    missing = server.http.post("/inference", files={"x": b""})

    assert (missing.status_code, missing.json()) == (400, {"error": "missing 'file' field"})
    assert inference(server, response_format="pdf").status_code == 400
    assert inference(server, temperature="warm").status_code == 400


def test_load_loads_the_served_model_and_no_other(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        other = server.http.post("/load", files={"model": (None, "models/ggml-large.bin")})
        assert (other.status_code, server.state()) == (404, "unloaded")
        nothing = server.http.post("/load")
        assert (nothing.status_code, "recording" in nothing.text) == (400, False)

        assert server.http.post("/load", files={"model": (None, "models/nano")}).status_code == 200
        assert server.state() == "ready"


# Wyoming ---------------------------------------------------------------------------------------------------------


def wyoming_port(server: Served) -> int:
    listening = next(line for line in server.log if line["message"] == "listening for Wyoming")
    return int(listening["uri"].rpartition(":")[2])


async def say(client: AsyncTcpClient, audio: bytes, rate: int = 16_000, language: str | None = None) -> None:
    if language is not None:
        await client.write_event(Transcribe(language=language).event())
    await client.write_event(AudioStart(rate=rate, width=2, channels=1).event())
    for at in range(0, len(audio), 2048):
        await client.write_event(AudioChunk(rate=rate, width=2, channels=1, audio=audio[at : at + 2048]).event())
    await client.write_event(AudioStop().event())


async def hear(client: AsyncTcpClient) -> Event:
    event = await client.read_event()
    assert event is not None
    return event


async def transcribed(port: int, *takes: dict[str, Any]) -> list[Transcript]:
    async with AsyncTcpClient("127.0.0.1", port, read_timeout=60) as client:
        heard = []
        for take in takes:
            await say(client, **take)
            heard.append(Transcript.from_event(await hear(client)))
        return heard


def test_home_assistant_learns_what_is_served(server: Served) -> None:
    async def describe() -> Info:
        async with AsyncTcpClient("127.0.0.1", wyoming_port(server), read_timeout=60) as client:
            await client.write_event(Describe().event())
            return Info.from_event(await hear(client))

    (program,) = asyncio.run(describe()).asr
    assert program.installed
    assert program.models[0].name == "nano"
    assert {"en", "it", "jw", "jv", "fil"} <= set(program.models[0].languages)


def test_every_recording_gets_a_transcript(server: Served) -> None:
    port = wyoming_port(server)
    first, silent, nothing, low = asyncio.run(
        transcribed(
            port,
            {"audio": pcm(CLIP), "language": "en"},
            {"audio": bytes(64_000)},
            {"audio": b""},
            {"audio": pcm(CLIP, 22_050), "rate": 22_050},
        )
    )

    assert (first.text, first.language) == (TEXT, "en")
    assert silent.text == nothing.text == ""
    assert len(low.text.split()) > 5


def test_several_clients_speak_at_once(server: Served) -> None:
    async def together() -> list[list[Transcript]]:
        port = wyoming_port(server)
        return await asyncio.gather(
            *(transcribed(port, {"audio": pcm(name), "language": "it" if name == ITALIAN else "en"}) for name in names)
        )

    names = [CLIP, ITALIAN, "en-exact-6.flac"]

    assert [heard[0].text for heard in asyncio.run(together())] == [CATALOG[name]["text"] for name in names]


def test_what_cannot_be_done_is_an_error_and_an_empty_transcript(server: Served) -> None:
    async def unknown_language() -> tuple[Event, Event]:
        async with AsyncTcpClient("127.0.0.1", wyoming_port(server), read_timeout=60) as client:
            await say(client, pcm(CLIP), language="klingon")
            return await hear(client), await hear(client)

    error, transcript = asyncio.run(unknown_language())

    assert error.type == "error"
    assert Transcript.from_event(transcript).text == ""


def test_a_recording_that_is_too_large_is_refused_and_the_next_one_is_not(server: Served) -> None:
    async def two() -> list[Event]:
        async with AsyncTcpClient("127.0.0.1", wyoming_port(server), read_timeout=60) as client:
            await say(client, bytes(4_500_000))
            refused = [await hear(client), await hear(client)]
            await say(client, pcm(CLIP))
            return [*refused, await hear(client)]

    error, nothing, transcript = asyncio.run(two())

    assert "MAX_UPLOAD_BYTES" in error.data["text"]
    assert Transcript.from_event(nothing).text == ""
    assert Transcript.from_event(transcript).text == TEXT


def test_a_recording_that_breaks_off_leaves_nothing(server: Served, tmp_path_factory: pytest.TempPathFactory) -> None:
    async def half() -> None:
        async with AsyncTcpClient("127.0.0.1", wyoming_port(server)) as client:
            await client.write_event(AudioStart(rate=16_000, width=2, channels=1).event())
            await client.write_event(AudioChunk(rate=16_000, width=2, channels=1, audio=bytes(3_000_000)).event())

    uploads = tmp_path_factory.getbasetemp() / "protocols0" / "uploads"
    asyncio.run(half())

    assert uploads.is_dir()
    until(lambda: not list(uploads.glob("*.part")))


def test_nonsense_ends_its_own_connection_only(server: Served) -> None:
    async def shout(line: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", wyoming_port(server))
        writer.write(line + b"\n")
        answer = await reader.read()
        writer.close()
        return answer

    huge = json.dumps({"type": "audio-start", "payload_length": 1 << 40}).encode()

    assert asyncio.run(shout(b"hello")) == asyncio.run(shout(huge)) == b""
    assert asyncio.run(transcribed(wyoming_port(server), {"audio": b""}))[0].text == ""
    assert not [line for line in server.log if line["level"] == "error"]
