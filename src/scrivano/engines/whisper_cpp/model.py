"""whisper.cpp's model: all that we use of pywhispercpp.

We use its C bindings, the module `_pywhispercpp`, which is not a documented interface: its documented one has neither
prompts nor token times. No other file uses it; pyproject.toml allows the minor version that
`tests/integration/engines/whisper_cpp/test_model.py` passes with.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _pywhispercpp as cpp
import numpy as np

from scrivano.domain.errors import ModelUnavailable
from scrivano.domain.job import Task
from scrivano.engines.adapter import BEST_OF
from scrivano.engines.engine import LoadOptions
from scrivano.processes.child import available_cores

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CppModel", "Request", "Token"]

logger = logging.getLogger(__name__)

# whisper.cpp's WHISPER_MAX_DECODERS.
MAX_BEAMS = 8

# whisper.cpp's times.
TICKS_PER_SECOND = 100

# A no-speech threshold that no probability reaches: it turns whisper.cpp's own test off. That one would look at another
# window (1.8.5 reads the first row of the logits, but a prompt of several tokens writes only the last one).
NEVER_SILENT = 2.0

# With it as the threshold, each text is improbable; with its opposite, none is.
ALWAYS_UNSURE = 1e9

# GGML_LOG_LEVEL_ERROR.
ERROR_LEVEL = 4

# The log line of a build without CUDA, and of one with CUDA on a machine without a GPU; both go on with the CPU.
NO_GPU = "no GPU found"

# whisper.cpp's lists of the heads that attend to the place where a word is spoken, by decoder layers, heads, and
# whether the model is multilingual. `large-v1` has the shape of `large-v2`, so it gets the heads of that.
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

# For a model of another shape: all heads of the last layers, but at most half of the layers and this many heads.
MAX_ALIGNMENT_HEADS = 24

# Working memory of the alignment: 24 heads over 224 tokens and 1500 positions need 130 MB.
ALIGNMENT_BYTES = 256 * 2**20

# A multilingual vocabulary has one token more than this and its languages (`whisper.cpp`: `num_languages`).
TOKENS_WITHOUT_LANGUAGES = 51765


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call of `whisper_full`: 16 kHz mono samples, and how to decode them. `language` empty: detect it."""

    samples: NDArray[np.float32]
    language: str
    task: str
    prompt: Sequence[int]
    max_tokens: int
    beam_size: int
    temperature: float


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was generated. `end`: where the alignment leaves it, in seconds; negative: it was not aligned."""

    id: int
    probability: float
    logprob: float
    end: float


class CppModel:
    """A loaded GGML model. Not thread-safe."""

    def __init__(self, options: LoadOptions) -> None:
        self._options = options
        self._context: Any = None
        self._on_gpu = False
        self._drawn = False
        self._load()

    def close(self) -> None:
        if self._context is not None:
            with _captured_log():
                cpp.whisper_free(self._context)
            self._context = None

    def restart(self) -> None:
        """Start the sequence of random numbers again.

        The generator of the first decoder lives as long as the model, and its seed cannot be set; sampling and beam
        search draw from it. So a model that has drawn is loaded again: 20 ms for the bundled one, as long as reading
        the file from the page cache for others. On a GPU that would take longer than a chunk: there a text may depend
        on the ones before it.
        """
        if self._context is None or (self._drawn and not self._on_gpu):
            self.close()
            self._load()

    def _load(self) -> None:
        with _captured_log() as log:
            context = cpp.whisper_init_from_file_with_params(str(self._options.path), self._context_params())
        # The binding reports a failed load by an error line only. The context that it returns then must not be touched.
        if log.errors:
            raise ModelUnavailable(f"whisper.cpp cannot load {self._options.path}: {'; '.join(log.errors)}")
        self._context = context
        self._drawn = False
        self._on_gpu = self._options.device == "cuda" and not log.has(NO_GPU)
        if self._options.device == "cuda" and not self._on_gpu:
            logger.warning("whisper.cpp uses no GPU: pywhispercpp was built without CUDA, or there is none")

    def _context_params(self) -> Any:
        params = cpp.whisper_context_default_params()
        params.use_gpu = self._options.device == "cuda"
        params.gpu_device = self._options.device_index
        params.flash_attn = False  # with it there is no alignment
        params.dtw_token_timestamps = True
        params.dtw_mem_size = ALIGNMENT_BYTES
        name, layers = _alignment_heads(self._options.path)
        params.dtw_aheads_preset = getattr(cpp.whisper_alignment_heads_preset, f"WHISPER_AHEADS_{name}")
        params.dtw_n_top = layers
        return params

    # Facts about the model.

    @cached_property
    def multilingual(self) -> bool:
        return bool(cpp.whisper_is_multilingual(self._context))

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """In the order of their tokens."""
        if not self.multilingual:
            return ("en",)
        known = cpp.whisper_n_vocab(self._context) - TOKENS_WITHOUT_LANGUAGES - 1
        return tuple(cpp.whisper_lang_str(number) for number in range(known))

    @cached_property
    def context_tokens(self) -> int:
        return int(cpp.whisper_n_text_ctx(self._context))

    @cached_property
    def end_of_text(self) -> int:
        return int(cpp.whisper_token_eot(self._context))

    @cached_property
    def timestamp_begin(self) -> int:
        return int(cpp.whisper_token_beg(self._context))

    def text_tokens(self) -> list[bytes]:
        """The bytes of each text token: the binding's text of a token fails if it holds a part of a character."""
        return [cpp.whisper_token_to_bytes(self._context, number) for number in range(self.end_of_text)]

    @cached_property
    def _threads(self) -> int:
        return self._options.cpu_threads or available_cores()

    # Work.

    def detect(self, samples: NDArray[np.float32]) -> dict[str, float]:
        """Return the probability of each language that the model knows. Raises `RuntimeError`."""
        probabilities = np.zeros(cpp.whisper_lang_max_id() + 1, np.float32)
        with _captured_log() as log:
            failed = cpp.whisper_pcm_to_mel(self._context, samples, len(samples), self._threads)
            if not failed:
                failed = cpp.whisper_lang_auto_detect(self._context, 0, self._threads, probabilities) < 0
        if failed:
            raise RuntimeError(f"whisper.cpp cannot detect the language: {'; '.join(log.errors)}")
        # whisper.cpp fills in one language more than a model of 99 languages has.
        known = probabilities[: len(self.languages)]
        shares = (known / known.sum()).tolist()
        return dict(zip(self.languages, shares, strict=True))

    def generate(self, request: Request) -> list[Token]:
        """Return the tokens of the text, in one segment, with timestamps and the end of text. Raises `RuntimeError`."""
        self._drawn = self._drawn or request.temperature > 0 or request.beam_size > 1
        return self._run(self._params(request), request.samples)

    def is_silent(self, request: Request, no_speech_threshold: float) -> bool:
        """Whether the model finds no speech, by whisper.cpp's own test: then it drops the text.

        The logits that the test looks at are those at the start of this window's transcript, as in Whisper, only if the
        same call detects the language. It takes one more encoding.
        """
        params = self._params(request)
        params.language = "" if self.multilingual else "en"
        params.no_timestamps = self.multilingual  # so that there is text to drop
        params.max_tokens = 1
        params.no_speech_thold = no_speech_threshold
        params.logprob_thold = ALWAYS_UNSURE
        return not self._run(params, request.samples)

    def _params(self, request: Request) -> Any:
        strategies = cpp.whisper_sampling_strategy
        params = cpp.whisper_full_default_params(
            strategies.WHISPER_SAMPLING_BEAM_SEARCH if request.beam_size > 1 else strategies.WHISPER_SAMPLING_GREEDY
        )
        params.n_threads = self._threads
        params.language = request.language
        params.translate = request.task == Task.TRANSLATE
        params.set_prompt_tokens(list(request.prompt))
        params.no_context = True
        params.single_segment = True  # else it cuts the text itself, and leaves timestamps out
        params.suppress_nst = True
        params.max_tokens = request.max_tokens
        params.greedy = {"best_of": BEST_OF}
        params.beam_search = {"beam_size": min(request.beam_size, MAX_BEAMS), "patience": -1.0}
        params.temperature = request.temperature
        # The window loop does the fallback and the silence test.
        params.temperature_inc = 0.0
        params.entropy_thold = 0.0
        params.logprob_thold = -ALWAYS_UNSURE
        params.no_speech_thold = NEVER_SILENT
        params.print_progress = params.print_realtime = params.print_timestamps = params.print_special = False
        return params

    def _run(self, params: Any, samples: NDArray[np.float32]) -> list[Token]:
        with _captured_log() as log:
            code = cpp.whisper_full(self._context, params, samples, len(samples))
        if code:
            raise RuntimeError(f"whisper.cpp failed ({code}): {'; '.join(log.errors)}")
        found = (
            cpp.whisper_full_get_token_data(self._context, segment, number)
            for segment in range(cpp.whisper_full_n_segments(self._context))
            for number in range(cpp.whisper_full_n_tokens(self._context, segment))
        )
        return [Token(one.id, one.p, one.plog, one.t_dtw / TICKS_PER_SECOND) for one in found]


def _alignment_heads(file: Path) -> tuple[str, int]:
    """Return the name of whisper.cpp's list of alignment heads, and how many layers to use if it has no list."""
    with file.open("rb") as model:
        header = np.frombuffer(model.read(48), "<i4")
    vocabulary, heads, layers = int(header[1]), int(header[8]), int(header[9])
    if vocabulary == LARGE_V3_VOCABULARY:
        name = ALIGNMENT_HEADS_V3.get((layers, heads))
    else:
        name = ALIGNMENT_HEADS.get((layers, heads, vocabulary > TOKENS_WITHOUT_LANGUAGES + 99))
    most = max(1, MAX_ALIGNMENT_HEADS // max(1, heads))
    return name or "N_TOP_MOST", min(math.ceil(layers / 2), most)


class _Log:
    """Lines of whisper.cpp's log, with their levels."""

    def __init__(self) -> None:
        self._lines: list[tuple[int, str]] = []

    def add(self, level: int, text: str) -> None:
        self._lines.append((level, text.strip()))

    @property
    def errors(self) -> list[str]:
        return [text for level, text in self._lines if level == ERROR_LEVEL]

    def has(self, words: str) -> bool:
        return any(words in text for _, text in self._lines)


@contextmanager
def _captured_log() -> Iterator[_Log]:
    """Collect what whisper.cpp logs, which it would print otherwise.

    The callback is removed at the end: with one that is still set when the interpreter exits, the process aborts.
    """
    log = _Log()
    cpp.whisper_log_set(log.add)
    try:
        yield log
    finally:
        cpp.whisper_log_set(None)
