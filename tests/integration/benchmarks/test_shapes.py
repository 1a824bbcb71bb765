"""Random weights in a large model's format (128 mels, 51,866 tokens, float16) behave as the model they stand for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.shapes import LARGE_SHAPES, write_model
from scrivano.domain.decoding import DecodingOptions
from scrivano.engines.ct2.adapter import Ct2Adapter
from scrivano.engines.engine import AudioChunk, LoadOptions
from scrivano.engines.window_loop import WindowLoop

TOKENS = 8


def test_every_window_gives_the_same_number_of_words_at_any_beam(tmp_path: Path) -> None:
    folder = write_model(tmp_path, LARGE_SHAPES["mini-128"], TOKENS)
    engine = WindowLoop(Ct2Adapter, LoadOptions(path=folder, compute_type="int8", cpu_threads=1))
    noise = np.random.default_rng(1).normal(0, 0.1, 160_000).astype(np.float32)
    chunks = [AudioChunk(audio=noise, language=None), AudioChunk(audio=noise[::-1].copy(), language="yue")]
    found = [result for beam in (1, 5) for result in engine.decode(chunks, DecodingOptions(beam_size=beam))]
    engine.close()

    assert [one.language for one in found] == ["en", "yue"] * 2
    assert {len(one.segments) for one in found} == {1}
    assert {len(one.segments[0].words) for one in found} == {TOKENS}
    assert {one.segments[0].temperature for one in found} == {0.0}
