"""What we use of pywhispercpp's C bindings, which have no documentation.

If a test fails here, they have changed: adapt `model.py`, then raise the upper bound in pyproject.toml.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine_support import described, samples

from scrivano.engines.engine import LoadOptions

cpp = pytest.importorskip("_pywhispercpp", reason="pywhispercpp is not installed")

from scrivano.engines.whisper_cpp import model as whisper_cpp  # noqa: E402
from scrivano.engines.whisper_cpp.model import CppModel, Request  # noqa: E402

NAME = "en-exact-0.flac"


@pytest.fixture(scope="module")
def model(nano_ggml: Path) -> Iterator[CppModel]:
    loaded = CppModel(LoadOptions(path=nano_ggml, cpu_threads=1))
    yield loaded
    loaded.close()


def request_for(audio: np.ndarray[tuple[int], np.dtype[np.float32]]) -> Request:
    return Request(
        samples=audio, language="en", task="transcribe", prompt=(), max_tokens=215, beam_size=1, temperature=0.0
    )


def test_every_binding_that_is_used_is_there() -> None:
    tree = ast.parse(inspect.getsource(whisper_cpp))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "cpp"
    }

    assert len(used) > 15
    assert {name for name in used if not hasattr(cpp, name)} == set()


def test_every_field_that_is_set_is_there() -> None:
    """A wrong name would only become an attribute of Python's, if the binding's classes allowed that."""
    parameters = (cpp.whisper_context_default_params(), cpp.whisper_full_default_params(strategy()))
    known = {name for one in parameters for name in dir(one)}
    tree = ast.parse(inspect.getsource(whisper_cpp))
    fields = {
        target.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "params"
    }

    assert {"temperature", "single_segment", "dtw_token_timestamps"} <= fields <= known


def strategy() -> object:
    return cpp.whisper_sampling_strategy.WHISPER_SAMPLING_GREEDY


def test_each_list_of_alignment_heads_is_there() -> None:
    names = {*whisper_cpp.ALIGNMENT_HEADS.values(), *whisper_cpp.ALIGNMENT_HEADS_V3.values(), "N_TOP_MOST"}

    assert all(hasattr(cpp.whisper_alignment_heads_preset, f"WHISPER_AHEADS_{name}") for name in names)


def test_facts_about_the_model(model: CppModel) -> None:
    assert (model.multilingual, model.context_tokens) == (True, 448)
    assert (model.end_of_text, model.timestamp_begin) == (50257, 50364)
    assert len(model.languages) == 99
    assert len(model.text_tokens()) == 50257


def test_a_text_has_timestamps_and_its_end_and_each_token_a_time(model: CppModel) -> None:
    audio = samples(NAME)

    found = model.generate(request_for(audio))

    assert found[-1].id == model.end_of_text
    assert found[0].id >= model.timestamp_begin
    words = [token for token in found if token.id < model.end_of_text]
    assert all(0 < token.probability <= 1 and token.logprob <= 0 for token in found)
    assert all(0 <= token.end <= len(audio) / 16_000 + 0.1 for token in words)
    vocabulary = model.text_tokens()
    assert b"".join(vocabulary[token.id] for token in words).decode().strip() == described()[NAME]["text"]


def test_languages_have_probabilities(model: CppModel) -> None:
    found = model.detect(samples(NAME))

    assert max(found, key=lambda code: found[code]) == "en"
    assert sum(found.values()) == pytest.approx(1, abs=1e-3)


def test_the_silence_test_tells_speech_from_silence(model: CppModel) -> None:
    assert not model.is_silent(request_for(samples(NAME)), 0.6)
    assert model.is_silent(request_for(np.zeros(48_000, np.float32)), 0.6)


def test_a_restart_repeats_the_random_numbers(model: CppModel) -> None:
    request = replace(request_for(samples(NAME)), temperature=1.0)
    texts = []
    for _ in range(2):
        model.restart()
        texts.append(model.generate(request))

    assert texts[0] == texts[1]
