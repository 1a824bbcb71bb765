"""The batched engine with the bundled model and recordings of known words."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine_support import NANO_FOLDER, RATE, described, samples

from scrivano.engines import AudioChunk, ChunkResult, DecodingOptions
from scrivano.engines.whisper_ct2 import LoadOptions, WhisperCt2
from scrivano.errors import EngineInput, ModelUnavailable
from scrivano.transcript import Segment, segment_from_dict, segment_to_dict

EXACT = sorted(name for name, entry in described().items() if "-exact-" in name and entry["exact"])
LOAD = LoadOptions(folder=NANO_FOLDER, compute_type="int8", cpu_threads=2)
OPTIONS = DecodingOptions()
NEVER_GOOD = DecodingOptions(temperatures=(0.0, 0.4, 1.0), logprob_threshold=0.5, no_speech_threshold=1.0)
"""No log-probability reaches 0.5: every window falls through all temperatures."""


@pytest.fixture(scope="module")
def engine() -> Iterator[WhisperCt2]:
    loaded = WhisperCt2(LOAD)
    loaded.warm_up()
    yield loaded
    loaded.close()


def chunk(name: str, language: str | None = None, task: str = "transcribe") -> AudioChunk:
    return AudioChunk(audio=samples(name), language=language, task=task)


def text(result: ChunkResult) -> str:
    return " ".join(segment.text for segment in result.segments)


def mixed_batch() -> list[AudioChunk]:
    italian = next(name for name in EXACT if name.startswith("it"))
    return [
        *(chunk(name) for name in EXACT),
        chunk(italian, "it", "translate"),
        chunk("silence-0.flac"),
        chunk("noise-0.flac"),
    ]


def test_a_mixed_batch_gives_every_chunk_its_own_words(engine: WhisperCt2) -> None:
    batch = mixed_batch()

    results = engine.decode(batch, OPTIONS)

    for name, result in zip(EXACT, results, strict=False):
        assert text(result) == described()[name]["text"]
        assert result.language == described()[name]["language"]
        assert result.language_probability > 0.9
    translated = results[len(EXACT)]
    assert (translated.language, translated.language_probability) == ("it", 1.0)
    assert " the " in text(translated).lower()
    assert [result.segments for result in results[-2:]] == [(), ()]
    assert [engine.decode([one], OPTIONS)[0] for one in batch] == results


def test_a_detection_tells_what_else_it_could_be(engine: WhisperCt2) -> None:
    english, given = engine.decode([chunk("en-exact-0.flac"), chunk("en-exact-0.flac", "en")], OPTIONS)

    assert list(english.language_probabilities)[:2] == ["en", "it"]
    assert english.language_probabilities["en"] == english.language_probability
    assert sum(english.language_probabilities.values()) == pytest.approx(1, abs=1e-3)
    assert given.language_probabilities == {}
    assert given.segments == english.segments


def test_a_language_is_found_among_the_allowed_ones(engine: WhisperCt2) -> None:
    english = chunk("en-exact-0.flac")

    only, both, wide = engine.decode(
        [replace(english, languages=languages) for languages in (("fr", "it"), ("en", "it"), ())], OPTIONS
    )

    assert (only.language, list(only.language_probabilities)) == ("it", ["it", "fr"])
    assert sum(only.language_probabilities.values()) == pytest.approx(1)
    assert only.segments == engine.decode([replace(english, language="it")], OPTIONS)[0].segments
    assert both.language == "en"
    assert both.language_probability == pytest.approx(wide.language_probability, abs=1e-3)
    with pytest.raises(EngineInput, match="none of the languages xx, yy"):
        engine.decode([replace(english, languages=("xx", "yy"))], OPTIONS)


def test_greedy_gives_the_same_words(engine: WhisperCt2) -> None:
    results = engine.decode([chunk(name) for name in EXACT], replace(OPTIONS, beam_size=1))

    assert [text(result) for result in results] == [described()[name]["text"] for name in EXACT]


def test_hot_words_and_prompt_stand_before_the_window_and_leave_room_for_its_text(engine: WhisperCt2) -> None:
    long = "perhaps " * 600
    name = EXACT[0]
    before = engine.decode([chunk(name, "en")], OPTIONS)[0]

    for hotwords, prompt in ((None, "Minutes of the board."), ("Scrivano, Ferrara", None), (long, None), (long, long)):
        told = replace(OPTIONS, hotwords=hotwords, initial_prompt=prompt, temperatures=(0.0,))
        result = engine.decode([chunk(name, "en")], told)[0]
        assert result.segments != before.segments, "the model heard nothing of it"


def test_one_temperature_is_the_only_one_that_is_tried(engine: WhisperCt2) -> None:
    for temperature in (0.0, 0.4):
        only = replace(NEVER_GOOD, temperatures=(temperature,))
        (result,) = engine.decode([chunk(EXACT[0], "en")], only)
        assert {segment.temperature for segment in result.segments} == {temperature}


def test_sampling_gives_the_same_text_in_any_batch_and_any_process(engine: WhisperCt2) -> None:
    batch = [chunk(name, described()[name]["language"]) for name in EXACT[:2]]

    together = engine.decode(batch, NEVER_GOOD)
    engine.decode(batch[1:], NEVER_GOOD)
    alone = [engine.decode([one], NEVER_GOOD)[0] for one in reversed(batch)][::-1]
    other = WhisperCt2(LOAD)

    assert alone == together
    assert other.decode(batch, NEVER_GOOD) == together
    other.close()


def test_temperatures_alone_sample_from_the_start(engine: WhisperCt2) -> None:
    [result] = engine.decode([chunk(EXACT[0])], DecodingOptions(temperatures=(0.2,)))

    assert {segment.temperature for segment in result.segments} == {0.2}


def test_only_the_failing_chunk_is_sampled(engine: WhisperCt2) -> None:
    """A tone over speech makes the model unsure; its neighbour keeps the search's text."""
    clear = chunk(EXACT[0], described()[EXACT[0]]["language"])
    [good] = engine.decode([clear], OPTIONS)
    threshold = good.segments[0].avg_logprob - 0.01
    unsure = replace(clear, audio=clear.audio + noise(len(clear.audio), level=0.05))
    options = replace(OPTIONS, logprob_threshold=threshold, no_speech_threshold=1.0)

    results = engine.decode([unsure, clear], options)

    assert results[1].segments == good.segments
    assert results[0] == engine.decode([unsure], options)[0]


def noise(length: int, level: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return (np.random.default_rng(3).standard_normal(length) * level).astype(np.float32)


def all_segments(results: Sequence[ChunkResult]) -> list[Segment]:
    return [segment for result in results for segment in result.segments]


def test_words_join_to_the_text_and_lie_in_the_segment(engine: WhisperCt2) -> None:
    results = engine.decode([chunk(name) for name in EXACT], OPTIONS)

    for segment in all_segments(results):
        assert "".join(word.text for word in segment.words) == segment.text == segment.text.strip()
        assert all(0 < word.probability <= 1 for word in segment.words)
        times = [segment.start, *(word.start for word in segment.words)]
        assert times == sorted(times)
        assert segment.start <= segment.words[-1].end <= segment.end + 1e-6
    for result, name in zip(results, EXACT, strict=True):
        starts = [segment.start for segment in result.segments]
        assert starts == sorted(starts)
        assert result.segments[-1].end <= described()[name]["duration"] + 0.01


def test_words_are_heard_about_when_they_are_said(engine: WhisperCt2) -> None:
    errors = []
    for name, result in zip(EXACT, engine.decode([chunk(name) for name in EXACT], OPTIONS), strict=True):
        said = [start for sentence in described()[name]["sentences"] for start, _ in sentence["words"]]
        heard = [word.start for segment in result.segments for word in segment.words]
        errors += [abs(a - b) for a, b in zip(said, heard, strict=False) if len(said) == len(heard)]

    assert len(errors) > 50
    assert np.median(errors) < 0.3
    assert np.quantile(errors, 0.9) < 0.8


def test_without_word_timestamps_there_are_no_words(engine: WhisperCt2) -> None:
    [result] = engine.decode([chunk(EXACT[0])], replace(OPTIONS, word_timestamps=False))

    assert text(result) == described()[EXACT[0]]["text"]
    assert all(segment.words == () for segment in result.segments)


def test_segments_survive_the_wire_and_hold_text_tokens_only(engine: WhisperCt2) -> None:
    for segment in all_segments(engine.decode([chunk(EXACT[0])], OPTIONS)):
        assert segment_from_dict(segment_to_dict(segment)) == segment
        assert type(segment.start) is type(segment.words[0].probability) is float
        assert 0 < max(segment.tokens) < 50257  # the end of text, timestamps follow it


def test_speech_behind_an_early_end_is_heard(engine: WhisperCt2) -> None:
    """Two recordings with a long pause in one chunk: the model may close its text at the pause."""
    first, second = (samples(name) for name in EXACT[:2])
    pause = np.zeros(30 * RATE - len(first) - len(second), np.float32)

    [result] = engine.decode([AudioChunk(audio=np.concatenate([first, pause, second]), language="en")], OPTIONS)

    assert described()[EXACT[1]]["text"].split()[-1] in text(result)
    assert result.segments[-1].end > 25


@pytest.mark.parametrize("audio", [np.zeros(0, np.float32), np.zeros(1, np.float32), np.zeros(80, np.float32)])
def test_next_to_no_audio_is_silence(engine: WhisperCt2, audio: np.ndarray[tuple[int], np.dtype[np.float32]]) -> None:
    assert engine.decode([AudioChunk(audio=audio, language="en")], OPTIONS)[0].segments == ()


def test_no_chunks_give_no_results(engine: WhisperCt2) -> None:
    assert engine.decode([], OPTIONS) == []


def test_an_initial_prompt_is_taken(engine: WhisperCt2) -> None:
    [result] = engine.decode([chunk(EXACT[0])], replace(OPTIONS, initial_prompt="The director."))

    assert result.segments


SECOND = AudioChunk(audio=np.zeros(RATE, np.float32), language="en")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (replace(SECOND, language="xx"), "does not know the language 'xx'"),
        (replace(SECOND, task="sing"), "unknown task 'sing'"),
        (replace(SECOND, audio=np.zeros(31 * RATE, np.float32)), "at most 30 s"),
    ],
)
def test_a_chunk_that_cannot_be_decoded_is_refused(engine: WhisperCt2, bad: AudioChunk, message: str) -> None:
    with pytest.raises(EngineInput, match=message):
        engine.decode([bad], OPTIONS)


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"lacks model.bin, config.json, tokenizer.json"):
        WhisperCt2(replace(LOAD, folder=tmp_path))


def test_a_broken_model_is_told(tmp_path: Path) -> None:
    shutil.copytree(NANO_FOLDER, tmp_path / "model")
    (tmp_path / "model" / "model.bin").write_bytes(b"nonsense")

    with pytest.raises(ModelUnavailable):
        WhisperCt2(replace(LOAD, folder=tmp_path / "model"))


def test_a_compute_type_that_the_device_lacks_is_told() -> None:
    with pytest.raises(ModelUnavailable, match="float16"):
        WhisperCt2(replace(LOAD, compute_type="float16"))


def test_a_closed_engine_says_so_and_closes_twice() -> None:
    engine = WhisperCt2(LOAD)
    engine.close()
    engine.close()

    with pytest.raises(ModelUnavailable, match="closed"):
        engine.decode([chunk(EXACT[0])], OPTIONS)


def test_a_replacement_that_failed_is_tried_again(tmp_path: Path) -> None:
    """A window that is sampled after another needs the model anew; here its file is away for a while."""
    folder = tmp_path / "model"
    shutil.copytree(NANO_FOLDER, folder)
    engine = WhisperCt2(replace(LOAD, folder=folder))
    engine.decode([chunk(EXACT[0])], NEVER_GOOD)
    (folder / "model.bin").rename(folder / "away")
    with pytest.raises(EngineInput):
        engine.decode([chunk(EXACT[0])], NEVER_GOOD)
    (folder / "away").rename(folder / "model.bin")

    [result] = engine.decode([chunk(EXACT[0])], OPTIONS)

    assert text(result) == described()[EXACT[0]]["text"]
    engine.close()
