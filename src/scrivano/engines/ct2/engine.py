"""Whisper through faster-whisper and CTranslate2, batched: one encoder pass for windows of any job, language and task.

What a chunk gives does not depend on its batch: on the CPU CTranslate2's encoder and search answer bit for bit the same
for a window alone and among others, and alignment and all that draws random numbers happen window by window.
"""

from __future__ import annotations

import itertools
import json
import logging
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens, pad_or_trim

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.domain.errors import ModelUnavailable
from scrivano.domain.job import Task
from scrivano.domain.transcript import Segment
from scrivano.engines.ct2.model import Ct2Model, LoadOptions, grouped
from scrivano.engines.decoding_rules import (
    Attempt,
    Split,
    Spoken,
    best_attempt,
    checked_language,
    compression_ratio,
    is_silence,
    likeliest,
    needs_fallback,
    rest_of,
    split_by_timestamps,
    token_cap,
)
from scrivano.engines.engine import RANKED, AudioChunk, ChunkResult, DecodingOptions
from scrivano.engines.failures import classify
from scrivano.engines.words import TimedText, place_words, timed_segments, token_times

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

# Log-mel frames.
FRAMES_PER_SECOND = 100

WINDOW_FRAMES = 3000
# A window that is not heard in full has at least a second of silence behind it, and is whole steps of 5 s.
FRAMES_STEP, SILENCE_FRAMES = 500, 100

# Texts sampled at a temperature, of which the most probable counts; Whisper's default.
BEST_OF = 5

NEEDED_FILES = ("model.bin", "config.json", "tokenizer.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """What the encoder hears at once. `features`: log-mel, unpadded; `offset`: frames from the chunk's first.

    `full`: the encoder hears 30 s, of which the rest is silence.
    """

    chunk: int
    features: NDArray[np.float32]
    offset: int
    language: str | None
    languages: tuple[str, ...]
    task: str
    seed: int
    full: bool

    @property
    def heard_frames(self) -> int:
        """With the silence behind it, in steps: the same window is heard alike in any batch."""
        short = FRAMES_STEP * math.ceil((self.frames + SILENCE_FRAMES) / FRAMES_STEP)
        return WINDOW_FRAMES if self.full else min(short, WINDOW_FRAMES)

    @property
    def shortened(self) -> bool:
        return self.heard_frames < WINDOW_FRAMES

    @property
    def frames(self) -> int:
        return int(self.features.shape[-1])

    @property
    def seconds(self) -> float:
        return self.frames / FRAMES_PER_SECOND

    def rest(self, seconds: float, language: str) -> _Window:
        """The window that begins `seconds` after this one."""
        start = round(seconds * FRAMES_PER_SECOND)
        return replace(self, features=self.features[:, start:], offset=self.offset + start, language=language)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    """A window's text: `attempt` says how good it is, `spoken` what it says, `rest` from where to decode again."""

    window: _Window
    tokenizer: Tokenizer
    attempt: Attempt
    split: Split

    def doubtful(self, options: DecodingOptions) -> bool:
        """Whether to hear the window again in full."""
        capped = len(self.attempt.tokens) >= token_cap(self.window.seconds)
        return self.window.shortened and (capped or needs_fallback(self.attempt, options))

    @property
    def spoken(self) -> tuple[Spoken, ...]:
        """Segments with text; what was left unfinished only where nobody decodes it again."""
        extra: tuple[Spoken, ...] = ()
        if self.split.unfinished and rest_of(self.split, seconds=self.window.seconds) is None:
            extra = (self.split.unfinished,)
        return tuple(one for one in (*self.split.spoken, *extra) if self.text(one))

    def text(self, spoken: Spoken) -> str:
        return str(self.tokenizer.decode(list(spoken.tokens))).strip()


@dataclass(slots=True)
class _Progress:
    """A chunk's result while it grows round by round."""

    language: str = ""
    language_probability: float = 0.0
    language_probabilities: Mapping[str, float] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)

    def begin(self, detected: Mapping[str, float], given: str | None) -> None:
        """The first window tells the language; `detected` begins with the likeliest one."""
        self.language, self.language_probability = next(iter(detected.items()))
        self.language_probabilities = {} if given else detected

    def result(self) -> ChunkResult:
        return ChunkResult(
            language=self.language,
            language_probability=self.language_probability,
            segments=tuple(self.segments),
            language_probabilities=self.language_probabilities,
        )


class WhisperCt2:
    """A loaded Whisper model: an `Engine`. Raises `EngineError` only, at loading too."""

    def __init__(self, options: LoadOptions) -> None:
        _check_folder(options.folder)
        self._options = options
        self._tokenizers: dict[tuple[str, str], Tokenizer] = {}
        self._closed = False
        try:
            self._model = Ct2Model(options)
        except Exception as error:
            raise classify(error, loading=True) from error
        self._whisper = self._model.whisper
        # Asked for once: while another thread replaces the model, there is none to ask.
        self._multilingual = bool(self._whisper.model.is_multilingual)
        self._languages = _known_languages(self._whisper)

    @property
    def multilingual(self) -> bool:
        return self._multilingual

    @property
    def languages(self) -> tuple[str, ...]:
        """ISO 639-1 codes (and a few longer ones) that the model knows."""
        return self._languages

    def warm_up(self) -> None:
        """One inference, so that a device that cannot work says so before the model counts as ready."""
        silence = AudioChunk(audio=np.zeros(SAMPLE_RATE, np.float32), language=self.languages[0])
        try:
            self._decode([silence], DecodingOptions(temperatures=(0.0,)))
        except Exception as error:
            raise classify(error, loading=True) from error

    def decode(self, batch: Sequence[AudioChunk], options: DecodingOptions) -> list[ChunkResult]:
        try:
            return self._decode(batch, options)
        except Exception as error:
            raise classify(error, loading=False) from error

    def close(self) -> None:
        self._closed = True
        self._model.close()

    # One decode: rounds of windows, until every chunk is heard to its end.

    def _decode(self, batch: Sequence[AudioChunk], options: DecodingOptions) -> list[ChunkResult]:
        if self._closed:
            raise ModelUnavailable("the model was closed")
        self._model.refresh()
        progress = [_Progress() for _ in batch]
        windows = [self._window(index, chunk) for index, chunk in enumerate(batch)]
        while windows:
            alike = grouped(windows, key=lambda window: window.heard_frames).values()
            windows = [left for group in alike for left in self._round(group, progress, options)]
        return [one.result() for one in progress]

    def _window(self, index: int, chunk: AudioChunk) -> _Window:
        language = checked_language(chunk, self.languages, multilingual=self.multilingual)
        # The extractor appends one frame of silence; faster-whisper drops it as well.
        features = self._whisper.feature_extractor(chunk.audio)[..., :-1]
        return _Window(
            chunk=index,
            features=features.astype(np.float32),
            offset=0,
            language=language,
            languages=chunk.languages,
            task=chunk.task,
            seed=zlib.crc32(chunk.audio.tobytes()),
            full=not self._options.fast,
        )

    def _round(
        self, windows: Sequence[_Window], progress: Sequence[_Progress], options: DecodingOptions
    ) -> list[_Window]:
        """Decode windows of one length into `progress`; the windows that are left to decode."""
        features = [pad_or_trim(window.features, window.heard_frames) for window in windows]
        encoded = self._model.encode(features, urgent=options.urgent)
        detected = self._detected(encoded, windows, options)
        for window, ranked in zip(windows, detected, strict=True):
            if window.offset == 0:
                progress[window.chunk].begin(ranked, window.language)
        heard = self._texts(encoded, windows, [next(iter(ranked)) for ranked in detected], options)
        left = [replace(one.window, full=True) for one in heard if one.doubtful(options)]
        if left:
            kept = [i for i, one in enumerate(heard) if not one.doubtful(options)]
            encoded, heard = encoded[kept], [heard[i] for i in kept]
        timed = self._timed(encoded, heard, options)
        for one, texts in zip(heard, timed, strict=True):
            progress[one.window.chunk].segments.extend(_segments(one, texts))
            rest = _rest(one, texts)
            if rest is not None:
                left.append(one.window.rest(rest, one.tokenizer.language_code))
        return left

    def _detected(
        self, encoded: NDArray[Any], windows: Sequence[_Window], options: DecodingOptions
    ) -> list[Mapping[str, float]]:
        """The likeliest languages of each window, in order; only those that have none yet are asked about."""
        unknown = [i for i, window in enumerate(windows) if window.language is None]
        ranked = self._model.detect(encoded, unknown, urgent=options.urgent) if unknown else []
        found = {i: likeliest(every, windows[i].languages, RANKED) for i, every in zip(unknown, ranked, strict=True)}
        return [found.get(i) or {str(window.language): 1.0} for i, window in enumerate(windows)]

    def _tokenizer(self, language: str, task: str) -> Tokenizer:
        key = (language, task)
        if key not in self._tokenizers:
            self._tokenizers[key] = Tokenizer(
                self._whisper.hf_tokenizer, self.multilingual, task=task, language=language
            )
        return self._tokenizers[key]

    # Text.

    def _texts(
        self, encoded: NDArray[Any], windows: Sequence[_Window], languages: Sequence[str], options: DecodingOptions
    ) -> list[_Heard]:
        tokenizers = [
            self._tokenizer(language, window.task) for window, language in zip(windows, languages, strict=True)
        ]
        prompts = [self._prompt(tokenizer, options) for tokenizer in tokenizers]
        attempts: list[list[Attempt]] = [[] for _ in windows]
        caps = [token_cap(window.seconds) for window in windows]
        if options.temperatures[0] == 0:
            found = self._model.generate(
                encoded,
                range(len(windows)),
                prompts,
                caps,
                urgent=options.urgent,
                yielding=options.yielding,
                beam_size=options.beam_size,
                patience=1,
                suppress_tokens=self._suppressed,
            )
            attempts = [[self._attempt(found[i], 0.0)] for i in range(len(windows))]
        # One that was shortened is searched again first, in full.
        failed = [
            i
            for i, window in enumerate(windows)
            if not attempts[i] or (needs_fallback(attempts[i][-1], options) and not window.shortened)
        ]
        for i, sampled in self._sample(encoded, windows, prompts, failed, options).items():
            attempts[i].extend(sampled)
        return [
            self._heard(window, tokenizer, best_attempt(tried, options), options)
            for window, tokenizer, tried in zip(windows, tokenizers, attempts, strict=True)
        ]

    def _prompt(self, tokenizer: Tokenizer, options: DecodingOptions) -> list[int]:
        """The hot words' beginning and the prompt's end.

        faster-whisper gives each half of the model's context, and both long ones then leave no room for text; here they
        share one half.
        """
        hotwords = tokenizer.encode(" " + options.hotwords.strip()) if options.hotwords else []
        previous = tokenizer.encode(" " + options.initial_prompt.strip()) if options.initial_prompt else []
        room = self._whisper.max_length // 2 - 1
        hotwords = hotwords[: room // 2 if previous else room]
        return list(self._whisper.get_prompt(tokenizer, hotwords + previous[-(room - len(hotwords)) :]))

    def _sample(
        self,
        encoded: NDArray[Any],
        windows: Sequence[_Window],
        prompts: Sequence[list[int]],
        members: Sequence[int],
        options: DecodingOptions,
    ) -> Mapping[int, list[Attempt]]:
        """These windows at the temperatures above 0, each until its text is good.

        On a CPU one by one: the same window gives the same texts then. On a GPU, where a batch's other windows change
        the last bits anyway, together.
        """
        attempts: dict[int, list[Attempt]] = {i: [] for i in members}
        caps = [token_cap(window.seconds) for window in windows]
        temperatures = [temperature for temperature in options.temperatures if temperature > 0]
        search = {"beam_size": 1, "num_hypotheses": BEST_OF, "sampling_topk": 0, "suppress_tokens": self._suppressed}
        groups = [[i] for i in members] if self._model.on_cpu else [list(members)]
        for group in groups if temperatures and members else ():
            first = windows[group[0]]
            with self._model.drawing(first.seed + first.offset) as generate:
                for temperature in temperatures:
                    found = generate(encoded, group, prompts, caps, sampling_temperature=temperature, **search)
                    for i, result in found.items():
                        attempts[i].append(self._attempt(result, temperature))
                    group = [i for i in group if needs_fallback(attempts[i][-1], options)]
        return attempts

    @cached_property
    def _suppressed(self) -> list[int]:
        return list(get_suppressed_tokens(self._tokenizer("en", Task.TRANSCRIBE), [-1]))

    def _attempt(self, result: Any, temperature: float) -> Attempt:
        tokens = tuple(result.sequences_ids[0])
        text = self._tokenizer("en", Task.TRANSCRIBE).decode(list(tokens)).strip()
        return Attempt(
            tokens=tokens,
            # CTranslate2 divides by the length without the end of text, Whisper with it.
            avg_logprob=result.scores[0] * len(tokens) / (len(tokens) + 1),
            no_speech_prob=result.no_speech_prob,
            compression_ratio=compression_ratio(text),
            temperature=temperature,
        )

    def _heard(self, window: _Window, tokenizer: Tokenizer, attempt: Attempt, options: DecodingOptions) -> _Heard:
        split = Split(spoken=())
        if not is_silence(attempt, options):
            split = split_by_timestamps(
                attempt.tokens,
                timestamp_begin=tokenizer.timestamp_begin,
                eot=tokenizer.eot,
                seconds=window.seconds,
            )
        return _Heard(window=window, tokenizer=tokenizer, attempt=attempt, split=split)

    # Times of words.

    @cached_property
    def _aligns(self) -> bool:
        config = json.loads((self._options.folder / "config.json").read_text())
        if not config.get("alignment_heads"):
            logger.warning("the model's config.json names no alignment heads: words get no times")
            return False
        return True

    def _timed(self, encoded: NDArray[Any], heard: Sequence[_Heard], options: DecodingOptions) -> list[list[TimedText]]:
        """Every window's segments: with words where they are asked for, else as the timestamps say."""
        timed = [[_untimed(one, spoken) for spoken in one.spoken] for one in heard]
        if not (options.word_timestamps and self._aligns):
            return timed
        aligned = self._model.align(
            encoded,
            [i for i, one in enumerate(heard) if one.spoken],
            [one.tokenizer.sot_sequence for one in heard],
            [_text_tokens(one) for one in heard],
            [one.window.frames for one in heard],
            urgent=options.urgent,
        )
        for i, result in aligned.items():
            timed[i] = _with_words(heard[i], result)
        return timed


def _known_languages(whisper: WhisperModel) -> tuple[str, ...]:
    known = whisper.hf_tokenizer.token_to_id
    every = not whisper.model.is_multilingual
    return tuple(code for code in whisper.supported_languages if every or known(f"<|{code}|>") is not None)


def _check_folder(folder: Path) -> None:
    missing = [name for name in NEEDED_FILES if not (folder / name).is_file()]
    if missing:
        raise ModelUnavailable(
            f"{folder} is not a CTranslate2 Whisper model: it lacks {', '.join(missing)}; "
            "convert the model with ct2-transformers-converter (--copy_files tokenizer.json preprocessor_config.json)"
        )


def _text_tokens(heard: _Heard) -> list[int]:
    return list(itertools.chain.from_iterable(spoken.tokens for spoken in heard.spoken))


def _untimed(heard: _Heard, spoken: Spoken) -> TimedText:
    return TimedText(start=spoken.start, end=spoken.end, text=heard.text(spoken), words=())


def _with_words(heard: _Heard, result: Any) -> list[TimedText]:
    return place_words(
        heard.spoken,
        [heard.text(spoken) for spoken in heard.spoken],
        token_times(result.alignments, result.text_token_probs),
        heard.tokenizer.split_to_word_tokens,
        seconds=heard.window.seconds,
    )


def _segments(heard: _Heard, timed: Sequence[TimedText]) -> list[Segment]:
    return timed_segments(heard.attempt, heard.spoken, timed, offset=heard.window.offset / FRAMES_PER_SECOND)


def _rest(heard: _Heard, timed: Sequence[TimedText]) -> float | None:
    last_word_end = timed[-1].words[-1].end if timed and timed[-1].words else None
    return rest_of(heard.split, seconds=heard.window.seconds, last_word_end=last_word_end)
