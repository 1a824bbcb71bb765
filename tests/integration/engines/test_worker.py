"""The engine child as a real process, through its wire."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_support import NANO_FOLDER, RATE, TIMEOUT_S, Wire, described, prepared, samples, worker

NAME = "en-exact-0.flac"


def decode(*chunks: dict[str, Any], request_id: int = 7, **options: Any) -> dict[str, Any]:
    return {"type": "decode", "id": request_id, "options": options, "chunks": list(chunks)}


def chunk(path: Path, *pieces: list[int], language: str | None = None) -> dict[str, Any]:
    return {"path": str(path), "pieces": list(pieces), "language": language, "task": "transcribe"}


@pytest.fixture
def recording(tmp_path: Path) -> dict[str, Any]:
    """A chunk of two pieces that are the whole recording."""
    audio = samples(NAME)
    return chunk(prepared(tmp_path, audio), [0, 8000], [8000, len(audio)])


def text(answer: dict[str, Any]) -> str:
    return " ".join(segment["text"] for segment in answer["results"][0]["segments"])


def test_load_decode_close(recording: dict[str, Any]) -> None:
    with worker() as child:
        loaded = child.load()
        child.send(decode(recording, beam_size=5, temperatures=[0.0, 0.4]))
        result = child.receive()
        child.send({"type": "close"})

        assert loaded["type"] == "loaded"
        assert loaded["warm_up_s"] > 0
        assert (result["type"], result["id"]) == ("result", 7)
        assert text(result) == described()[NAME]["text"]
        assert result["results"][0]["language"] == "en"
        assert child.process.wait(TIMEOUT_S) == 0


def test_a_decode_beside_another_one_does_not_wait_for_it(recording: dict[str, Any]) -> None:
    with worker() as child:
        child.load()
        # In one write: the first one may be done before this process runs again.
        both = decode(*[recording] * 16, request_id=1), decode(recording, request_id=2, urgent=True)
        child.send("\n".join(map(json.dumps, both)))
        first, second = child.receive(), child.receive()

        assert [first["id"], second["id"]] == [2, 1]
        assert first["results"] == second["results"][:1]


def test_a_piece_is_cut_out_of_the_prepared_file(tmp_path: Path) -> None:
    audio = samples(NAME)
    silence = np.zeros(3 * RATE, np.float32)
    path = prepared(tmp_path, np.concatenate([silence, audio, silence]))
    with worker() as child:
        child.load()
        child.send(decode(chunk(path, [len(silence), len(silence) + len(audio)])))

        assert text(child.receive()) == described()[NAME]["text"]


def test_a_model_folder_may_be_named(recording: dict[str, Any]) -> None:
    with worker(ENGINE_MALLOC="default") as child:
        assert child.load(model="mine", path=str(NANO_FOLDER))["type"] == "loaded"


def test_bad_requests_are_answered_and_the_next_one_works(recording: dict[str, Any], tmp_path: Path) -> None:
    path = Path(recording["path"])
    bad: list[tuple[dict[str, Any] | str, int | None, str]] = [
        ("no json", None, "cannot be understood"),
        ("[1, 2]", None, "cannot be understood"),
        ("", None, "cannot be understood"),
        ({"type": "dance"}, None, "dance"),
        (decode(recording, beam_size="wide"), 7, "beam_size"),
        ({"type": "decode", "id": "x", "options": {}, "chunks": []}, None, "valid integer"),
        ({"type": "decode", "id": 7}, 7, "options"),
        (decode({"path": str(path)}), 7, "pieces"),
        (decode(chunk(path)), 7, "at least one piece"),
        (decode(chunk(path, [5, 5])), 7, "from 5 to 5"),
        (decode(chunk(path, [-5, 5])), 7, "from -5 to 5"),
        (decode(chunk(path, [0, 10**9])), 7, "ends at"),
        (decode(chunk(tmp_path / "missing.s16", [0, 5])), 7, "No such file"),
        (decode(chunk(path, [0, 5], language="xx")), 7, "language 'xx'"),
    ]
    with worker() as child:
        child.load()
        for request, request_id, message in bad:
            child.send(request)
            answer = child.receive()
            assert (answer["type"], answer["id"], answer["kind"]) == ("failed", request_id, "input"), request
            assert message in answer["message"]
        child.send(decode(recording))
        assert text(child.receive()) == described()[NAME]["text"]


def test_a_decode_before_a_load_is_told(recording: dict[str, Any]) -> None:
    with worker() as child:
        child.send(decode(recording))

        answer = child.receive()
        assert (answer["kind"], answer["id"]) == ("model", 7)
        assert "load" in answer["message"]


def test_a_load_that_fails_says_why_and_another_may_follow() -> None:
    bad: list[tuple[dict[str, str], str]] = [
        ({"model": "large-v9"}, "unknown model 'large-v9'; did you mean large"),
        ({"path": "/nowhere/model"}, "does not exist"),
        ({"path": "/nowhere/ggml-base.bin"}, "does not exist"),
        ({"path": str(NANO_FOLDER.parent)}, "lacks model.bin"),
        ({"compute_type": "float13"}, "float13"),
        ({"device": "abacus"}, "abacus"),
    ]
    with worker() as child:
        for changes, message in bad:
            answer = child.load(**changes)
            assert (answer["type"], answer["id"], answer["kind"]) == ("failed", None, "model"), changes
            assert message in answer["message"]
        assert child.load()["type"] == "loaded"


def test_the_end_of_stdin_ends_the_child_in_the_middle_of_a_decode(recording: dict[str, Any]) -> None:
    with worker() as child:
        child.load()
        # Minutes of work: the child can be neither done nor between two requests when stdin ends.
        child.send(decode(*[recording] * 200, logprob_threshold=0.5, no_speech_threshold=1.0))
        assert child.process.stdin is not None
        child.process.stdin.close()

        assert child.process.wait(TIMEOUT_S / 4) == 0
        assert child.process.stdout is not None
        assert child.process.stdout.read() == b""


def test_a_killed_child_leaves_nothing_half_said(recording: dict[str, Any]) -> None:
    with worker() as child:
        child.load()
        child.send(decode(*[recording] * 200, logprob_threshold=0.5, no_speech_threshold=1.0))
        child.process.kill()

        assert child.process.wait(TIMEOUT_S) == -signal.SIGKILL
        assert child.process.stdout is not None
        assert child.process.stdout.read() == b""


def test_what_a_library_prints_does_not_reach_the_wire(recording: dict[str, Any]) -> None:
    noisy = (
        "import os, sys\n"
        "from scrivano.engines import worker\n"
        "from scrivano.processes.channel import Channel\n"
        "from scrivano.processes.messages import EngineMessage, EngineRequest, Load, encoder, parser\n"
        "def open_engine(request, send):\n"
        "    print('hello'); sys.stdout.flush(); os.write(1, b'from C')\n"
        "    return worker.open_engine(request, send)\n"
        "channel = Channel(parser(EngineRequest), encoder(EngineMessage))\n"
        "one = worker.Worker(channel.send, open_engine)\n"
        "one.handle(Load(model='nano', device='cpu', compute_type='int8', cpu_threads=1))\n"
    )
    with worker(("-c", noisy)) as child:
        assert child.receive()["type"] == "loaded"


def test_two_children_do_not_disturb_each_other(recording: dict[str, Any]) -> None:
    answers: list[dict[str, Any]] = []

    def one(child: Wire) -> None:
        child.load()
        child.send(decode(recording))
        answers.append(child.receive())

    with worker() as first, worker() as second:
        threads = [threading.Thread(target=one, args=(child,)) for child in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT_S)

    assert [text(answer) for answer in answers] == [described()[NAME]["text"]] * 2
