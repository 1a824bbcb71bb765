"""What only the whisper.cpp adapter has: model files of every kind, and a library that is not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from engine_support import NANO_FOLDER, Wire, described, prepared, samples, worker

from scrivano.domain.decoding import DecodingOptions
from scrivano.domain.errors import ModelUnavailable
from scrivano.engines.engine import AudioChunk, LoadOptions
from scrivano.engines.ggml import check_ggml
from scrivano.engines.window_loop import WindowLoop

pytest.importorskip("_pywhispercpp", reason="pywhispercpp is not installed")

NAME = "en-exact-0.flac"
WITHOUT_THE_EXTRA = (
    "import sys; sys.modules['_pywhispercpp'] = None; from scrivano.engines import worker; worker.main()"
)


def file_with(folder: Path, data: bytes) -> Path:
    path = folder / "model.bin"
    path.write_bytes(data)
    return path


def test_a_whole_model_is_let_through(nano_ggml: Path) -> None:
    check_ggml(nano_ggml)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a GGML model"),
        (b"lm", "not a GGML model"),
        (b"<!doctype html>", "not a GGML model"),
        (b"GGUF" + bytes(100), "GGUF file, which whisper.cpp does not read"),
        (b"lmgg", "ends early"),
        (b"lmgg" + bytes(56), "no tensors"),
        (b"lmgg" + bytes(56) + b"\1\0\0\0\1\0\0\0\x77\0\0\0\4\0\0\0x", "unknown kind"),
        (b"lmgg" + b"\xff" * 56, "ends early"),
    ],
)
def test_a_file_that_is_no_model_is_told(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(ModelUnavailable, match=message):
        check_ggml(file_with(tmp_path, data))


@pytest.mark.parametrize("part", [0.00001, 0.001, 0.03, 0.5, 0.999999])
def test_a_truncated_model_is_told(tmp_path: Path, nano_ggml: Path, part: float) -> None:
    whole = nano_ggml.read_bytes()

    with pytest.raises(ModelUnavailable, match=r"ends early.*download it again"):
        check_ggml(file_with(tmp_path, whole[: int(len(whole) * part)]))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="No such file"):
        check_ggml(tmp_path / "missing.bin")


def load(child: Wire, path: Path) -> dict[str, object]:
    return child.load(model=path.stem, path=str(path))


def test_a_child_that_cannot_load_a_file_says_why_and_loads_another(tmp_path: Path, nano_ggml: Path) -> None:
    whole = nano_ggml.read_bytes()
    with_too_few_tensors = whole[: whole.rindex(b"decoder.blocks.2.mlp_ln.bias") - 16]
    with worker() as child:
        for path, message in (
            (NANO_FOLDER / "model.bin", "folder with a CTranslate2 model"),
            (file_with(tmp_path, with_too_few_tensors), "not all tensors loaded"),
        ):
            failed = load(child, path)
            assert (failed["type"], failed["kind"]) == ("failed", "model")
            assert message in str(failed["message"])

        loaded = load(child, nano_ggml)
        assert loaded["type"] == "loaded"
        audio = samples(NAME)
        piece = {"path": str(prepared(tmp_path, audio)), "pieces": [[0, len(audio)]], "language": "en"}
        child.send({"type": "decode", "id": 1, "options": {}, "chunks": [piece]})
        [result] = child.receive()["results"]
        assert " ".join(segment["text"] for segment in result["segments"]) == described()[NAME]["text"]


def test_without_the_extra_a_file_s_load_says_how_to_get_it(nano_ggml: Path) -> None:
    with worker(("-c", WITHOUT_THE_EXTRA)) as child:
        failed = load(child, nano_ggml)

        assert (failed["type"], failed["kind"]) == ("failed", "model")
        assert "pip install 'scrivano[whispercpp]'" in str(failed["message"])
        assert child.load()["type"] == "loaded", "a folder needs no extra"


def test_nothing_is_printed_and_the_process_ends_well(nano_ggml: Path) -> None:
    """Not through the child, which takes stdout away from libraries and does not wait for their end."""
    code = (
        "import sys, numpy; from pathlib import Path; from scrivano.engines.whisper_cpp.adapter import CppAdapter\n"
        "from scrivano.engines.engine import LoadOptions; from scrivano.engines.window_loop import WindowLoop\n"
        "engine = WindowLoop(CppAdapter, LoadOptions(path=Path(sys.argv[1]), cpu_threads=1)); engine.warm_up()\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(nano_ggml)], capture_output=True, text=True, check=False)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_a_build_without_cuda_takes_the_processor(nano_ggml: Path, caplog: pytest.LogCaptureFixture) -> None:
    from scrivano.engines.whisper_cpp.adapter import CppAdapter

    engine = WindowLoop(CppAdapter, LoadOptions(path=nano_ggml, device="cuda", cpu_threads=1))
    engine.warm_up()
    engine.close()

    assert "whisper.cpp uses no GPU" in caplog.text


def test_silence_after_speech_is_not_the_speech_again(nano_ggml: Path) -> None:
    from scrivano.engines.whisper_cpp.adapter import CppAdapter

    engine = WindowLoop(CppAdapter, LoadOptions(path=nano_ggml, cpu_threads=1))
    speech = AudioChunk(audio=samples(NAME), language="en")
    silence = AudioChunk(audio=np.zeros(3 * 16_000, np.float32), language="en")
    unsure = DecodingOptions(temperatures=(0.0,), logprob_threshold=0.0, beam_size=1)

    results = engine.decode([speech, silence, speech], unsure)

    assert results[1].segments == ()
    assert results[0] == results[2]
    assert results[0].segments, "it is improbable enough to be silence, and is none"
    engine.close()
