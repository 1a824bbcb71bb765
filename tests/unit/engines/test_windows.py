"""How long windows and chunks are."""

from __future__ import annotations

from pathlib import Path

import pytest

from scrivano.engines.catalog import NANO_FOLDER, encoder_width
from scrivano.engines.windows import are_short, max_chunk_s


@pytest.mark.parametrize(
    ("latency", "name", "device", "short"),
    [
        ("auto", "base", "cpu", True),
        ("auto", "base.en", "cpu", True),
        ("auto", "Systran/faster-whisper-base.en", "cpu", True),
        ("auto", "base", "cuda", False),
        ("auto", "tiny.en", "cpu", False),
        ("auto", "small", "cpu", False),
        ("auto", "somebody/whisper-base-of-mine", "cpu", False),
        ("fast", "large-v3", "cuda", True),
        ("normal", "base", "cpu", False),
    ],
)
def test_windows_are_short_for_models_that_were_tried_with_them(
    latency: str, name: str, device: str, short: bool
) -> None:
    assert are_short(latency, name, None, device=device) is short


def test_windows_of_whisper_cpp_are_whole(tmp_path: Path) -> None:
    file = tmp_path / "ggml-base.bin"
    file.touch()

    assert not are_short("fast", "base", file, device="cpu")


def test_chunks_fit_into_short_windows_with_a_second_of_silence() -> None:
    assert (max_chunk_s(short=True), max_chunk_s(short=False)) == (19.0, 30.0)


def test_the_width_of_a_model_on_disk_is_in_its_file(tmp_path: Path) -> None:
    assert encoder_width("", NANO_FOLDER) == 128

    (tmp_path / "model.bin").write_bytes((NANO_FOLDER / "model.bin").read_bytes()[:1000])
    assert encoder_width("base", tmp_path) is None
    assert encoder_width("base", tmp_path / "missing") is None
