"""The window loop: decodes chunks window by window with Whisper's rules, whatever library runs the model.

Here are all the steps that do not need the library: the prompt, the choice of the language, the fallback from
temperature to temperature, the silence test, segments by timestamps, the rest of a window, the placing of words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Generic

import numpy as np

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.domain.coverage import USUAL_LETTERS, WORD_S, Span, between, holes, letters, seconds_of, words_of
from scrivano.domain.decoding import ChunkResult, DecodingOptions
from scrivano.domain.errors import EngineError, ModelUnavailable
from scrivano.domain.transcript import Segment
from scrivano.engines.adapter import A, Adapter, E, Hypothesis, Window, WindowText
from scrivano.engines.decoding_rules import (
    Decoding,
    Split,
    Spoken,
    TokenTimes,
    best_decoding,
    checked_language,
    compression_ratio,
    is_silence,
    likeliest,
    needs_fallback,
    prompt_tokens,
    rest_of,
    split_by_timestamps,
    token_cap,
)
from scrivano.engines.engine import RANKED, AudioChunk, LoadOptions
from scrivano.engines.failures import classify
from scrivano.engines.onsets import without_pauses
from scrivano.engines.pauses import pauses
from scrivano.engines.repair import ATTEMPTS, Attempt, copy_seconds, is_better, plan, spliced, trusted
from scrivano.engines.unsaid import without_words
from scrivano.engines.words import TimedText, place_words, timed_segments

__all__ = ["WindowLoop"]


class WindowLoop(Generic[A, E]):
    """An `Engine` that is made of an adapter.

    It has no state of its own that a decode changes: an adapter that two threads may use makes an engine that they may
    use.
    """

    def __init__(self, load: Callable[[LoadOptions], Adapter[A, E]], options: LoadOptions) -> None:
        """Load the model. Raises `EngineError`."""
        self._closed = False
        with _engine_errors(loading=True):
            self._adapter = load(options)

    def warm_up(self) -> None:
        silence = AudioChunk(audio=np.zeros(SAMPLE_RATE, np.float32), language=self._adapter.languages[0])
        with _engine_errors(loading=True):
            self._decode([silence], DecodingOptions(temperatures=(0.0,)))

    def decode(self, batch: Sequence[AudioChunk], options: DecodingOptions) -> list[ChunkResult]:
        with _engine_errors(loading=False):
            return self._decode(batch, options)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._adapter.close()

    def _decode(self, batch: Sequence[AudioChunk], options: DecodingOptions) -> list[ChunkResult]:
        if self._closed:
            raise ModelUnavailable("the model was closed")
        groups = [batch] if self._adapter.batching else [[chunk] for chunk in batch]
        return [result for group in groups for result in _BatchRun(self._adapter, group, options).results()]


@contextmanager
def _engine_errors(*, loading: bool) -> Iterator[None]:
    """The border of the model library: raises its exceptions as `EngineError`."""
    try:
        yield
    except EngineError:
        raise
    except Exception as error:
        raise classify(error, loading=loading) from error


@dataclass(slots=True)
class _Progress:
    """The result of a chunk while it grows attempt by attempt. `repair_s`: audio that may be decoded once more."""

    language: str = ""
    language_probability: float = 1.0
    language_probabilities: Mapping[str, float] = field(default_factory=dict)
    segments: tuple[Segment, ...] = ()
    repaired: tuple[Span, ...] = ()
    repair_s: float = 0.0


# A language that is less probable than this in a window with little padding is detected again in one with all of it:
# in a clip of 2.6 s, English had 0.21 and then 0.94.
CLEAR_LANGUAGE = 0.6

# The segments of stretches, by the chunk's place in the batch and the number of the stretch.
Stretches = dict[tuple[int, int], list[Segment]]


class _BatchRun(Generic[A, E]):
    """One decode of chunks that are encoded together: rounds of windows, until each chunk is decoded to its end."""

    def __init__(self, adapter: Adapter[A, E], batch: Sequence[AudioChunk], options: DecodingOptions) -> None:
        self._adapter = adapter
        self._batch = batch
        self._options = options
        self._tokenizer = adapter.tokenizer
        self._prompt = prompt_tokens(self._tokenizer.encode, options, context=adapter.context_tokens)
        self._progress = [_Progress() for _ in batch]

    def results(self) -> list[ChunkResult]:
        with self._adapter.decoding(self._options):
            whole = [self._first_window(place, chunk) for place, chunk in enumerate(self._batch)]
            for (place, _), segments in self._decoded(whole).items():
                self._progress[place].segments = tuple(segments)
            for number in range(ATTEMPTS):
                self._repair(whole, number)
        return [
            ChunkResult(
                language=one.language,
                language_probability=one.language_probability,
                language_probabilities=one.language_probabilities,
                segments=self._exact(chunk, one.segments),
                repaired=one.repaired,
            )
            for chunk, one in zip(self._batch, self._progress, strict=True)
        ]

    def _exact(self, chunk: AudioChunk, segments: Sequence[Segment]) -> tuple[Segment, ...]:
        if not self._options.word_timestamps:
            return without_words(segments, holes(chunk.speech, words_of(segments)))
        return without_pauses(segments, pauses(chunk.audio))

    def _decoded(self, windows: Sequence[Window[A]]) -> Stretches:
        """Decode stretches of chunks to their ends."""
        segments: Stretches = {(window.chunk, window.stretch): [] for window in windows}
        while windows:
            by_length: dict[int, list[Window[A]]] = {}
            for window in windows:
                by_length.setdefault(window.audio.padded_length, []).append(window)
            windows = [left for group in by_length.values() for left in self._round(group, segments)]
        return segments

    # Speech without words.

    def _repair(self, whole: Sequence[Window[A]], number: int) -> None:
        """Decode what has no words once more, all chunks together; `whole`: the windows of whole chunks."""
        attempts = {window.chunk: attempt for window in whole if (attempt := self._attempt(window, number)).stretches}
        for greedy in (False, True):
            self._decode_again(whole, {place: one for place, one in attempts.items() if one.greedy is greedy}, greedy)

    def _decode_again(self, whole: Sequence[Window[A]], attempts: Mapping[int, Attempt], greedy: bool) -> None:
        windows = [
            replace(
                whole[place],
                audio=whole[place].audio.until(stretch.end).after(stretch.start),
                language=self._progress[place].language,
                stretch=n,
            )
            for place, attempt in attempts.items()
            for n, stretch in enumerate(attempt.stretches)
        ]
        if windows:
            options = replace(
                self._options,
                temperatures=self._options.temperatures[:1],
                beam_size=1 if greedy else self._options.beam_size,
                word_timestamps=True,  # how sure the model is of the words decides whether they are taken
            )
            again = _BatchRun(self._adapter, self._batch, options)._decoded(windows)
            for place, attempt in attempts.items():
                pairs = [(stretch, again[place, n]) for n, stretch in enumerate(attempt.stretches)]
                for some in [[pair] for pair in pairs] if attempt.alone else [pairs]:
                    self._take(place, some)

    def _attempt(self, window: Window[A], number: int) -> Attempt:
        progress = self._progress[window.chunk]
        if number == 0:
            progress.repair_s = self._options.repair_share * window.audio.seconds
        chunk = self._batch[window.chunk]
        words = words_of(trusted(progress.segments, self._options))
        empty = holes(chunk.speech, words)
        if not empty:
            return Attempt()
        quiet, copy_s = pauses(chunk.audio), copy_seconds(progress.segments)
        attempt = plan(number, empty, words, quiet, window.audio.seconds, copy_s)
        if attempt.seconds > progress.repair_s:
            return Attempt()
        progress.repair_s -= attempt.seconds
        return attempt

    def _take(self, place: int, texts: Sequence[tuple[Span, Sequence[Segment]]]) -> None:
        """Take the new texts of stretches of a chunk, if it is better with them."""
        progress = self._progress[place]
        chunk = self._batch[place]
        speech = chunk.speech
        repaired = progress.segments
        for stretch, text in texts:
            repaired = spliced(repaired, stretch, text)
        new = [segment for _, text in texts for segment in text]
        if is_better(speech, progress.segments, repaired, new, self._options, pauses(chunk.audio)):
            left = holes(speech, words_of(trusted(repaired, self._options)))
            before = holes(speech, words_of(trusted(progress.segments, self._options)))
            progress.repaired += tuple(hole for hole in before if hole not in left)
            progress.segments = repaired

    def _first_window(self, place: int, chunk: AudioChunk) -> Window[A]:
        language = checked_language(chunk, self._adapter.languages, multilingual=self._adapter.multilingual)
        self._progress[place].language = language or ""
        audio = self._adapter.window_audio(chunk.audio)
        return Window(chunk=place, audio=audio, language=language or "", languages=chunk.languages, task=chunk.task)

    def _round(self, windows: Sequence[Window[A]], segments: Stretches) -> list[Window[A]]:
        """Decode windows of one length into `segments`, and return those that are left to decode."""
        encoded = self._adapter.encode([window.audio for window in windows], self._options)
        located = self._with_languages(encoded, windows)
        decodings = self._decodings(encoded, located)
        texts: dict[int, WindowText[A]] = {}
        left: list[Window[A]] = []
        for i, (window, decoding) in enumerate(zip(located, decodings, strict=True)):
            padded = window.audio.fully_padded()
            unsure = not windows[i].language and self._progress[window.chunk].language_probability < CLEAR_LANGUAGE
            if padded is not None and (unsure or self._is_doubtful(window, decoding)):
                # The window as it was: its language is detected again, too, for the same padding as its text.
                left.append(replace(windows[i], audio=padded))
            else:
                texts[i] = self._text(window, decoding)
        untimed = self._to_align(texts)
        times = self._adapter.align(encoded, untimed, self._options) if untimed else {}
        for i, text in texts.items():
            timed = self._timed(text, times.get(i))
            audio = text.window.audio
            segments[text.window.chunk, text.window.stretch] += timed_segments(
                text.decoding, text.spoken, timed, offset=audio.start
            )
            last_word_end = timed[-1].words[-1].end if timed and timed[-1].words else None
            rest = rest_of(text.split, seconds=audio.seconds, last_word_end=last_word_end)
            if rest is not None:
                left.append(replace(text.window, audio=audio.after(rest)))
        return left

    def _with_languages(self, encoded: E, windows: Sequence[Window[A]]) -> list[Window[A]]:
        """Detect the language of those windows that have none, and of those whose chunk asks for it all the same."""
        unknown = [i for i, window in enumerate(windows) if not window.language or self._is_asked(window)]
        located = list(windows)
        for i, found in zip(
            unknown, self._adapter.detect(encoded, unknown, self._options) if unknown else (), strict=True
        ):
            ranked = likeliest(found, windows[i].languages, RANKED)
            progress = self._progress[windows[i].chunk]
            progress.language_probabilities = ranked
            if not windows[i].language:
                progress.language, progress.language_probability = next(iter(ranked.items()))
                located[i] = replace(windows[i], language=progress.language)
        return located

    def _is_asked(self, window: Window[A]) -> bool:
        chunk = self._batch[window.chunk]
        asked = chunk.detect or (chunk.check_language and self._adapter.detects_cheaply)
        return asked and window.audio.start == 0 and self._adapter.multilingual

    # The fallback ladder.

    def _decodings(self, encoded: E, windows: Sequence[Window[A]]) -> list[Decoding]:
        """The best decoding of each window: a search, then samples at rising temperatures until one is good."""
        options = self._options
        tried: list[list[Decoding]] = [[] for _ in windows]
        failed: Sequence[int] = range(len(windows))
        if options.temperatures[0] == 0:
            for i, found in enumerate(self._adapter.search(encoded, windows, self._prompt, options)):
                tried[i].append(self._decoding(found, 0.0))
            # A window with too little padding is searched again with all of it before anything is sampled.
            failed = [
                i
                for i, window in enumerate(windows)
                if needs_fallback(tried[i][-1], options) and window.audio.fully_padded() is None
            ]
        temperatures = [temperature for temperature in options.temperatures if temperature > 0]
        groups = [list(failed)] if self._adapter.samples_together else [[i] for i in failed]
        for group in groups if failed and temperatures else ():
            with self._adapter.sampling(encoded, windows, group, self._prompt, options) as sample:
                for temperature in temperatures:
                    for i, found in sample(group, temperature).items():
                        tried[i].append(self._decoding(found, temperature))
                    group = [i for i in group if needs_fallback(tried[i][-1], options)]
                    if not group:
                        break
        return [best_decoding(decodings, options) for decodings in tried]

    def _decoding(self, found: Hypothesis, temperature: float) -> Decoding:
        return Decoding(
            tokens=found.tokens,
            avg_logprob=found.avg_logprob,
            no_speech_prob=found.no_speech_prob,
            compression_ratio=compression_ratio(self._tokenizer.decode(found.tokens).strip()),
            temperature=temperature,
            times=found.times,
        )

    def _is_doubtful(self, window: Window[A], decoding: Decoding) -> bool:
        """Whether the text may suffer from too little padding: it fails the gates, or its end is not the model's."""
        capped = len(decoding.tokens) >= token_cap(window.audio.seconds)
        return capped or needs_fallback(decoding, self._options)

    # Segments and words.

    def _to_align(self, texts: Mapping[int, WindowText[A]]) -> Mapping[int, WindowText[A]]:
        """Those texts whose words need times: all if they are asked for, else those that may leave speech out."""
        if self._options.word_timestamps:
            return texts
        return {i: text for i, text in texts.items() if self._is_thin(text)}

    def _is_thin(self, text: WindowText[A]) -> bool:
        """Whether a segment has too little text for the speech in its time."""
        speech, offset = self._batch[text.window.chunk].speech, text.window.audio.start
        return any(
            letters(self._plain(one)) < USUAL_LETTERS * (seconds_of(within) - WORD_S)
            for one in text.spoken
            if (within := between(speech, offset + one.start, offset + one.end))
        )

    def _text(self, window: Window[A], decoding: Decoding) -> WindowText[A]:
        split = Split(spoken=())
        if not is_silence(decoding, self._options):
            split = split_by_timestamps(
                decoding.tokens,
                timestamp_begin=self._tokenizer.timestamp_begin,
                eot=self._tokenizer.end_of_text,
                seconds=window.audio.seconds,
            )
        spoken = list(split.spoken)
        # An unfinished segment counts only if it is not decoded again with the rest.
        if split.unfinished and rest_of(split, seconds=window.audio.seconds) is None:
            spoken.append(split.unfinished)
        if decoding.times is None:
            spoken = [one for one in spoken if self._plain(one)]
        else:
            # The tokens of segments that are only spaces have times, too: without them the others would get wrong ones.
            spoken = [one for one in spoken if one.tokens]
        return WindowText(window=window, decoding=decoding, split=split, spoken=tuple(spoken))

    def _plain(self, spoken: Spoken) -> str:
        return self._tokenizer.decode(spoken.tokens).strip()

    def _timed(self, text: WindowText[A], times: TokenTimes | None) -> list[TimedText]:
        """The segments of a window, with words if there are `times`, else as their timestamps say."""
        plain = [self._plain(one) for one in text.spoken]
        if times is None:
            return [
                TimedText(start=one.start, end=one.end, text=words, words=())
                for one, words in zip(text.spoken, plain, strict=True)
            ]
        language = text.window.language
        return place_words(
            text.spoken,
            plain,
            times,
            lambda tokens: self._tokenizer.split_words(tokens, language),
            seconds=text.window.audio.seconds,
        )
