"""CTranslate2's Whisper as an adapter of the window loop: chunks of any job, language and task in one batch.

On a CPU a chunk's result does not depend on its batch: CTranslate2's encoder and search give bit for bit the same for a
window alone and in a batch, and alignment and sampling, for which that is not so, run window by window.
"""

from __future__ import annotations

import json
import logging
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from scrivano.domain.decoding import DecodingOptions
from scrivano.engines.adapter import BEST_OF, Hypothesis, Sample, Window, WindowText
from scrivano.engines.ct2.model import Ct2Model
from scrivano.engines.decoding_rules import TokenTimes, token_cap
from scrivano.engines.engine import LoadOptions
from scrivano.engines.model_path import check_folder
from scrivano.engines.words import token_times

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scrivano.engines.ct2.processor import Processor

    Encoded: TypeAlias = NDArray[Any]

logger = logging.getLogger(__name__)

# Log-mel frames.
FRAMES_PER_SECOND = 100
WINDOW_FRAMES = 3000

# With LATENCY=fast, a window is padded with at least a second of silence, up to a multiple of 5 s: Whisper needs some
# silence to end its text, and few lengths make larger batches.
FRAMES_STEP, SILENCE_FRAMES = 500, 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Log-mel features of a window (mels, frames), unpadded; `offset`: frames from the chunk's first.

    `full`: it is padded to 30 s. `chunk_seed`: of the random numbers, the same for all windows of a chunk.
    """

    frames: NDArray[np.float32]
    offset: int
    full: bool
    chunk_seed: int

    @property
    def start(self) -> float:
        return self.offset / FRAMES_PER_SECOND

    @property
    def count(self) -> int:
        return int(self.frames.shape[-1])

    @property
    def seconds(self) -> float:
        return self.count / FRAMES_PER_SECOND

    @property
    def seed(self) -> int:
        return self.chunk_seed + self.offset

    @property
    def padded_length(self) -> int:
        """It depends on this window only, so that the window gives the same text in any batch."""
        short = FRAMES_STEP * math.ceil((self.count + SILENCE_FRAMES) / FRAMES_STEP)
        return WINDOW_FRAMES if self.full else min(short, WINDOW_FRAMES)

    def fully_padded(self) -> Features | None:
        return replace(self, full=True) if self.padded_length < WINDOW_FRAMES else None

    def after(self, seconds: float) -> Features:
        start = round(seconds * FRAMES_PER_SECOND)
        return replace(self, frames=self.frames[:, start:], offset=self.offset + start)

    def until(self, seconds: float) -> Features:
        return replace(self, frames=self.frames[:, : round(seconds * FRAMES_PER_SECOND)])

    def padded(self) -> NDArray[np.float32]:
        missing = self.padded_length - self.count
        return np.pad(self.frames, ((0, 0), (0, missing))) if missing > 0 else self.frames[:, : self.padded_length]


class Ct2Adapter:
    """A loaded CTranslate2 model: an `Adapter`. Thread-safe as far as `Ct2Model` is."""

    batching = True
    detects_cheaply = True

    def __init__(self, options: LoadOptions) -> None:
        check_folder(options.path)
        self._options = options
        self._model = Ct2Model(options)
        # On a GPU the other windows of a batch change the last bits anyway, so nothing is gained by sampling alone.
        self.samples_together = not self._model.on_cpu

    @property
    def tokenizer(self) -> Processor:
        return self._model.processor

    @property
    def context_tokens(self) -> int:
        return self._model.processor.context_tokens

    @property
    def multilingual(self) -> bool:
        return self._model.processor.multilingual

    @property
    def languages(self) -> tuple[str, ...]:
        return self._model.processor.languages

    @contextmanager
    def decoding(self, options: DecodingOptions) -> Iterator[None]:
        self._model.refresh()
        with self._model.reserved() if options.urgent else nullcontext():
            yield

    def window_audio(self, samples: NDArray[np.float32]) -> Features:
        return Features(
            frames=self._model.processor.features(samples),
            offset=0,
            full=not self._options.fast,
            chunk_seed=zlib.crc32(samples.tobytes()),
        )

    def encode(self, audio: Sequence[Features], options: DecodingOptions) -> Encoded:
        """To (windows, positions, width)."""
        return self._model.encode([one.padded() for one in audio], urgent=options.urgent)

    def detect(self, encoded: Encoded, members: Sequence[int], options: DecodingOptions) -> list[dict[str, float]]:
        return self._model.detect(encoded, members, urgent=options.urgent)

    def search(
        self, encoded: Encoded, windows: Sequence[Window[Features]], prompt: Sequence[int], options: DecodingOptions
    ) -> list[Hypothesis]:
        found = self._model.generate(
            encoded,
            range(len(windows)),
            self._prompts(windows, prompt),
            _caps(windows),
            urgent=options.urgent,
            yielding=options.yielding,
            beam_size=options.beam_size,
            patience=1,
            suppress_tokens=self.tokenizer.suppressed_tokens,
        )
        return [_hypothesis(found[i]) for i in range(len(windows))]

    @contextmanager
    def sampling(
        self,
        encoded: Encoded,
        windows: Sequence[Window[Features]],
        members: Sequence[int],
        prompt: Sequence[int],
        options: DecodingOptions,
    ) -> Iterator[Sample]:
        prompts, caps = self._prompts(windows, prompt), _caps(windows)
        with self._model.sampling(windows[members[0]].audio.seed) as generate:

            def sample(members: Sequence[int], temperature: float) -> Mapping[int, Hypothesis]:
                found = generate(
                    encoded,
                    members,
                    prompts,
                    caps,
                    sampling_temperature=temperature,
                    beam_size=1,
                    num_hypotheses=BEST_OF,
                    sampling_topk=0,
                    suppress_tokens=self.tokenizer.suppressed_tokens,
                )
                return {i: _hypothesis(result) for i, result in found.items()}

            yield sample

    def align(
        self, encoded: Encoded, texts: Mapping[int, WindowText[Features]], options: DecodingOptions
    ) -> dict[int, TokenTimes]:
        with_text = {i: text for i, text in texts.items() if text.spoken}
        if not self._can_align:
            return {}
        found = self._model.align(
            encoded,
            {
                i: (self.tokenizer.start_sequence(text.window.language, text.window.task), text.tokens)
                for i, text in with_text.items()
            },
            {i: text.window.audio.count for i, text in with_text.items()},
            urgent=options.urgent,
        )
        return {i: token_times(result.alignments, result.text_token_probs) for i, result in found.items()}

    def close(self) -> None:
        self._model.close()

    @cached_property
    def _can_align(self) -> bool:
        config = json.loads((self._options.path / "config.json").read_text())
        if not config.get("alignment_heads"):
            logger.warning("the model's config.json has no alignment_heads: words get no times")
            return False
        return True

    def _prompts(self, windows: Sequence[Window[Features]], prompt: Sequence[int]) -> list[list[int]]:
        return [self.tokenizer.prompt(prompt, window.language, window.task) for window in windows]


def _caps(windows: Sequence[Window[Features]]) -> list[int]:
    return [token_cap(window.audio.seconds) for window in windows]


def _hypothesis(result: Any) -> Hypothesis:
    tokens = tuple(result.sequences_ids[0])
    return Hypothesis(
        tokens=tokens,
        # CTranslate2 divides by the length without the end of text, Whisper with it.
        avg_logprob=result.scores[0] * len(tokens) / (len(tokens) + 1),
        no_speech_prob=result.no_speech_prob,
    )
