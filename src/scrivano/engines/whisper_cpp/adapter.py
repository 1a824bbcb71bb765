"""whisper.cpp as an adapter of the window loop, for GGML files: chunk by chunk, because it has no batches.

One call of whisper.cpp encodes, decodes and aligns one window at one temperature. It differs from CTranslate2 in this,
and we cannot change it from here:

- `no_speech_prob` is 0 or 1: the binding does not return the number, only on which side of the threshold it lies.
- A beam is sampled, not searched, and has at most `MAX_BEAMS` hypotheses.
- `avg_logprob` at a temperature is that of the distribution that was sampled from; from 0.5 on the prompt is ignored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.domain.decoding import DecodingOptions
from scrivano.engines.adapter import Hypothesis, Sample, Window, WindowText
from scrivano.engines.decoding_rules import TokenTimes, token_cap
from scrivano.engines.engine import LoadOptions
from scrivano.engines.ggml import check_ggml
from scrivano.engines.whisper_cpp.model import CppModel, Request
from scrivano.engines.whisper_cpp.vocabulary import Vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

# whisper.cpp decodes no shorter audio.
SHORTEST_S = 0.1

# Its alignment needs some audio: we pad to this length.
PADDED_S = 1.0

# Its own limit is 220, but there it calls the text failed instead of complete.
MAX_NEW_TOKENS = 215

NO_TEXT = Hypothesis(tokens=(), avg_logprob=0.0, no_speech_prob=0.0, times=TokenTimes(starts=(0.0,), probabilities=()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """The samples of a window, unpadded; `start`: seconds from the chunk's first one."""

    samples: NDArray[np.float32]
    start: float

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE

    @property
    def padded_length(self) -> int:
        return max(len(self.samples), round(PADDED_S * SAMPLE_RATE))

    def fully_padded(self) -> None:
        """Never: whisper.cpp pads to 30 s itself."""

    def after(self, seconds: float) -> Samples:
        return replace(self, samples=self.samples[round(seconds * SAMPLE_RATE) :], start=self.start + seconds)

    def until(self, seconds: float) -> Samples:
        return replace(self, samples=self.samples[: round(seconds * SAMPLE_RATE)])

    def padded(self) -> NDArray[np.float32]:
        return np.ascontiguousarray(np.pad(self.samples, (0, self.padded_length - len(self.samples))), np.float32)


@dataclass(slots=True)
class PaddedWindow:
    """What stands for an encoded window, as whisper.cpp encodes anew in each call: its samples.

    `silent`: the result of the silence test, once it is known. It does not depend on the temperature.
    """

    samples: NDArray[np.float32]
    silent: bool | None = None


class CppAdapter:
    """A loaded GGML model: an `Adapter`. Not thread-safe."""

    batching = False
    samples_together = False
    # The library encodes a window again to detect its language.
    detects_cheaply = False

    def __init__(self, options: LoadOptions) -> None:
        check_ggml(options.path)
        self._model = CppModel(options)
        self.tokenizer = Vocabulary(self._model.text_tokens(), self._model.timestamp_begin)
        self.context_tokens = self._model.context_tokens
        self.multilingual = self._model.multilingual
        self.languages = self._model.languages

    @contextmanager
    def decoding(self, options: DecodingOptions) -> Iterator[None]:
        self._model.restart()
        yield

    def window_audio(self, samples: NDArray[np.float32]) -> Samples:
        return Samples(samples=samples, start=0.0)

    def encode(self, audio: Sequence[Samples], options: DecodingOptions) -> list[PaddedWindow]:
        return [PaddedWindow(one.padded()) for one in audio]

    def detect(
        self, encoded: Sequence[PaddedWindow], members: Sequence[int], options: DecodingOptions
    ) -> list[dict[str, float]]:
        return [self._model.detect(encoded[i].samples) for i in members]

    def search(
        self,
        encoded: Sequence[PaddedWindow],
        windows: Sequence[Window[Samples]],
        prompt: Sequence[int],
        options: DecodingOptions,
    ) -> list[Hypothesis]:
        return [
            self._generate(padded, window, prompt, 0.0, options)
            for padded, window in zip(encoded, windows, strict=True)
        ]

    @contextmanager
    def sampling(
        self,
        encoded: Sequence[PaddedWindow],
        windows: Sequence[Window[Samples]],
        members: Sequence[int],
        prompt: Sequence[int],
        options: DecodingOptions,
    ) -> Iterator[Sample]:
        def sample(members: Sequence[int], temperature: float) -> Mapping[int, Hypothesis]:
            return {i: self._generate(encoded[i], windows[i], prompt, temperature, options) for i in members}

        yield sample

    def align(
        self, encoded: Sequence[PaddedWindow], texts: Mapping[int, WindowText[Samples]], options: DecodingOptions
    ) -> dict[int, TokenTimes]:
        """The tokens were aligned when they were generated."""
        return {i: text.decoding.times for i, text in texts.items() if text.decoding.times is not None}

    def close(self) -> None:
        self._model.close()

    def _generate(
        self,
        padded: PaddedWindow,
        window: Window[Samples],
        prompt: Sequence[int],
        temperature: float,
        options: DecodingOptions,
    ) -> Hypothesis:
        if window.audio.seconds < SHORTEST_S:
            return NO_TEXT
        request = Request(
            samples=padded.samples,
            language=window.language,
            task=window.task,
            prompt=prompt,
            max_tokens=min(token_cap(window.audio.seconds), MAX_NEW_TOKENS),
            beam_size=options.beam_size,
            temperature=temperature,
        )
        found = self._model.generate(request)
        words = [token for token in found if token.id < self.tokenizer.end_of_text]
        avg_logprob = math.fsum(token.logprob for token in found) / len(found) if found else 0.0
        # The silence test takes one more encoding, so only improbable texts take it: the others count as speech anyway.
        silent = avg_logprob <= options.logprob_threshold and self._is_silent(padded, request, options)
        return Hypothesis(
            tokens=tuple(token.id for token in found if token.id != self.tokenizer.end_of_text),
            avg_logprob=avg_logprob,
            no_speech_prob=float(silent),
            times=TokenTimes(
                starts=token_starts([token.end for token in words]),
                probabilities=tuple(token.probability for token in words),
            ),
        )

    def _is_silent(self, padded: PaddedWindow, request: Request, options: DecodingOptions) -> bool:
        if padded.silent is None:
            test = replace(request, beam_size=1, temperature=0.0, prompt=())
            padded.silent = options.no_speech_threshold < 1 and self._model.is_silent(test, options.no_speech_threshold)
        return padded.silent


def token_starts(ends: Sequence[float]) -> tuple[float, ...]:
    """Return when each token starts, and when the last one ends, ascending; a negative end was not aligned.

    What whisper.cpp returns as a token's time is where the alignment leaves the token, because it counts from the row
    before the text's first row (measured on recordings of known times).
    """
    starts = [0.0]
    for end in ends:
        starts.append(max(starts[-1], end))
    return tuple(starts)
