"""What an adapter supplies to the window loop: the model of one library, behind one protocol.

The library's own objects never leave the adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from scrivano.domain.decoding import DecodingOptions
from scrivano.engines.decoding_rules import Decoding, Split, Spoken, TokenTimes

__all__ = ["BEST_OF", "Adapter", "Hypothesis", "Sample", "Tokenizer", "Window", "WindowAudio", "WindowText"]

# At a temperature, this many texts are sampled, and the most probable is taken; Whisper's default.
BEST_OF = 5


class WindowAudio(Protocol):
    """The audio of one window in the form that the model takes, without padding."""

    @property
    def start(self) -> float:
        """Seconds from the chunk's first sample."""

    @property
    def seconds(self) -> float: ...

    @property
    def padded_length(self) -> int:
        """The length that the encoder sees, in the adapter's unit. All windows of an encoder pass have the same."""

    def fully_padded(self) -> Self | None:
        """The same audio, to be padded to 30 s with silence; None if it already is."""

    def after(self, seconds: float) -> Self:
        """The part that starts `seconds` after the start of this audio."""

    def until(self, seconds: float) -> Self:
        """The part that ends `seconds` after the start of this audio."""


A = TypeVar("A", bound=WindowAudio)
# What the encoder returns for a batch of windows; only the adapter looks into it.
E = TypeVar("E")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window(Generic[A]):
    """Audio that the model decodes in one go: a chunk, or a part of one. `chunk`: its place in the batch.

    `stretch`: which stretch of the chunk this is (a part of), when a chunk is decoded in stretches.
    `language`: empty until it is detected. `languages`: those that a detection may return; empty: all.
    """

    chunk: int
    audio: A
    language: str
    languages: tuple[str, ...]
    task: str
    stretch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """A text that the model generated for a window. `tokens` include timestamps, but not the end of text.

    `avg_logprob`: the mean natural-log probability of a token, the end of text included.
    `times`: if the library aligns while it generates, the times of all text tokens; else None.
    """

    tokens: tuple[int, ...]
    avg_logprob: float
    no_speech_prob: float
    times: TokenTimes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowText(Generic[A]):
    """The text chosen for a window. `spoken`: the segments of `split` that get times and are returned."""

    window: Window[A]
    decoding: Decoding
    split: Split
    spoken: tuple[Spoken, ...]

    @property
    def tokens(self) -> list[int]:
        """The text tokens of all `spoken` segments, in a row."""
        return [token for one in self.spoken for token in one.tokens]


# Generates a text for each of these windows (by their places) at this temperature.
Sample = Callable[[Sequence[int], float], Mapping[int, Hypothesis]]


class Tokenizer(Protocol):
    """Text to tokens and back."""

    @property
    def timestamp_begin(self) -> int:
        """The token of 0.00 s. All greater tokens are timestamps, in steps of `TIMESTAMP_SECONDS`."""

    @property
    def end_of_text(self) -> int:
        """All smaller tokens are text."""

    def encode(self, text: str) -> list[int]: ...

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of those tokens that are text. Bytes that are not UTF-8 become U+FFFD."""

    def split_words(self, tokens: list[int], language: str) -> tuple[list[str], list[list[int]]]:
        """The words and the tokens of each. The words, joined, are the text of `tokens`."""


class Adapter(Protocol[A, E]):
    """A loaded model of one library. Any method may raise any exception of the library.

    `encoded` is the result of `encode`; `members` are places of windows in it.
    """

    @property
    def batching(self) -> bool:
        """Whether chunks are decoded together; else one after the other."""

    @property
    def samples_together(self) -> bool:
        """Whether windows that fall back are sampled together; else one by one, so that the batch has no effect."""

    @property
    def multilingual(self) -> bool: ...

    @property
    def detects_cheaply(self) -> bool:
        """Whether `detect` costs little beside `encode` and `search`."""

    @property
    def languages(self) -> Sequence[str]: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def context_tokens(self) -> int:
        """The length of the decoder's context; a prompt takes at most half of it."""

    def decoding(self, options: DecodingOptions) -> AbstractContextManager[None]:
        """Held while a batch is decoded, or each chunk if the adapter is not `batching`.

        At its start the model is brought into its first state: texts must not depend on random numbers that were drawn
        before.
        """

    def window_audio(self, samples: NDArray[np.float32]) -> A:
        """The first window of a chunk."""

    def encode(self, audio: Sequence[A], options: DecodingOptions) -> E:
        """Encode windows of the same `padded_length`."""

    def detect(self, encoded: E, members: Sequence[int], options: DecodingOptions) -> Sequence[Mapping[str, float]]:
        """The probability of each language in each of the `members`, in their order."""

    def search(
        self, encoded: E, windows: Sequence[Window[A]], prompt: Sequence[int], options: DecodingOptions
    ) -> Sequence[Hypothesis]:
        """Generate the text of each window at temperature 0, by beam search or greedily.

        `prompt`: tokens that precede each window (`decoding_rules.prompt_tokens`).
        """

    def sampling(
        self,
        encoded: E,
        windows: Sequence[Window[A]],
        members: Sequence[int],
        prompt: Sequence[int],
        options: DecodingOptions,
    ) -> AbstractContextManager[Sample]:
        """Prepare the model to sample texts of `members` (places in `windows`), at one temperature after the other."""

    def align(
        self, encoded: E, texts: Mapping[int, WindowText[A]], options: DecodingOptions
    ) -> Mapping[int, TokenTimes]:
        """The times of `WindowText.tokens`, by the window's place.

        A window without text may be missing; all are if the model cannot align.
        """

    def close(self) -> None:
        """Free the model. A second call does nothing."""
