"""Whisper through whisper.cpp (pywhispercpp), for GGML files; chunk by chunk, for it has no batches.

One call of `whisper_full` decodes one window at one temperature. Everything around it (fallback, the no-speech test,
segments by timestamps, the rest of a window, words) follows the rules that the CTranslate2 adapter follows. What is
different, and cannot be changed from here:

- `Segment.no_speech_prob` is 0 or 1: the binding does not tell the number, only on which side of the threshold it lies.
- A beam is sampled, not searched, and has at most `MOST_BEAMS` hypotheses.
- `avg_logprob` at a temperature is that of the distribution that was sampled from; from 0.5 on there is no prompt.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _pywhispercpp as cpp
import numpy as np

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.domain.errors import ModelUnavailable
from scrivano.domain.job import Task
from scrivano.domain.transcript import Segment
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
from scrivano.engines.whisper_cpp.ggml import check_ggml
from scrivano.engines.whisper_cpp.vocabulary import Vocabulary
from scrivano.engines.words import TimedText, TokenTimes, place_words, timed_segments
from scrivano.processes.child import available_cores

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

# whisper.cpp does not decode less; we do not show it less than `PADDED_SECONDS`, for its alignment needs some.
LEAST_SECONDS = 0.1

PADDED_SECONDS = 1.0

# Texts sampled at a temperature, of which the most probable counts; Whisper's default.
BEST_OF = 5

# whisper.cpp's WHISPER_MAX_DECODERS.
MOST_BEAMS = 8

# Below whisper.cpp's own end of 220, at which it calls the text failed instead of complete.
MOST_NEW_TOKENS = 215

# No probability is above it: whisper.cpp's own no-speech test is off. It would look at what the decoder last said of
# another window (1.8.5 reads the first row of logits, and a prompt of several tokens writes only the last one).
NEVER_SILENT = 2.0

ALWAYS_UNSURE = 1e9

# GGML_LOG_LEVEL_ERROR.
ERROR_LEVEL = 4

# What a build without CUDA says, and one with it where there is none; it goes on with the CPU.
NO_GPU = "no GPU found"

# whisper.cpp's times.
TICKS_PER_SECOND = 100

# By decoder layers, heads, and whether it is multilingual. `large-v1` looks like `large-v2`, and gets its heads.
ALIGNMENT_HEADS = {
    (4, 6, True): "TINY",
    (4, 6, False): "TINY_EN",
    (6, 8, True): "BASE",
    (6, 8, False): "BASE_EN",
    (12, 12, True): "SMALL",
    (12, 12, False): "SMALL_EN",
    (24, 16, True): "MEDIUM",
    (24, 16, False): "MEDIUM_EN",
    (32, 20, True): "LARGE_V2",
}

LARGE_V3_VOCABULARY = 51866
ALIGNMENT_HEADS_V3 = {(32, 20): "LARGE_V3", (4, 20): "LARGE_V3_TURBO"}

# Of a model that is none of these: all heads of the last layers, at most half of the layers.
MOST_ALIGNING_HEADS = 24

# Working memory of the alignment; 24 heads over 224 tokens and 1500 positions take 130 MB in it.
ALIGNMENT_BYTES = 256 * 2**20

# A multilingual vocabulary has one token more than this and its languages (`whisper.cpp`: `num_languages`).
FIRST_LANGUAGES = 51765


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """What to load, and where: `device` is `cpu` or `cuda`; 0 threads: as many as this process may use cores."""

    file: Path
    device: str = "cpu"
    device_index: int = 0
    cpu_threads: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """What is decoded at once. `audio` is unpadded; `offset`: seconds from the chunk's first sample."""

    audio: NDArray[np.float32]
    offset: float
    language: str
    task: str

    @property
    def seconds(self) -> float:
        return len(self.audio) / SAMPLE_RATE

    @property
    def padded(self) -> NDArray[np.float32]:
        missing = round(PADDED_SECONDS * SAMPLE_RATE) - len(self.audio)
        return np.ascontiguousarray(np.pad(self.audio, (0, max(0, missing))), np.float32)

    def rest(self, seconds: float) -> _Window:
        """The window that begins `seconds` after this one."""
        return replace(self, audio=self.audio[round(seconds * SAMPLE_RATE) :], offset=self.offset + seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    """An attempt, and when each of its text tokens ends (seconds from the window's start) and how probable it is."""

    attempt: Attempt
    ends: tuple[float, ...]
    probabilities: tuple[float, ...]


class WhisperCpp:
    """A loaded Whisper model: an `Engine`. Raises `EngineError` only, at loading too."""

    def __init__(self, options: LoadOptions) -> None:
        check_ggml(options.file)
        self._options = options
        self._context: Any = None
        self._on_gpu = False
        self._drawn = False
        self._closed = False
        try:
            self._load()
        except Exception as error:
            raise classify(error, loading=True) from error

    @cached_property
    def multilingual(self) -> bool:
        return bool(cpp.whisper_is_multilingual(self._context))

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """ISO 639-1 codes (and a few longer ones) that the model knows, in the order of their tokens."""
        if not self.multilingual:
            return ("en",)
        known = cpp.whisper_n_vocab(self._context) - FIRST_LANGUAGES - 1
        return tuple(cpp.whisper_lang_str(number) for number in range(known))

    def warm_up(self) -> None:
        """One inference, so that a device that cannot work says so before the model counts as ready."""
        silence = AudioChunk(audio=np.zeros(SAMPLE_RATE, np.float32), language=self.languages[0])
        try:
            self._decode(silence, DecodingOptions(temperatures=(0.0,)))
        except Exception as error:
            raise classify(error, loading=True) from error

    def decode(self, batch: Sequence[AudioChunk], options: DecodingOptions) -> list[ChunkResult]:
        try:
            return [self._decode(chunk, options) for chunk in batch]
        except Exception as error:
            raise classify(error, loading=False) from error

    def close(self) -> None:
        self._closed = True
        self._free()

    # The model.

    def _load(self) -> None:
        """The binding tells a load that failed by an error line only; what it returns then must not be touched."""
        with _said() as said:
            context = cpp.whisper_init_from_file_with_params(str(self._options.file), self._context_params())
        if errors := said.errors:
            raise ModelUnavailable(f"whisper.cpp cannot load {self._options.file}: {'; '.join(errors)}")
        self._context = context
        self._drawn = False
        self._on_gpu = self._options.device == "cuda" and not said.has(NO_GPU)
        if self._options.device == "cuda" and not self._on_gpu:
            logger.warning("whisper.cpp uses no GPU: pywhispercpp was built without CUDA, or there is none")

    def _context_params(self) -> Any:
        params = cpp.whisper_context_default_params()
        params.use_gpu = self._options.device == "cuda"
        params.gpu_device = self._options.device_index
        params.flash_attn = False  # with it there is no alignment
        params.dtw_token_timestamps = True
        params.dtw_mem_size = ALIGNMENT_BYTES
        name, layers = _alignment_heads(self._options.file)
        params.dtw_aheads_preset = getattr(cpp.whisper_alignment_heads_preset, f"WHISPER_AHEADS_{name}")
        params.dtw_n_top = layers
        return params

    def _free(self) -> None:
        if self._context is not None:
            with _said():
                cpp.whisper_free(self._context)
            self._context = None

    def _rewind(self) -> None:
        """Start the random numbers anew, so that a chunk's text does not depend on those before it.

        The first decoder's generator lives as long as the model, and its seed cannot be set; sampling and a beam draw
        from it. So a model that has drawn is loaded again: 20 ms for the bundled one, as long as reading the file from
        the page cache for others. On a GPU, where that takes longer than a chunk, it is not.
        """
        if self._context is None or (self._drawn and not self._on_gpu):
            self._free()
            self._load()

    # One chunk.

    def _decode(self, chunk: AudioChunk, options: DecodingOptions) -> ChunkResult:
        if self._closed:
            raise ModelUnavailable("the model was closed")
        given = checked_language(chunk, self.languages, multilingual=self.multilingual)
        self._rewind()
        window = _Window(audio=chunk.audio, offset=0.0, language=given or "", task=chunk.task)
        detected = {} if given is not None else self._detect(window, chunk.languages)
        language = given or next(iter(detected))
        left: _Window | None = replace(window, language=language)
        segments: list[Segment] = []
        while left is not None and left.seconds >= LEAST_SECONDS:
            heard, left = self._heard(left, options)
            segments.extend(heard)
        return ChunkResult(
            language=language,
            language_probability=detected.get(language, 1.0),
            language_probabilities=detected,
            segments=tuple(segments),
        )

    def _detect(self, window: _Window, allowed: Sequence[str]) -> dict[str, float]:
        """The likeliest languages, of those that the model knows: whisper.cpp counts one more for models of 99."""
        probabilities = np.zeros(cpp.whisper_lang_max_id() + 1, np.float32)
        audio = window.padded
        with _said() as said:
            failed = cpp.whisper_pcm_to_mel(self._context, audio, len(audio), self._threads)
            if not failed:
                failed = cpp.whisper_lang_auto_detect(self._context, 0, self._threads, probabilities) < 0
        if failed:
            raise RuntimeError(f"whisper.cpp cannot tell the language: {'; '.join(said.errors)}")
        known = probabilities[: len(self.languages)]
        shares = (known / known.sum()).tolist()
        return likeliest(dict(zip(self.languages, shares, strict=True)), allowed, RANKED)

    def _heard(self, window: _Window, options: DecodingOptions) -> tuple[list[Segment], _Window | None]:
        """The window's segments on the chunk's clock, and what is left to decode."""
        tried = self._tried(window, options)
        if is_silence(tried.attempt, options):
            return [], None
        split = split_by_timestamps(
            tried.attempt.tokens,
            timestamp_begin=cpp.whisper_token_beg(self._context),
            eot=self._end_of_text,
            seconds=window.seconds,
        )
        spoken = self._spoken(split, window)
        timed = self._timed(spoken, tried, window, options)
        last_word_end = timed[-1].words[-1].end if timed and timed[-1].words else None
        rest = rest_of(split, seconds=window.seconds, last_word_end=last_word_end)
        segments = timed_segments(tried.attempt, spoken, timed, offset=window.offset)
        return segments, None if rest is None else window.rest(rest)

    # Text.

    def _tried(self, window: _Window, options: DecodingOptions) -> _Tried:
        """The best of the attempts, from temperature to temperature until one is good."""
        prompt = self._prompt(options)
        silent = None if options.no_speech_threshold < 1 else False
        tries: list[_Tried] = []
        for temperature in options.temperatures:
            one = self._attempt(window, prompt, temperature, options)
            if one.attempt.avg_logprob <= options.logprob_threshold:
                silent = self._is_silent(window, options) if silent is None else silent
                one = replace(one, attempt=replace(one.attempt, no_speech_prob=float(silent)))
            tries.append(one)
            if not needs_fallback(one.attempt, options):
                break
        best = best_attempt([one.attempt for one in tries], options)
        return next(one for one in tries if one.attempt is best)

    def _attempt(self, window: _Window, prompt: list[int], temperature: float, options: DecodingOptions) -> _Tried:
        params = self._params(window, beam_size=options.beam_size)
        params.temperature = temperature
        params.set_prompt_tokens(prompt)
        self._drawn = self._drawn or temperature > 0 or options.beam_size > 1
        said = self._run(params, window)
        tokens = tuple(one.id for one in said if one.id != self._end_of_text)
        words = [one for one in said if one.id < self._end_of_text]
        return _Tried(
            attempt=Attempt(
                tokens=tokens,
                avg_logprob=math.fsum(one.plog for one in said) / len(said) if said else 0.0,
                no_speech_prob=0.0,
                compression_ratio=compression_ratio(self._vocabulary.text([one.id for one in words]).strip()),
                temperature=temperature,
            ),
            ends=tuple(one.t_dtw / TICKS_PER_SECOND for one in words),
            probabilities=tuple(one.p for one in words),
        )

    def _is_silent(self, window: _Window, options: DecodingOptions) -> bool:
        """Whether the model hears no speech, by whisper.cpp's own test: it drops the text then.

        Only where the language is detected in the same call are the logits that it looks at those of this window, at
        the start of the transcript as in Whisper. One more encoding, for windows of improbable text.
        """
        params = self._params(replace(window, language="" if self.multilingual else "en"), beam_size=1)
        params.temperature = 0.0
        params.no_timestamps = self.multilingual  # so that there is text to be dropped
        params.max_tokens = 1
        params.no_speech_thold = options.no_speech_threshold
        params.logprob_thold = ALWAYS_UNSURE
        return not self._run(params, window)

    def _params(self, window: _Window, *, beam_size: int) -> Any:
        """Of one window at one temperature, as one segment: its tokens are whole then, with their timestamps."""
        strategies = cpp.whisper_sampling_strategy
        params = cpp.whisper_full_default_params(
            strategies.WHISPER_SAMPLING_BEAM_SEARCH if beam_size > 1 else strategies.WHISPER_SAMPLING_GREEDY
        )
        params.n_threads = self._threads
        params.language = window.language
        params.translate = window.task == Task.TRANSLATE
        params.no_context = True
        params.single_segment = True
        params.suppress_nst = True
        params.max_tokens = min(token_cap(window.seconds), MOST_NEW_TOKENS)
        params.greedy = {"best_of": BEST_OF}
        params.beam_search = {"beam_size": min(beam_size, MOST_BEAMS), "patience": -1.0}
        params.temperature_inc = 0.0
        params.entropy_thold = 0.0
        params.logprob_thold = -ALWAYS_UNSURE
        params.no_speech_thold = NEVER_SILENT
        params.print_progress = params.print_realtime = params.print_timestamps = params.print_special = False
        return params

    def _run(self, params: Any, window: _Window) -> list[Any]:
        """The tokens that the window gets; none where whisper.cpp finds no text."""
        audio = window.padded
        with _said() as said:
            code = cpp.whisper_full(self._context, params, audio, len(audio))
        if code:
            raise RuntimeError(f"whisper.cpp failed ({code}): {'; '.join(said.errors)}")
        return [
            cpp.whisper_full_get_token_data(self._context, segment, number)
            for segment in range(cpp.whisper_full_n_segments(self._context))
            for number in range(cpp.whisper_full_n_tokens(self._context, segment))
        ]

    @cached_property
    def _threads(self) -> int:
        return self._options.cpu_threads or available_cores()

    # Tokens.

    @cached_property
    def _end_of_text(self) -> int:
        return int(cpp.whisper_token_eot(self._context))

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        """As bytes: the binding's own text of a token fails where a character is spread over two."""
        return Vocabulary([cpp.whisper_token_to_bytes(self._context, number) for number in range(self._end_of_text)])

    def _prompt(self, options: DecodingOptions) -> list[int]:
        """The hot words' beginning and the prompt's end, which share half of the model's context."""
        hotwords = self._vocabulary.encode(" " + options.hotwords.strip()) if options.hotwords else []
        previous = self._vocabulary.encode(" " + options.initial_prompt.strip()) if options.initial_prompt else []
        room = cpp.whisper_n_text_ctx(self._context) // 2 - 1
        hotwords = hotwords[: room // 2 if previous else room]
        return hotwords + previous[-(room - len(hotwords)) :]

    def _text(self, spoken: Spoken) -> str:
        return self._vocabulary.text(spoken.tokens).strip()

    # Segments.

    def _spoken(self, split: Split, window: _Window) -> list[Spoken]:
        """What has tokens; what was left unfinished only where nobody decodes it again."""
        unfinished = split.unfinished if rest_of(split, seconds=window.seconds) is None else None
        return [one for one in (*split.spoken, *([unfinished] if unfinished else [])) if one.tokens]

    def _timed(
        self, spoken: Sequence[Spoken], tried: _Tried, window: _Window, options: DecodingOptions
    ) -> list[TimedText]:
        texts = [self._text(one) for one in spoken]
        if not options.word_timestamps:
            return [
                TimedText(start=one.start, end=one.end, text=text, words=())
                for one, text in zip(spoken, texts, strict=True)
            ]
        return place_words(
            spoken,
            texts,
            TokenTimes(starts=_starts(tried.ends), probabilities=tried.probabilities),
            lambda tokens: self._vocabulary.split(tokens, spaces=window.language not in UNSPACED),
            seconds=window.seconds,
        )


# Languages that put no spaces between words; their words are characters here, as in Whisper.
UNSPACED = frozenset(("zh", "ja", "th", "lo", "my", "yue"))


def _starts(ends: Sequence[float]) -> tuple[float, ...]:
    """When each token begins, and when the last one ends, ascending; -1 is a token that was not aligned.

    What whisper.cpp calls a token's time is where the alignment leaves it: it counts from the row before the text's
    first, as if that were the first (measured on recordings of known times).
    """
    starts = [0.0]
    for end in ends:
        starts.append(max(starts[-1], end))
    return tuple(starts)


def _alignment_heads(file: Path) -> tuple[str, int]:
    """Which heads attend to where a word is said: the name of whisper.cpp's list, and the layers where it has none."""
    with file.open("rb") as model:
        header = np.frombuffer(model.read(48), "<i4")
    vocabulary, heads, layers = int(header[1]), int(header[8]), int(header[9])
    if vocabulary == LARGE_V3_VOCABULARY:
        name = ALIGNMENT_HEADS_V3.get((layers, heads))
    else:
        name = ALIGNMENT_HEADS.get((layers, heads, vocabulary > FIRST_LANGUAGES + 99))
    most = max(1, MOST_ALIGNING_HEADS // max(1, heads))
    return name or "N_TOP_MOST", min(math.ceil(layers / 2), most)


class _Log:
    """Lines of whisper.cpp, with their levels."""

    def __init__(self) -> None:
        self._lines: list[tuple[int, str]] = []

    def listen(self, level: int, text: str) -> None:
        self._lines.append((level, text.strip()))

    @property
    def errors(self) -> list[str]:
        return [text for level, text in self._lines if level == ERROR_LEVEL]

    def has(self, words: str) -> bool:
        return any(words in text for _, text in self._lines)


@contextmanager
def _said() -> Iterator[_Log]:
    """What whisper.cpp logs meanwhile, instead of printing it.

    The callback is taken away again: one that is left at the interpreter's end makes the process abort.
    """
    log = _Log()
    cpp.whisper_log_set(log.listen)
    try:
        yield log
    finally:
        cpp.whisper_log_set(None)
