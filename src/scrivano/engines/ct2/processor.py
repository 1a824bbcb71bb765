"""What we use of faster-whisper: its model loader, its log-mel features, its tokenizer.

Its documented interface is `transcribe`, which has no batches of several recordings. What we use instead is in this
file only; pyproject.toml allows the minor version that `tests/integration/engines/ct2/test_processor.py` passes with.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens

from scrivano.domain.job import Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Processor", "load"]


def load(folder: Path, **options: Any) -> tuple[Any, Processor]:
    """Load a model folder: CTranslate2's model (`ctranslate2.models.Whisper`), and its processor.

    `options`: those of `WhisperModel`.
    """
    whisper = WhisperModel(str(folder), **options)
    return whisper.model, Processor(whisper)


class Processor:
    """Samples to log-mel features, text to tokens and back. Thread-safe.

    It keeps no reference to the model: the model may be replaced while another thread uses the processor.
    """

    def __init__(self, whisper: WhisperModel) -> None:
        self._extractor = whisper.feature_extractor
        self._hf_tokenizer = whisper.hf_tokenizer
        self._tokenizers: dict[tuple[str, str], Tokenizer] = {}
        self.context_tokens = int(whisper.max_length)
        self.multilingual = bool(whisper.model.is_multilingual)
        # faster-whisper lists `yue` for every model, but only large-v3 has a token for it.
        known = self._hf_tokenizer.token_to_id
        self.languages = tuple(
            code for code in whisper.supported_languages if not self.multilingual or known(f"<|{code}|>") is not None
        )

    def features(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Samples (count) to log-mel (mels, frames of 10 ms)."""
        # The extractor appends one frame of silence; faster-whisper drops it as well.
        features: NDArray[np.float32] = self._extractor(samples)[..., :-1].astype(np.float32)
        return features

    @cached_property
    def suppressed_tokens(self) -> list[int]:
        """Tokens that no text may contain: those of Whisper's special tasks, and signs that stand for noises."""
        return list(get_suppressed_tokens(self._any_tokenizer, [-1]))

    @property
    def timestamp_begin(self) -> int:
        return int(self._any_tokenizer.timestamp_begin)

    @property
    def end_of_text(self) -> int:
        return int(self._any_tokenizer.eot)

    def encode(self, text: str) -> list[int]:
        return list(self._any_tokenizer.encode(text))

    def decode(self, tokens: Sequence[int]) -> str:
        return str(self._any_tokenizer.decode(list(tokens)))

    def split_words(self, tokens: list[int], language: str) -> tuple[list[str], list[list[int]]]:
        words, groups = self._tokenizer(language, Task.TRANSCRIBE).split_to_word_tokens(tokens)
        return list(words), list(groups)

    def start_sequence(self, language: str, task: str) -> list[int]:
        """The tokens that start a transcript."""
        return list(self._tokenizer(language, task).sot_sequence)

    def prompt(self, previous: Sequence[int], language: str, task: str) -> list[int]:
        """The start sequence, after the tokens `previous`."""
        before = [self._any_tokenizer.sot_prev, *previous] if previous else []
        return [*before, *self.start_sequence(language, task)]

    @property
    def _any_tokenizer(self) -> Tokenizer:
        """For what does not depend on language and task."""
        return self._tokenizer("en", Task.TRANSCRIBE)

    def _tokenizer(self, language: str, task: str) -> Tokenizer:
        key = (language, task)
        if key not in self._tokenizers:
            self._tokenizers[key] = Tokenizer(self._hf_tokenizer, self.multilingual, task=task, language=language)
        return self._tokenizers[key]
