"""What the engine contract says, for each adapter: the same model as both libraries read it, and known recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from engine_support import NANO_FOLDER, RATE, described, samples

from scrivano.domain.decoding import ChunkResult, DecodingOptions
from scrivano.domain.errors import EngineInput, ModelUnavailable
from scrivano.domain.transcript import Segment
from scrivano.engines.engine import AudioChunk, Engine, LoadOptions
from scrivano.engines.window_loop import WindowLoop
from scrivano.processes.messages import encoder, parser

EXACT = sorted(name for name, entry in described().items() if "-exact-" in name and entry["exact"])
OPTIONS = DecodingOptions()
# No log-probability reaches 0.5: every window falls through all temperatures.
NEVER_GOOD = DecodingOptions(temperatures=(0.0, 0.4), logprob_threshold=0.5, no_speech_threshold=1.0)

OpenEngine = Callable[[], Engine]


@pytest.fixture(scope="module", params=["CTranslate2", "whisper.cpp"])
def open_engine(request: pytest.FixtureRequest) -> OpenEngine:
    """Loads the bundled model once more."""
    if request.param == "CTranslate2":
        from scrivano.engines.ct2.adapter import Ct2Adapter

        nano = LoadOptions(path=NANO_FOLDER, compute_type="int8", cpu_threads=2)
        return lambda: WindowLoop(Ct2Adapter, nano)
    pytest.importorskip("_pywhispercpp", reason="pywhispercpp is not installed")
    from scrivano.engines.whisper_cpp.adapter import CppAdapter

    file = LoadOptions(path=request.getfixturevalue("nano_ggml"), cpu_threads=1)
    return lambda: WindowLoop(CppAdapter, file)


@pytest.fixture(scope="module")
def engine(open_engine: OpenEngine) -> Iterator[Engine]:
    loaded = open_engine()
    loaded.warm_up()
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def exact(engine: Engine) -> list[ChunkResult]:
    """What the engine makes of the exact recordings."""
    return engine.decode([chunk(name) for name in EXACT], OPTIONS)


def chunk(name: str, language: str | None = None, task: str = "transcribe") -> AudioChunk:
    return AudioChunk(audio=samples(name), language=language, task=task)


def text(result: ChunkResult) -> str:
    return " ".join(segment.text for segment in result.segments)


def test_the_exact_recordings_come_out_word_for_word(exact: list[ChunkResult]) -> None:
    for name, result in zip(EXACT, exact, strict=True):
        assert text(result) == described()[name]["text"]
        assert result.language == described()[name]["language"]
        assert result.language_probability > 0.9


def test_a_detection_tells_what_else_it_could_be(engine: Engine) -> None:
    english, given = engine.decode([chunk("en-exact-0.flac"), chunk("en-exact-0.flac", "en")], OPTIONS)

    assert list(english.language_probabilities)[:2] == ["en", "it"]
    assert english.language_probabilities["en"] == english.language_probability
    assert sum(english.language_probabilities.values()) == pytest.approx(1, abs=1e-3)
    assert given.language_probabilities == {}
    assert given.segments == english.segments


def test_a_language_is_found_among_the_allowed_ones(engine: Engine) -> None:
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


def test_a_mixed_batch_gives_every_chunk_what_it_gets_alone(engine: Engine, exact: list[ChunkResult]) -> None:
    italian = next(name for name in EXACT if name.startswith("it"))
    batch = [
        chunk(italian, "it", "translate"),
        chunk("silence-0.flac"),
        chunk(EXACT[1]),
        chunk("noise-0.flac"),
        chunk(italian),
    ]

    results = engine.decode(batch, OPTIONS)

    assert (results[0].language, results[0].language_probability) == ("it", 1.0)
    assert " the " in text(results[0]).lower()
    assert (results[1].segments, results[3].segments) == ((), ())
    assert results[2] == exact[1]
    assert results[4] == exact[EXACT.index(italian)]
    assert [engine.decode([one], OPTIONS)[0] for one in batch[:2]] == results[:2]


def test_greedy_gives_the_same_words(engine: Engine) -> None:
    results = engine.decode([chunk(name) for name in EXACT[::2]], replace(OPTIONS, beam_size=1))

    assert [text(result) for result in results] == [described()[name]["text"] for name in EXACT[::2]]


def test_hot_words_and_prompt_stand_before_the_window_and_leave_room_for_its_text(engine: Engine) -> None:
    long = "perhaps " * 600
    name = EXACT[0]
    before = engine.decode([chunk(name, "en")], OPTIONS)[0]

    for hotwords, prompt in ((None, "Minutes of the board."), ("Scrivano, Ferrara", None), (long, None), (long, long)):
        told = replace(OPTIONS, hotwords=hotwords, initial_prompt=prompt, temperatures=(0.0,))
        result = engine.decode([chunk(name, "en")], told)[0]
        assert result.segments != before.segments, "the model heard nothing of it"


def test_one_temperature_is_the_only_one_that_is_tried(engine: Engine) -> None:
    for temperature in (0.0, 0.4):
        only = replace(NEVER_GOOD, temperatures=(temperature,))
        (result,) = engine.decode([chunk(EXACT[0], "en")], only)
        assert {segment.temperature for segment in result.segments} == {temperature}


@pytest.mark.slow
def test_sampling_gives_the_same_text_in_any_batch_and_any_engine(engine: Engine, open_engine: OpenEngine) -> None:
    batch = [chunk(name, described()[name]["language"]) for name in EXACT[:2]]

    together = engine.decode(batch, NEVER_GOOD)
    alone = engine.decode(batch[1:], NEVER_GOOD)
    other = open_engine()

    assert alone == together[1:]
    assert other.decode(batch[::-1], NEVER_GOOD) == together[::-1]
    other.close()


def test_temperatures_alone_sample_from_the_start(engine: Engine) -> None:
    [result] = engine.decode([chunk(EXACT[0])], DecodingOptions(temperatures=(0.2,)))

    assert {segment.temperature for segment in result.segments} == {0.2}


def test_only_the_failing_chunk_is_sampled(engine: Engine) -> None:
    """A tone over speech makes the model unsure; its neighbour keeps the search's text."""
    clear = chunk(EXACT[0], described()[EXACT[0]]["language"])
    [good] = engine.decode([clear], OPTIONS)
    threshold = good.segments[0].avg_logprob - 0.01
    unsure = replace(clear, audio=clear.audio + noise(len(clear.audio), level=0.05))
    options = replace(NEVER_GOOD, logprob_threshold=threshold)

    results = engine.decode([unsure, clear], options)

    assert results[1].segments == good.segments
    assert results[0] == engine.decode([unsure], options)[0]


def noise(length: int, level: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return (np.random.default_rng(3).standard_normal(length) * level).astype(np.float32)


def all_segments(results: Sequence[ChunkResult]) -> list[Segment]:
    return [segment for result in results for segment in result.segments]


def test_words_join_to_the_text_and_lie_in_the_segment(exact: list[ChunkResult]) -> None:
    for segment in all_segments(exact):
        assert "".join(word.text for word in segment.words) == segment.text == segment.text.strip()
        assert all(0 < word.probability <= 1 for word in segment.words)
        times = [segment.start, *(word.start for word in segment.words)]
        assert times == sorted(times)
        assert segment.start <= segment.words[-1].end <= segment.end + 1e-6
    for result, name in zip(exact, EXACT, strict=True):
        starts = [segment.start for segment in result.segments]
        assert starts == sorted(starts)
        assert result.segments[-1].end <= described()[name]["duration"] + 0.01


def test_words_are_heard_about_when_they_are_said(exact: list[ChunkResult]) -> None:
    errors = []
    for name, result in zip(EXACT, exact, strict=True):
        said = [start for sentence in described()[name]["sentences"] for start, _ in sentence["words"]]
        heard = [word.start for segment in result.segments for word in segment.words]
        errors += [abs(a - b) for a, b in zip(said, heard, strict=False) if len(said) == len(heard)]

    assert len(errors) > 50
    assert np.median(errors) < 0.3
    assert np.quantile(errors, 0.9) < 0.8


def test_without_word_timestamps_there_are_no_words(engine: Engine) -> None:
    [result] = engine.decode([chunk(EXACT[0])], replace(OPTIONS, word_timestamps=False))

    assert text(result) == described()[EXACT[0]]["text"]
    assert all(segment.words == () for segment in result.segments)


def test_segments_survive_the_wire_and_hold_text_tokens_only(exact: list[ChunkResult]) -> None:
    assert [parser(ChunkResult)(encoder(ChunkResult)(result)) for result in exact] == exact
    for segment in all_segments(exact):
        assert type(segment.start) is type(segment.words[0].probability) is float
        assert 0 < max(segment.tokens) < 50257  # the end of text, timestamps follow it


def test_speech_behind_an_early_end_is_heard(engine: Engine) -> None:
    """Two recordings with a long pause in one chunk: the model may close its text at the pause."""
    first, second = (samples(name) for name in EXACT[:2])
    pause = np.zeros(30 * RATE - len(first) - len(second), np.float32)

    [result] = engine.decode([AudioChunk(audio=np.concatenate([first, pause, second]), language="en")], OPTIONS)

    # Not every word: on processors with other arithmetic, the model hears some of them differently in this window.
    spoken, heard = described()[EXACT[1]]["text"].split(), text(result).split()
    assert sum(word in heard for word in spoken) > len(spoken) / 2
    assert result.segments[-1].end > 25


@pytest.mark.parametrize("audio", [np.zeros(0, np.float32), np.zeros(1, np.float32), np.zeros(80, np.float32)])
def test_next_to_no_audio_is_silence(engine: Engine, audio: np.ndarray[tuple[int], np.dtype[np.float32]]) -> None:
    assert engine.decode([AudioChunk(audio=audio, language="en")], OPTIONS)[0].segments == ()


def test_no_chunks_give_no_results(engine: Engine) -> None:
    assert engine.decode([], OPTIONS) == []


def test_an_initial_prompt_is_taken(engine: Engine) -> None:
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
def test_a_chunk_that_cannot_be_decoded_is_refused(engine: Engine, bad: AudioChunk, message: str) -> None:
    with pytest.raises(EngineInput, match=message):
        engine.decode([bad], OPTIONS)


def test_a_closed_engine_says_so_and_closes_twice(open_engine: OpenEngine) -> None:
    engine = open_engine()
    engine.close()
    engine.close()

    with pytest.raises(ModelUnavailable, match="closed"):
        engine.decode([chunk(EXACT[0])], OPTIONS)
