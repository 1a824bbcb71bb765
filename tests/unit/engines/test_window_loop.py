"""The window loop with an adapter that plays a script: which window is decoded how, and what becomes of its text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from scrivano.domain.coverage import Span, holes, words_of
from scrivano.domain.decoding import ChunkResult, DecodingOptions
from scrivano.domain.errors import EngineError, EngineInput, EngineMemory, ModelUnavailable
from scrivano.engines.adapter import Hypothesis, Sample, Window, WindowText
from scrivano.engines.decoding_rules import TokenTimes
from scrivano.engines.engine import AudioChunk, LoadOptions
from scrivano.engines.window_loop import WindowLoop

RATE = 16_000
# Letters are tokens: `a` is 0. Timestamps follow.
SPACE, END_OF_TEXT, BEGIN = 99, 100, 200
OPTIONS = DecodingOptions(temperatures=(0.0, 0.2, 0.4), word_timestamps=False)


def at(seconds: float) -> int:
    return BEGIN + round(seconds / 0.02)


def letters(text: str) -> tuple[int, ...]:
    return tuple(ord(letter) - ord("a") for letter in text)


def heard(text: str, end: float = 30) -> Hypothesis:
    """A text from 0 s to `end`; at 30 s no rest is left."""
    return Hypothesis(tokens=(at(0), *letters(text), at(end)), avg_logprob=-0.1, no_speech_prob=0.0)


UNSURE = replace(heard("unsure"), avg_logprob=-2.0)
GOOD = heard("good")


@dataclass(frozen=True)
class Audio:
    samples: NDArray[np.float32]
    start: float = 0.0
    short: bool = False

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE

    @property
    def padded_length(self) -> int:
        return 5 if self.short else 30

    def fully_padded(self) -> Audio | None:
        return replace(self, short=False) if self.short else None

    def after(self, seconds: float) -> Audio:
        return replace(self, samples=self.samples[round(seconds * RATE) :], start=self.start + seconds)

    def until(self, seconds: float) -> Audio:
        return replace(self, samples=self.samples[: round(seconds * RATE)])


class Letters:
    timestamp_begin, end_of_text = BEGIN, END_OF_TEXT

    def encode(self, text: str) -> list[int]:
        return list(letters(text.strip()))

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(" " if token == SPACE else chr(ord("a") + token) for token in tokens if token < END_OF_TEXT)

    def split_words(self, tokens: list[int], language: str) -> tuple[list[str], list[list[int]]]:
        return [self.decode([token]) for token in tokens], [[token] for token in tokens]


# What the model generates for a window (by its chunk and its start) at a temperature.
Script = Callable[[int, float, float], Hypothesis]


def always(text: Hypothesis) -> Script:
    return lambda chunk, start, temperature: text


@dataclass
class ScriptedAdapter:
    """Keeps a log of what it is asked for. An encoded window is its audio."""

    script: Script = lambda chunk, start, temperature: GOOD
    found: Mapping[str, float] = field(default_factory=lambda: {"en": 0.75, "it": 0.25})
    batching: bool = True
    samples_together: bool = False
    detects_cheaply: bool = True
    short: bool = False
    times: Mapping[int, TokenTimes] = field(default_factory=dict)
    failure: Exception | None = None
    log: list[object] = field(default_factory=list)

    multilingual = True
    languages = ("en", "it")
    tokenizer = Letters()
    context_tokens = 22

    @contextmanager
    def decoding(self, options: DecodingOptions) -> Iterator[None]:
        self.log.append("restart")
        yield

    def window_audio(self, samples: NDArray[np.float32]) -> Audio:
        return Audio(samples, short=self.short)

    def encode(self, audio: Sequence[Audio], options: DecodingOptions) -> list[Audio]:
        if self.failure:
            raise self.failure
        self.log.append(("encode", [one.padded_length for one in audio]))
        return list(audio)

    def detect(
        self, encoded: list[Audio], members: Sequence[int], options: DecodingOptions
    ) -> list[Mapping[str, float]]:
        self.log.append(("detect", list(members)))
        return [self.found for _ in members]

    def search(
        self, encoded: list[Audio], windows: Sequence[Window[Audio]], prompt: Sequence[int], options: DecodingOptions
    ) -> list[Hypothesis]:
        self.log.append(("search", [window.language for window in windows], self.tokenizer.decode(prompt)))
        return [self.script(window.chunk, window.audio.start, 0.0) for window in windows]

    @contextmanager
    def sampling(
        self,
        encoded: list[Audio],
        windows: Sequence[Window[Audio]],
        members: Sequence[int],
        prompt: Sequence[int],
        options: DecodingOptions,
    ) -> Iterator[Sample]:
        def sample(members: Sequence[int], temperature: float) -> Mapping[int, Hypothesis]:
            self.log.append(("sample", list(members), temperature))
            return {i: self.script(windows[i].chunk, windows[i].audio.start, temperature) for i in members}

        yield sample

    def align(
        self, encoded: list[Audio], texts: Mapping[int, WindowText[Audio]], options: DecodingOptions
    ) -> Mapping[int, TokenTimes]:
        self.log.append(("align", {i: self.tokenizer.decode(text.tokens) for i, text in texts.items()}))
        return self.times

    def close(self) -> None:
        self.log.append("close")

    @property
    def samples_drawn(self) -> list[object]:
        return [entry for entry in self.log if isinstance(entry, tuple) and entry[0] == "sample"]


def loop(adapter: ScriptedAdapter) -> WindowLoop[Audio, list[Audio]]:
    def load(options: LoadOptions) -> ScriptedAdapter:
        return adapter

    return WindowLoop(load, LoadOptions(path=Path("model")))


def chunk(language: str | None = "en", languages: tuple[str, ...] = ()) -> AudioChunk:
    """20 s of audio."""
    return AudioChunk(audio=np.zeros(20 * RATE, np.float32), language=language, languages=languages)


def decode(adapter: ScriptedAdapter, *chunks: AudioChunk, options: DecodingOptions = OPTIONS) -> list[ChunkResult]:
    return loop(adapter).decode(chunks, options)


def texts(results: Sequence[ChunkResult]) -> list[list[str]]:
    return [[segment.text for segment in result.segments] for result in results]


# Batches


def test_chunks_are_encoded_together_or_one_by_one() -> None:
    together, alone = ScriptedAdapter(), ScriptedAdapter(batching=False)

    assert texts(decode(together, chunk(), chunk())) == texts(decode(alone, chunk(), chunk())) == [["good"], ["good"]]
    assert together.log[:2] == ["restart", ("encode", [30, 30])]
    assert alone.log == [*together_log(1), *together_log(1)]


def together_log(count: int) -> list[object]:
    return ["restart", ("encode", [30] * count), ("search", ["en"] * count, "")]


def test_a_rest_is_decoded_again_as_a_window_of_its_own() -> None:
    def script(number: int, start: float, temperature: float) -> Hypothesis:
        if start:
            return heard("rest")
        return Hypothesis(tokens=(at(0), *letters("first"), at(8), at(8)), avg_logprob=-0.1, no_speech_prob=0.0)

    [result] = decode(ScriptedAdapter(script), chunk())

    assert [(one.text, one.start, one.end) for one in result.segments] == [("first", 0.0, 8.0), ("rest", 8.0, 20.0)]


def test_a_rest_keeps_the_language_of_its_chunk() -> None:
    adapter = ScriptedAdapter(lambda number, start, temperature: heard("go") if start else heard("stop", end=8))

    decode(adapter, chunk(language=None))

    assert [entry for entry in adapter.log if "detect" in entry] == [("detect", [0])]  # type: ignore[operator]


# Languages


def test_only_chunks_without_a_language_are_detected() -> None:
    adapter = ScriptedAdapter()

    given, detected, chosen = decode(
        adapter, chunk(language="it"), chunk(language=None), chunk(language=None, languages=("it", "fr"))
    )

    assert ("detect", [1, 2]) in adapter.log
    assert ("search", ["it", "en", "it"], "") in adapter.log
    assert (given.language, given.language_probability, given.language_probabilities) == ("it", 1.0, {})
    assert (detected.language, detected.language_probability) == ("en", 0.75)
    assert chosen.language_probabilities == {"it": 1.0}


# Prompt


@pytest.mark.parametrize(
    ("hotwords", "prompt", "expected"),
    [
        (None, None, ""),
        ("hot", None, "hot"),
        (None, "abcdefghijklmnop", "ghijklmnop"),
        ("abcdefghijklmnop", None, "abcdefghij"),
        ("abcdefgh", "qrstuvwxyz", "abcdevwxyz"),
        ("ab", "qrstuvwxyz", "abstuvwxyz"),
    ],
)
def test_a_prompt_takes_at_most_half_of_the_context(hotwords: str | None, prompt: str | None, expected: str) -> None:
    adapter = ScriptedAdapter()

    decode(adapter, chunk(), options=replace(OPTIONS, hotwords=hotwords, initial_prompt=prompt))

    assert ("search", ["en"], expected) in adapter.log


# Fallback


@pytest.mark.parametrize("cheap", [True, False])
def test_the_language_of_a_chunk_is_checked_only_where_that_costs_little(cheap: bool) -> None:
    adapter = ScriptedAdapter(detects_cheaply=cheap)

    [result] = decode(adapter, replace(chunk("it"), check_language=True))

    assert result.language == "it"
    assert result.language_probabilities == (adapter.found if cheap else {})


def test_a_window_is_sampled_until_its_text_is_good() -> None:
    adapter = ScriptedAdapter(lambda number, start, temperature: GOOD if temperature == 0.4 or number else UNSURE)

    first, second = decode(adapter, chunk(), chunk())

    assert adapter.samples_drawn == [("sample", [0], 0.2), ("sample", [0], 0.4)]
    assert (first.segments[0].temperature, second.segments[0].temperature) == (0.4, 0.0)


@pytest.mark.parametrize(
    ("together", "expected"),
    [
        (True, [("sample", [0, 1], 0.2), ("sample", [1], 0.4)]),
        (False, [("sample", [0], 0.2), ("sample", [1], 0.2), ("sample", [1], 0.4)]),
    ],
)
def test_windows_are_sampled_together_or_one_by_one(together: bool, expected: list[object]) -> None:
    adapter = ScriptedAdapter(
        lambda number, start, temperature: GOOD if temperature == (0.2, 0.4)[number] else UNSURE,
        samples_together=together,
    )

    assert texts(decode(adapter, chunk(), chunk())) == [["good"], ["good"]]
    assert adapter.samples_drawn == expected


def test_without_a_temperature_of_0_there_is_no_search() -> None:
    adapter = ScriptedAdapter()

    [result] = decode(adapter, chunk(), options=replace(OPTIONS, temperatures=(0.2, 0.4)))

    assert adapter.log == ["restart", ("encode", [30]), ("sample", [0], 0.2)]
    assert result.segments[0].temperature == 0.2


def test_text_that_repeats_itself_falls_back_too() -> None:
    adapter = ScriptedAdapter(lambda number, start, temperature: GOOD if temperature else heard("ab" * 60))

    assert texts(decode(adapter, chunk())) == [["good"]]


def test_improbable_text_over_silence_is_dropped_and_not_sampled() -> None:
    adapter = ScriptedAdapter(always(replace(UNSURE, no_speech_prob=0.9)))

    assert texts(decode(adapter, chunk())) == [[]]
    assert adapter.samples_drawn == []


# Short padding


@pytest.mark.parametrize("text", [UNSURE, heard("x" * 230)])
def test_a_window_with_little_padding_whose_text_is_poor_is_decoded_with_all_of_it(text: Hypothesis) -> None:
    texts_in_turn = iter([text, GOOD])
    adapter = ScriptedAdapter(lambda number, start, temperature: next(texts_in_turn), short=True)

    [result] = decode(adapter, chunk(language=None), options=replace(OPTIONS, compression_ratio_threshold=99))

    assert [segment.text for segment in result.segments] == ["good"]
    detected = [("encode", [5]), ("detect", [0]), ("search", ["en"], "")]
    assert adapter.log == ["restart", *detected, ("encode", [30]), *detected[1:]], "nothing is sampled between"


@pytest.mark.parametrize(
    ("given", "probability", "lengths"), [(None, 0.5, [5, 30]), (None, 0.7, [5]), ("en", 0.5, [5])]
)
def test_a_language_that_is_not_clear_is_detected_again_with_all_padding(
    given: str | None, probability: float, lengths: list[int]
) -> None:
    adapter = ScriptedAdapter(found={"it": probability, "en": 1 - probability}, short=True)

    decode(adapter, chunk(language=given))

    assert [entry for entry in adapter.log if "encode" in entry] == [("encode", [length]) for length in lengths]  # type: ignore[operator]


def test_windows_of_different_lengths_are_encoded_apart() -> None:
    adapter = ScriptedAdapter(short=True)
    lengths = iter([True, False, True])
    adapter.window_audio = lambda samples: Audio(samples, short=next(lengths))  # type: ignore[method-assign]

    decode(adapter, chunk(), chunk(), chunk())

    assert [entry for entry in adapter.log if "encode" in entry] == [("encode", [5, 5]), ("encode", [30])]  # type: ignore[operator]


# Words


def test_words_get_the_times_of_their_tokens() -> None:
    times = TokenTimes(starts=(1.0, 1.4, 1.8), probabilities=(0.5, 0.75))
    adapter = ScriptedAdapter(always(heard("hi")), times={0: times})

    [result] = decode(adapter, chunk(), options=replace(OPTIONS, word_timestamps=True))

    assert ("align", {0: "hi"}) in adapter.log
    assert [(word.text, word.start, word.probability) for word in result.segments[0].words] == [
        ("h", 1.0, 0.5),
        ("i", 1.4, 0.75),
    ]


def test_a_model_that_cannot_align_gives_text_without_words() -> None:
    [result] = decode(ScriptedAdapter(), chunk(), options=replace(OPTIONS, word_timestamps=True))

    assert [(one.text, one.words) for one in result.segments] == [("good", ())]


def test_the_last_word_ends_a_text_without_a_closing_timestamp() -> None:
    times = TokenTimes(starts=(1.0, 2.0, 9.0), probabilities=(0.5, 0.5))
    open_end = Hypothesis(tokens=(at(0), *letters("hi")), avg_logprob=-0.1, no_speech_prob=0.0)
    starts: list[float] = []

    def script(number: int, start: float, temperature: float) -> Hypothesis:
        starts.append(start)
        return replace(open_end, tokens=()) if start else open_end

    decode(ScriptedAdapter(script, times={0: times}), chunk(), options=replace(OPTIONS, word_timestamps=True))

    assert len(starts) == 2
    assert 2.0 < starts[1] < 20.0


def test_blank_segments_keep_their_tokens_only_if_these_have_times_already() -> None:
    """Else the times of the other tokens would belong to wrong ones."""
    blank = letters("hi"), (at(4), at(4)), (SPACE,), (at(5), at(5)), letters("yo")
    tokens = (at(0), *(token for part in blank for token in part), at(30))
    times = TokenTimes(starts=(0.0, 1.0, 2.0, 4.0, 6.0, 7.0), probabilities=(0.5,) * 5)
    untimed = Hypothesis(tokens=tokens, avg_logprob=-0.1, no_speech_prob=0.0)
    for found, aligned in ((untimed, "hiyo"), (replace(untimed, times=times), "hi yo")):
        adapter = ScriptedAdapter(always(found), times={0: times})

        [result] = decode(adapter, chunk(), options=replace(OPTIONS, word_timestamps=True))

        assert ("align", {0: aligned}) in adapter.log
        assert [segment.text for segment in result.segments] == ["hi", "yo"]


# The engine


def test_the_warm_up_decodes_a_second_and_fails_as_a_load_does() -> None:
    adapter = ScriptedAdapter()
    loop(adapter).warm_up()

    assert ("search", ["en"], "") in adapter.log
    with pytest.raises(ModelUnavailable, match="the model cannot be read: no way"):
        loop(ScriptedAdapter(failure=ValueError("no way"))).warm_up()


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (RuntimeError("CUDA failed with error out of memory"), EngineMemory),
        (ValueError("anything else"), EngineInput),
        (ModelUnavailable("gone"), ModelUnavailable),
    ],
)
def test_a_failure_of_the_library_is_an_engine_error(failure: Exception, expected: type[EngineError]) -> None:
    with pytest.raises(expected):
        decode(ScriptedAdapter(failure=failure), chunk())


def test_a_load_that_fails_is_an_engine_error() -> None:
    def load(options: LoadOptions) -> ScriptedAdapter:
        raise RuntimeError("Unable to open file 'model.bin'")

    with pytest.raises(ModelUnavailable, match=r"model\.bin"):
        WindowLoop(load, LoadOptions(path=Path("model")))


def test_a_chunk_that_the_model_cannot_decode_is_refused() -> None:
    with pytest.raises(EngineInput, match="language 'fr'"):
        decode(ScriptedAdapter(), chunk(language="fr"))


def test_a_closed_model_decodes_nothing_and_is_closed_once() -> None:
    adapter = ScriptedAdapter()
    engine = loop(adapter)
    engine.close()
    engine.close()

    with pytest.raises(ModelUnavailable, match="closed"):
        engine.decode([chunk()], OPTIONS)
    assert adapter.log == ["close"]


# Speech without words


def spoken(text: str, start: float, end: float) -> Hypothesis:
    """A text with the times of its letters, which an adapter that aligns as it generates returns."""
    step = (end - start) / len(text)
    times = TokenTimes(starts=tuple(start + step * n for n in range(len(text) + 1)), probabilities=(0.9,) * len(text))
    return Hypothesis(tokens=(at(start), *letters(text), at(end)), avg_logprob=-0.1, no_speech_prob=0.0, times=times)


SENTENCE = "thequickbrownfoxjumpsoverthelazydogandrunsawaywhilethecatsleepsinthewarmsun"


class Leaving(ScriptedAdapter):
    """A model that leaves out what follows the first second of a window of more than 15 s, and is unsure of a rest."""

    def search(
        self, encoded: list[Audio], windows: Sequence[Window[Audio]], prompt: Sequence[int], options: DecodingOptions
    ) -> list[Hypothesis]:
        self.log.append(("search", [round(window.audio.start) for window in windows], options.beam_size))
        return [
            replace(
                spoken("abc", 0.2, 1.0),
                tokens=(at(0), *letters("abc"), at(window.audio.seconds)),
                avg_logprob=-0.9 if window.audio.start else -0.1,
            )
            if window.audio.seconds > 15
            else spoken(SENTENCE, 0.2, window.audio.seconds - 0.2)
            for window in windows
        ]

    def align(
        self, encoded: list[Audio], texts: Mapping[int, WindowText[Audio]], options: DecodingOptions
    ) -> Mapping[int, TokenTimes]:
        return {i: text.decoding.times for i, text in texts.items() if text.decoding.times is not None}


def speech(*pauses: float, seconds: float = 20.0) -> AudioChunk:
    """Noise with pauses of 0.4 s at these times."""
    audio = np.random.default_rng(0).standard_normal(round(seconds * RATE)).astype(np.float32) * 0.1
    for pause in pauses:
        audio[round(pause * RATE) : round((pause + 0.4) * RATE)] = 0
    return AudioChunk(audio=audio, language="en", speech=(Span(0.0, seconds),))


TIMED = replace(OPTIONS, word_timestamps=True)


def searches(adapter: ScriptedAdapter) -> list[object]:
    return [entry for entry in adapter.log if isinstance(entry, tuple) and entry[0] == "search"]


@pytest.mark.parametrize("options", [TIMED, OPTIONS])
def test_speech_without_words_is_decoded_again_from_the_last_pause_before_it(options: DecodingOptions) -> None:
    adapter = Leaving()

    [result] = decode(adapter, speech(1.1, 5.6), options=options)

    first, second, third = searches(adapter)
    assert (first, second) == (("search", [0], 5), ("search", [1], 5))
    assert third in [("search", [start, 6], 1) for start in (1, 2)], "what is left is decoded alone"
    assert [segment.text for segment in result.segments] == ["abc", SENTENCE, SENTENCE]
    assert [bool(segment.words) for segment in result.segments] == [options.word_timestamps] * 3
    assert {round(span.end) for span in result.repaired} == {20}


def test_without_word_times_guessed_words_are_no_repair_either() -> None:
    """They are as many as the speech has letters, so that their times would not be asked for."""

    class Guessing(Leaving):
        def search(
            self,
            encoded: list[Audio],
            windows: Sequence[Window[Audio]],
            prompt: Sequence[int],
            options: DecodingOptions,
        ) -> list[Hypothesis]:
            found = super().search(encoded, windows, prompt, options)
            dense = [spoken(SENTENCE * 2, 0.2, window.audio.seconds - 0.2) for window in windows]
            return [
                one if window.audio.seconds > 15 else many
                for one, many, window in zip(found, dense, windows, strict=True)
            ]

        def align(
            self, encoded: list[Audio], texts: Mapping[int, WindowText[Audio]], options: DecodingOptions
        ) -> Mapping[int, TokenTimes]:
            found = super().align(encoded, texts, options)
            return {i: replace(one, probabilities=(0.5,) * len(one.probabilities)) for i, one in found.items()}

    [result] = decode(Guessing(), speech(1.1, seconds=15.6), options=OPTIONS)

    assert ([segment.text for segment in result.segments], result.repaired) == (["abc"], ())


def test_without_a_pause_before_the_hole_the_chunk_is_divided_in_it() -> None:
    adapter = Leaving()

    [result] = decode(adapter, speech(5.6), options=TIMED)

    assert searches(adapter) == [("search", [0], 5), ("search", [0, 6], 5)]
    assert [segment.text for segment in result.segments] == [SENTENCE, SENTENCE]


def test_a_chunk_without_known_speech_is_decoded_once() -> None:
    adapter = Leaving()

    decode(adapter, replace(speech(5.6), speech=()), options=TIMED)

    assert len([entry for entry in adapter.log if "search" in entry]) == 1  # type: ignore[operator]


def test_without_word_times_a_segment_does_not_hide_the_hole_in_it() -> None:
    """The model draws one sentence over 16 s of speech that it leaves out. Nothing is repaired here."""
    half = (len(SENTENCE) + 1) // 2
    starts = [0.2 + 0.1 * n + (16.0 if n >= half else 0.0) for n in range(len(SENTENCE) + 1)]
    times = TokenTimes(starts=tuple(starts), probabilities=(0.9,) * len(SENTENCE))
    adapter = ScriptedAdapter(always(replace(heard(SENTENCE, end=25), times=times)), times={0: times})
    options = replace(OPTIONS, repair_share=0.0)

    [result] = decode(adapter, speech(seconds=25.0), options=options)

    first, second = result.segments
    assert (first.text + second.text, first.words, second.words) == (SENTENCE, (), ())
    assert first.end < 6
    assert second.start > 18
    assert holes((Span(0.0, 25.0),), words_of(result.segments)) != []


def test_repairs_take_no_more_than_their_share() -> None:
    adapter = Leaving()

    [result] = decode(adapter, speech(5.6), options=replace(TIMED, repair_share=0.5))

    assert len([entry for entry in adapter.log if "search" in entry]) == 1  # type: ignore[operator]
    assert ([segment.text for segment in result.segments], result.repaired) == (["abc"], ())
