"""A served GGML file, from the setting to the transcript; and one that is broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from served import CATALOG, TIMEOUT_S, served, start, text_of, until

CLIP = "en-exact-0.flac"

pytest.importorskip("_pywhispercpp", reason="pywhispercpp is not installed")


def test_a_ggml_file_transcribes_with_words(tmp_path: Path, nano_ggml: Path) -> None:
    with served(tmp_path, WHISPER_MODEL="", WHISPER_MODEL_PATH=str(nano_ggml), CPU_THREADS="1") as server:
        assert server.http.get("/health").json()["model"] == "ggml-nano-q8_0"
        server.load()
        job = server.ended(server.submit(CLIP))

    assert (job["status"], job["language"]) == ("done", "en")
    assert text_of(job) == CATALOG[CLIP]["text"]
    for segment in job["segments"]:
        assert "".join(word["text"] for word in segment["words"]) == segment["text"]
        assert 0 <= segment["words"][0]["start"] < segment["words"][-1]["end"] <= CATALOG[CLIP]["duration"]


def test_a_broken_file_stops_the_start_and_a_file_that_breaks_later_the_load(tmp_path: Path, nano_ggml: Path) -> None:
    model = tmp_path / "ggml-half.bin"
    model.write_bytes(nano_ggml.read_bytes()[:5_000_000])
    env = {"WHISPER_MODEL": "", "WHISPER_MODEL_PATH": str(model)}
    refused = start(tmp_path / "data", **env)

    assert refused.wait(TIMEOUT_S) == 2
    assert refused.stdout is not None
    assert "ggml-half.bin is not a whole GGML model" in refused.stdout.read()
    refused.stdout.close()

    model.write_bytes(nano_ggml.read_bytes())
    with served(tmp_path / "data", **env) as server:
        model.write_bytes(nano_ggml.read_bytes()[:5_000_000])
        server.http.post("/model/load")
        status = until(lambda: _with_error(server.http.get("/model/status").json()))

    assert status["state"] == "unloaded"
    assert "ggml-half.bin is not a whole GGML model" in str(status["last_error"])


def _with_error(status: dict[str, object]) -> dict[str, object]:
    return status if "last_error" in status else {}
