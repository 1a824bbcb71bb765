"""What we use of faster-whisper beyond its documented interface.

If a test fails here, it has changed: adapt `processor.py`, then raise the upper bound in pyproject.toml.
"""

from __future__ import annotations

import ctranslate2
import numpy as np
import pytest
from engine_support import NANO_FOLDER, samples
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer

from scrivano.domain.job import Task
from scrivano.engines.ct2.processor import Processor, load


@pytest.fixture(scope="module")
def whisper() -> WhisperModel:
    return WhisperModel(str(NANO_FOLDER), device="cpu", compute_type="int8", cpu_threads=1, num_workers=1)


@pytest.fixture(scope="module")
def processor(whisper: WhisperModel) -> Processor:
    return Processor(whisper)


def test_the_loader_loads_ctranslate2_s_model() -> None:
    model, processor = load(
        NANO_FOLDER, device="cpu", device_index=0, compute_type="int8", cpu_threads=1, num_workers=1
    )

    assert isinstance(model, ctranslate2.models.Whisper)
    assert (processor.context_tokens, processor.multilingual) == (448, True)
    assert {"en", "it"} <= set(processor.languages)


def test_features_are_80_mels_of_10_ms(processor: Processor) -> None:
    audio = samples("en-exact-0.flac")

    features = processor.features(audio)

    assert features.shape == (80, len(audio) // 160)
    assert features.dtype == np.float32
    assert processor.features(np.zeros(0, np.float32)).shape == (80, 0)
    assert np.array_equal(pad_or_trim(features)[:, : features.shape[1]], features)


def test_special_tokens_are_those_of_whisper(processor: Processor) -> None:
    assert (processor.end_of_text, processor.timestamp_begin) == (50257, 50364)
    assert processor.start_sequence("it", Task.TRANSLATE) == [50258, 50274, 50358]


def test_tokens_that_stand_for_noises_and_tasks_are_suppressed(processor: Processor, whisper: WhisperModel) -> None:
    suppressed = processor.suppressed_tokens

    assert suppressed == sorted(set(suppressed))
    assert {50258, 50358, 50359, 50360, 50361, 50362} <= set(suppressed)
    for sign in ("♪", "[", "(", " -"):
        assert whisper.hf_tokenizer.encode(sign, add_special_tokens=False).ids[0] in suppressed
    assert whisper.hf_tokenizer.encode(" the", add_special_tokens=False).ids[0] not in suppressed


@pytest.mark.parametrize("previous", [[], [5, 6, 7]])
def test_a_prompt_is_the_one_that_faster_whisper_builds(
    processor: Processor, whisper: WhisperModel, previous: list[int]
) -> None:
    tokenizer = Tokenizer(whisper.hf_tokenizer, True, task="transcribe", language="en")

    assert processor.prompt(previous, "en", Task.TRANSCRIBE) == whisper.get_prompt(tokenizer, previous)


def test_text_becomes_tokens_words_and_text_again(processor: Processor) -> None:
    tokens = processor.encode(" The park's late.")

    assert processor.decode([50364, *tokens, 50400]) == " The park's late."
    words, groups = processor.split_words(tokens, "en")
    assert words == [" The", " park's", " late", "."]
    assert [token for group in groups for token in group] == tokens
    assert processor.split_words(tokens, "zh")[0] == [" The", " park", "'s", " late", "."], "no spaces between words"
