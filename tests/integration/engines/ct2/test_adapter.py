"""What only the CTranslate2 adapter has: a folder, compute types, and a model that is replaced to sample anew."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine_support import NANO_FOLDER, described, samples

from scrivano.domain.decoding import DecodingOptions
from scrivano.domain.errors import EngineInput, ModelUnavailable
from scrivano.engines.ct2.adapter import Ct2Adapter
from scrivano.engines.ct2.model import Division
from scrivano.engines.engine import AudioChunk, Engine, LoadOptions
from scrivano.engines.window_loop import WindowLoop

NAME = "en-exact-0.flac"
LOAD = LoadOptions(path=NANO_FOLDER, compute_type="int8", cpu_threads=2)
NEVER_GOOD = DecodingOptions(temperatures=(0.0, 0.4, 1.0), logprob_threshold=0.5, no_speech_threshold=1.0)


def loaded(options: LoadOptions) -> Engine:
    return WindowLoop(Ct2Adapter, options)


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"lacks model.bin, config.json, tokenizer.json"):
        loaded(replace(LOAD, path=tmp_path))


def test_a_broken_model_is_told(tmp_path: Path) -> None:
    shutil.copytree(NANO_FOLDER, tmp_path / "model")
    (tmp_path / "model" / "model.bin").write_bytes(b"nonsense")

    with pytest.raises(ModelUnavailable):
        loaded(replace(LOAD, path=tmp_path / "model"))


def test_a_compute_type_that_the_device_lacks_is_told() -> None:
    with pytest.raises(ModelUnavailable, match="float16"):
        loaded(replace(LOAD, compute_type="float16"))


def test_a_replacement_that_failed_is_tried_again(tmp_path: Path) -> None:
    """A window that is sampled after another needs the model anew; here its file is away for a while."""
    folder = tmp_path / "model"
    shutil.copytree(NANO_FOLDER, folder)
    engine = loaded(replace(LOAD, path=folder))
    engine.decode([AudioChunk(audio=samples(NAME), language=None)], NEVER_GOOD)
    (folder / "model.bin").rename(folder / "away")
    with pytest.raises(EngineInput):
        engine.decode([AudioChunk(audio=samples(NAME), language=None)], NEVER_GOOD)
    (folder / "away").rename(folder / "model.bin")

    [result] = engine.decode([AudioChunk(audio=samples(NAME), language=None)], DecodingOptions())

    assert " ".join(segment.text for segment in result.segments) == described()[NAME]["text"]
    engine.close()


EXACT = sorted(name for name, entry in described().items() if "-exact-" in name and entry["exact"])


def test_short_windows_give_the_same_words_in_any_batch() -> None:
    engine = loaded(replace(LOAD, fast=True))
    batch = [AudioChunk(audio=samples(name), language=None) for name in EXACT]

    together = engine.decode(batch, DecodingOptions())
    alone = [engine.decode([one], DecodingOptions())[0] for one in reversed(batch)][::-1]
    engine.close()

    assert [" ".join(segment.text for segment in result.segments) for result in together] == [
        described()[name]["text"] for name in EXACT
    ]
    assert alone == together


def test_a_short_window_that_comes_out_poorly_is_heard_in_full() -> None:
    fast, full = loaded(replace(LOAD, fast=True)), loaded(LOAD)
    doubted = [AudioChunk(audio=samples(EXACT[0]), language=None)]

    assert fast.decode(doubted, DecodingOptions()) != full.decode(doubted, DecodingOptions())
    assert fast.decode(doubted, NEVER_GOOD) == full.decode(doubted, NEVER_GOOD)

    fast.close()
    full.close()


def test_elsewhere_than_on_a_cpu_failing_windows_are_sampled_together() -> None:
    """`auto` takes the CPU, too, but the adapter takes it for a device like a GPU."""
    engine = loaded(replace(LOAD, device="auto"))
    silence = AudioChunk(audio=np.zeros(16_000, np.float32), language="en")
    speech = [AudioChunk(audio=samples(name), language=None) for name in EXACT[:2]]

    once = engine.decode([*speech, silence], replace(NEVER_GOOD, temperatures=(0.2,)))
    never = engine.decode([*speech, silence], NEVER_GOOD)
    good = engine.decode(speech, DecodingOptions())
    engine.close()

    assert len(once) == len(never) == 3
    for result in once[:2]:
        assert {segment.temperature for segment in result.segments} == {0.2}
    for result in never[:2]:
        assert {segment.temperature for segment in result.segments} <= {0.0, 0.4, 1.0}
        assert result.segments
    assert [" ".join(segment.text for segment in result.segments) for result in good] == [
        described()[name]["text"] for name in EXACT[:2]
    ]


def test_two_threads_get_what_each_gets_alone_while_one_of_them_samples() -> None:
    """Sampling replaces the model under the other thread's feet, window by window."""
    engine = loaded(LOAD)
    good = [AudioChunk(audio=samples(name), language=None) for name in EXACT[:3]]
    work = [(good, DecodingOptions(yielding=True)), (good[:2], replace(NEVER_GOOD, urgent=True))]
    alone = [engine.decode(batch, options) for batch, options in work]

    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(lambda one: engine.decode(*one), work * 2))
    engine.close()

    assert together == alone * 2


def test_what_a_model_knows_can_be_asked_while_another_thread_replaces_it() -> None:
    adapter = Ct2Adapter(LOAD)
    adapter.close()  # a model that is being replaced has no weights either

    assert adapter.multilingual
    assert {"en", "it"} <= set(adapter.languages)


@pytest.mark.parametrize(
    ("cores", "parts", "threads"), [(1, 1, 1), (2, 2, 1), (3, 3, 1), (4, 2, 2), (8, 2, 4), (16, 4, 4), (64, 16, 4)]
)
def test_the_work_on_a_batch_is_divided_among_all_cores(cores: int, parts: int, threads: int) -> None:
    assert Division.of(cores) == Division(parts, threads)
