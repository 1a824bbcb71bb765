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
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens, pad_or_trim

from scrivano.detection import likeliest
from scrivano.engines import RANKED, AudioChunk, ChunkResult, DecodingOptions
from scrivano.engines.failures import classify
from scrivano.engines.whisper_rules import (
    Attempt,
    Split,
    Spoken,
    best_attempt,
    checked_language,
    compression_ratio,
    is_silence,
    needs_fallback,
    rest_of,
    split_by_timestamps,
    token_cap,
)
from scrivano.engines.words import TimedText, place_words, timed_segments, token_times
from scrivano.errors import ModelUnavailable
from scrivano.jobs import SAMPLE_RATE, Task
from scrivano.transcript import Segment

if TYPE_CHECKING:
    from numpy.typing import NDArray

K = TypeVar("K")
T = TypeVar("T")

logger = logging.getLogger(__name__)

FRAMES_PER_SECOND = 100
"""Log-mel frames."""

WINDOW_FRAMES = 3000
FRAMES_STEP, SILENCE_FRAMES = 500, 100
"""A window that is not heard in full has at least a second of silence behind it, and is whole steps of 5 s."""

BEST_OF = 5
"""Texts sampled at a temperature, of which the most probable counts; Whisper's default."""

WORKERS = 2
"""CTranslate2's workers on a CPU; they share the weights, and each uses all of the model's threads.

The search for a batch leaves a second core two thirds idle: its matrices are small, and what lies between them is done
by one thread. Measured with `base`, two cores, 8 windows, beam 5: 3.5 s as one batch, 2.6 s as two halves at once. The
threads must sleep while they wait (`OMP_WAIT_POLICY`), or those of one worker stand in the other's way (4.7 s)."""

FIRST_TIMESTAMP_INDEX = 50
"""The first timestamp is at most 1.00 s (Whisper's `max_initial_timestamp`)."""

NEEDED_FILES = ("model.bin", "config.json", "tokenizer.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """What to load, and where: `device` is `cpu` or `cuda`, `compute_type` as in CTranslate2; 0 threads: its choice.

    `fast`: the encoder hears a window without most of the silence that fills it up to 30 s. Stock models may then
    repeat themselves or break off; such a window is heard again in full.
    """

    folder: Path
    device: str = "cpu"
    device_index: int = 0
    compute_type: str = "default"
    cpu_threads: int = 0
    fast: bool = False


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
        self._workers = WORKERS if options.device == "cpu" else 1
        self._threads = ThreadPoolExecutor(self._workers, "align")
        self._drawing = False
        self._closed = False
        try:
            self._whisper = WhisperModel(
                str(options.folder),
                device=options.device,
                device_index=options.device_index,
                compute_type=options.compute_type,
                cpu_threads=options.cpu_threads,
                num_workers=self._workers,
            )
        except Exception as error:
            raise classify(error, loading=True) from error

    @property
    def multilingual(self) -> bool:
        return bool(self._whisper.model.is_multilingual)

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """ISO 639-1 codes (and a few longer ones) that the model knows."""
        known = self._whisper.hf_tokenizer.token_to_id
        return tuple(
            code
            for code in self._whisper.supported_languages
            if not self.multilingual or known(f"<|{code}|>") is not None
        )

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
        self._threads.shutdown()
        self._whisper.model.unload_model()

    # One decode: rounds of windows, until every chunk is heard to its end.

    def _decode(self, batch: Sequence[AudioChunk], options: DecodingOptions) -> list[ChunkResult]:
        if self._closed:
            raise ModelUnavailable("the model was closed")
        if self._drawing or not self._whisper.model.model_is_loaded:  # where a replacement failed for lack of memory
            self._replace(self._workers)
        progress = [_Progress() for _ in batch]
        windows = [self._window(index, chunk) for index, chunk in enumerate(batch)]
        while windows:
            alike = _grouped(windows, key=lambda window: window.heard_frames).values()
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
        encoded = self._encode(windows)
        detected = self._languages(encoded, windows)
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

    # Encoder outputs live in host memory between calls: parts of a batch are then cheap to take, they outlive
    # a reload of the model, and a window costs 4 MB over the bus, a few per cent of its decoding.

    def _encode(self, windows: Sequence[_Window]) -> NDArray[Any]:
        features = np.stack([pad_or_trim(window.features, window.heard_frames) for window in windows])
        output = self._whisper.model.encode(ctranslate2.StorageView.from_array(features), to_cpu=True)
        if output.dtype == ctranslate2.DataType.bfloat16:  # NumPy has no such type
            output = output.to(ctranslate2.DataType.float32)
        return np.array(output)

    def _languages(self, encoded: NDArray[Any], windows: Sequence[_Window]) -> list[Mapping[str, float]]:
        """The likeliest languages of each window, in order; only those that have none yet are asked about."""
        unknown = [i for i, window in enumerate(windows) if window.language is None]
        found = {}
        if unknown:
            for i, ranked in zip(unknown, self._whisper.model.detect_language(_part(encoded, unknown)), strict=True):
                every = {token.strip("<|>"): float(probability) for token, probability in ranked}
                found[i] = likeliest(every, windows[i].languages, RANKED)
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
        if options.temperatures[0] == 0:
            for i, attempt in enumerate(self._search(encoded, windows, prompts, options)):
                attempts[i].append(attempt)
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

    def _search(
        self,
        encoded: NDArray[Any],
        windows: Sequence[_Window],
        prompts: Sequence[list[int]],
        options: DecodingOptions,
    ) -> list[Attempt]:
        """The beam search of all windows: one call for those that share their token cap."""
        caps = [token_cap(window.seconds) for window in windows]
        searches: list[tuple[int, Any]] = []
        for cap, alike in _grouped(range(len(windows)), key=lambda i: caps[i]).items():
            for members in _divided(alike, self._workers):
                results = self._generate(
                    _part(encoded, members),
                    [prompts[i] for i in members],
                    cap,
                    beam_size=options.beam_size,
                    patience=1,
                )
                searches.extend(zip(members, results, strict=True))
        found = {i: self._attempt(result.result(), 0.0) for i, result in searches}
        return [found[i] for i in range(len(windows))]

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
        temperatures = [temperature for temperature in options.temperatures if temperature > 0]
        for group in [[i] for i in members] if self._options.device == "cpu" else [list(members)]:
            if temperatures and group and self._options.device == "cpu":
                self._seed(windows[group[0]].seed + windows[group[0]].offset)
            for temperature in temperatures:
                for cap, alike in _grouped(group, key=lambda i: token_cap(windows[i].seconds)).items():
                    results = self._generate(
                        _part(encoded, alike),
                        [prompts[i] for i in alike],
                        cap,
                        beam_size=1,
                        num_hypotheses=BEST_OF,
                        sampling_topk=0,
                        sampling_temperature=temperature,
                    )
                    for i, result in zip(alike, results, strict=True):
                        attempts[i].append(self._attempt(result.result(), temperature))
                group = [i for i in group if needs_fallback(attempts[i][-1], options)]
        return attempts

    def _seed(self, seed: int) -> None:
        """Start the random numbers of CTranslate2 anew.

        Its generator belongs to a worker's thread, which reads the seed at its first draw and never again (measured
        with 4.8.5: unloading and loading the weights does not help); which of several workers draws is left to chance.
        So whatever draws is a new model of a single worker: 20 ms for the bundled one, as long as a load from the page
        cache for others, and only for failing windows.
        """
        self._replace(1)
        ctranslate2.set_random_seed(seed % 2**32)
        self._drawing = True

    def _replace(self, workers: int) -> None:
        """The same model in new threads. The old weights go first: there may be no room for both."""
        self._whisper.model.unload_model()
        self._whisper.model = ctranslate2.models.Whisper(
            str(self._options.folder),
            device=self._options.device,
            device_index=self._options.device_index,
            compute_type=self._options.compute_type,
            intra_threads=self._options.cpu_threads,
            inter_threads=workers,
        )
        self._drawing = False

    def _generate(
        self, features: ctranslate2.StorageView, prompts: list[list[int]], cap: int, **search: Any
    ) -> list[Any]:
        """Begins; each result waits for its end. At most `cap` new tokens: CTranslate2 takes the lesser of half of
        `max_length` and what the prompt leaves."""
        return list(
            self._whisper.model.generate(
                features,
                prompts,
                asynchronous=True,
                max_length=max(2 * cap, cap + len(prompts[0]) - 1),
                return_scores=True,
                return_no_speech_prob=True,
                suppress_tokens=self._suppressed,
                max_initial_timestamp_index=FIRST_TIMESTAMP_INDEX,
                **search,
            )
        )

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
        talking = [i for i, one in enumerate(heard) if one.spoken]

        def align(members: Sequence[int]) -> list[Any]:
            return list(
                self._whisper.model.align(
                    _part(encoded, members),
                    heard[members[0]].tokenizer.sot_sequence,
                    [_text_tokens(heard[i]) for i in members],
                    [heard[i].window.frames for i in members],
                )
            )

        groups = list(self._aligned_together(talking, heard))
        for members, results in zip(groups, self._threads.map(align, groups), strict=True):
            for i, result in zip(members, results, strict=True):
                timed[i] = _with_words(heard[i], result)
        return timed

    def _aligned_together(self, members: Sequence[int], heard: Sequence[_Heard]) -> Iterable[list[int]]:
        """One call has one start sequence: language and task.

        On a CPU each window has its own: a window's alignment changes with its neighbours there (measured on Zen 5, not
        on Zen 4: one in nine, words moved by up to 0.2 s), and one by one takes no longer.
        """
        if self._options.device == "cpu":
            return [[i] for i in members]
        return _grouped(members, key=lambda i: tuple(heard[i].tokenizer.sot_sequence)).values()


def _check_folder(folder: Path) -> None:
    missing = [name for name in NEEDED_FILES if not (folder / name).is_file()]
    if missing:
        raise ModelUnavailable(
            f"{folder} is not a CTranslate2 Whisper model: it lacks {', '.join(missing)}; "
            "convert the model with ct2-transformers-converter (--copy_files tokenizer.json preprocessor_config.json)"
        )


def _part(encoded: NDArray[Any], members: Sequence[int]) -> ctranslate2.StorageView:
    chosen = encoded if len(members) == len(encoded) else np.ascontiguousarray(encoded[list(members)])
    return ctranslate2.StorageView.from_array(chosen)


def _divided(members: Sequence[T], parts: int) -> Iterable[Sequence[T]]:
    """At most so many parts of about the same size."""
    size = math.ceil(len(members) / parts)
    return [members[at : at + size] for at in range(0, len(members), size)]


def _grouped(members: Iterable[T], key: Callable[[T], K]) -> Mapping[K, list[T]]:
    groups: dict[K, list[T]] = {}
    for member in members:
        groups.setdefault(key(member), []).append(member)
    return groups


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
