"""CTranslate2's Whisper: one copy of the weights, called from several threads and computed on by several workers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import ctranslate2
import numpy as np

from scrivano.engines.ct2.model_lock import ModelLock
from scrivano.engines.ct2.processor import load
from scrivano.engines.engine import LoadOptions
from scrivano.processes.child import available_cores

if TYPE_CHECKING:
    from numpy.typing import NDArray

R = TypeVar("R")
T = TypeVar("T")

# The most threads of one worker; CTranslate2's own default.
MAX_THREADS = 4

# How long a search should take while urgent work is expected: urgent work runs concurrently with the searches that have
# started, and before those that have not. Smaller searches cost more: with `base` and one thread a window takes 1.00,
# 1.01, 1.05 s in searches of 4, 2, 1 with MKL (Intel), and 1.12, 1.27, 1.52 s without it (as on AMD).
YIELDING_S = 1.2

# The first timestamp is at most 1.00 s (Whisper's `max_initial_timestamp`).
FIRST_TIMESTAMP_INDEX = 50


@dataclass(frozen=True, slots=True)
class Division:
    """How a batch is divided: into `parts` that run concurrently, each in a worker with this many `threads`.

    Between the matrix products of a search only one thread works, and with matrices as small as in a search, more
    threads cost more than they gain. Measured with `base`, beam 5, on two cores: 8 windows took 3.5 s in one part and
    2.6 s in two (Zen 5); a single window took 2.0 s with two threads and 1.0 s with one (Xeon with AMX).
    """

    parts: int
    threads: int

    @classmethod
    def of(cls, cores: int) -> Division:
        threads = min(MAX_THREADS, max(1, cores // 2))
        return cls(max(1, cores // threads), threads)


# `Ct2Model.generate` for a caller that has the model to itself.
Generate = Callable[..., dict[int, Any]]


class Ct2Model:
    """Encodes, searches, samples and aligns. Two threads may use it: one with urgent work, one with the other.

    Encoder outputs are kept in host memory between calls: then it is cheap to take parts of a batch, they survive a
    replacement of the model, and copying a window costs 4 MB over the bus, a few per cent of its decoding.
    """

    def __init__(self, options: LoadOptions) -> None:
        self._options = options
        self.on_cpu = options.device == "cpu"
        self._division = Division.of(options.cpu_threads or available_cores()) if self.on_cpu else Division(1, 0)
        # Urgent work has threads and workers of its own, so that it never queues behind the other work.
        self._workers = self._division.parts * (2 if self.on_cpu else 1)
        self._threads = {urgent: ThreadPoolExecutor(self._division.parts) for urgent in (False, True)}
        self._lock = ModelLock(self._division.parts)
        self._sampled = False
        # How long the last search took for each of its windows; 0 before the first one. Threads write it unguarded: any
        # recent value will do.
        self._search_s = 0.0
        self._model, self.processor = load(
            options.path,
            device=options.device,
            device_index=options.device_index,
            compute_type=options.compute_type,
            cpu_threads=self._division.threads,
            num_workers=self._workers,
        )

    def close(self) -> None:
        for threads in self._threads.values():
            threads.shutdown()
        self._model.unload_model()

    def refresh(self) -> None:
        """Load the model again if texts were sampled from it, or if a replacement of it failed."""
        if self._stale:
            with self._lock.exclusive():
                # Again, because the other thread may have done it meanwhile.
                if self._stale:
                    self._replace(self._workers)

    def reserved(self) -> AbstractContextManager[None]:
        """Keep a core for an urgent batch until its end: else other work takes it between the calls of the batch."""
        return self._lock.reserved()

    @property
    def _stale(self) -> bool:
        return self._sampled or not self._model.model_is_loaded

    def encode(self, features: Sequence[NDArray[np.float32]], *, urgent: bool = False) -> NDArray[Any]:
        """Encode log-mel windows of one length, each (mels, frames), to (windows, positions, width)."""

        def encode(part: Sequence[NDArray[np.float32]]) -> NDArray[Any]:
            with self._lock.shared(urgent=urgent):
                output = self._model.encode(ctranslate2.StorageView.from_array(np.stack(part)), to_cpu=True)
                if output.dtype == ctranslate2.DataType.bfloat16:  # NumPy has no such type
                    output = output.to(ctranslate2.DataType.float32)
                return np.array(output)

        # On a CPU two windows together take as long as one after the other, and single ones divide evenly.
        return np.concatenate(
            list(self._threads[urgent].map(encode, _divided(features, 1 if self.on_cpu else len(features))))
        )

    def detect(self, encoded: NDArray[Any], members: Sequence[int], *, urgent: bool = False) -> list[dict[str, float]]:
        """Return the probability of each language, the most probable first, in each of the windows `members`."""
        with self._lock.shared(urgent=urgent):
            found = self._model.detect_language(_part(encoded, members))
        return [{token.strip("<|>"): float(probability) for token, probability in ranked} for ranked in found]

    def generate(
        self,
        encoded: NDArray[Any],
        members: Sequence[int],
        prompts: Sequence[list[int]],
        caps: Sequence[int],
        *,
        urgent: bool = False,
        yielding: bool = False,
        **search: Any,
    ) -> dict[int, Any]:
        """Return CTranslate2's result for each of the windows `members`.

        `prompts` and `caps` (how many new tokens at most) are those of all windows. `search`: CTranslate2's options.
        On a CPU a window's result does not depend on the others.
        """

        def generate(part: Sequence[int]) -> dict[int, Any]:
            with self._lock.shared(urgent=urgent):
                started = time.monotonic()
                results = self._generate(encoded, part, prompts, caps, **search)
                self._search_s = (time.monotonic() - started) / len(part)
            return results

        size = math.ceil(len(members) / self._division.parts)
        if yielding and self._search_s:
            size = min(size, int(YIELDING_S / self._search_s))
        found = self._threads[urgent].map(generate, _divided(members, size))
        return {i: result for part in found for i, result in part.items()}

    def _generate(
        self,
        encoded: NDArray[Any],
        members: Sequence[int],
        prompts: Sequence[list[int]],
        caps: Sequence[int],
        **search: Any,
    ) -> dict[int, Any]:
        """One call for the windows of each cap: `max_length` is an option of the call.

        CTranslate2 generates at most the lesser of `max_length` / 2 and `max_length` less the prompt.
        """
        found: dict[int, Any] = {}
        for cap, alike in _grouped(members, lambda i: caps[i]).items():
            results = self._model.generate(
                _part(encoded, alike),
                [prompts[i] for i in alike],
                max_length=max(2 * cap, cap + len(prompts[alike[0]]) - 1),
                return_scores=True,
                return_no_speech_prob=True,
                max_initial_timestamp_index=FIRST_TIMESTAMP_INDEX,
                **search,
            )
            found |= dict(zip(alike, results, strict=True))
        return found

    @contextmanager
    def sampling(self, seed: int) -> Iterator[Generate]:
        """Have the model exclusively, to sample texts at random: on a CPU the same texts for the same seed.

        CTranslate2's generator of random numbers belongs to a worker's thread, which reads the seed at its first draw
        and never again (measured with 4.8.5: unloading and loading the weights does not help), and any of several
        workers may take a call. So for each seed the model is replaced by a new one with a single worker. That takes
        20 ms with the bundled model and as long as a load from the page cache with others, but only for windows that
        failed the quality gates.
        """
        with self._lock.exclusive():
            if self.on_cpu:
                self._replace(1)
                ctranslate2.set_random_seed(seed % 2**32)
                self._sampled = True
            yield self._generate

    def _replace(self, workers: int) -> None:
        """Load the same model with new threads. The old weights go first: memory may not suffice for both."""
        self._model.unload_model()
        self._model = ctranslate2.models.Whisper(
            str(self._options.path),
            device=self._options.device,
            device_index=self._options.device_index,
            compute_type=self._options.compute_type,
            intra_threads=self._division.threads,
            inter_threads=workers,
        )
        self._sampled = False

    def align(
        self,
        encoded: NDArray[Any],
        texts: Mapping[int, tuple[Sequence[int], Sequence[int]]],
        frames: Mapping[int, int],
        *,
        urgent: bool = False,
    ) -> dict[int, Any]:
        """Return CTranslate2's alignment of `texts`: of each window a start sequence (language, task) and text tokens.

        `frames`: the length of each window without padding. One call has one start sequence. On a CPU each window has a
        call of its own: in a batch its alignment changes with the other windows (measured on Zen 5, not on Zen 4: one
        window in nine, words moved by up to 0.2 s), and calls one by one take no longer.
        """
        by_start = _grouped(list(texts), lambda i: tuple(texts[i][0]))
        groups = [[i] for i in texts] if self.on_cpu else list(by_start.values())

        def align(group: Sequence[int]) -> list[tuple[int, Any]]:
            with self._lock.shared(urgent=urgent):
                results = self._model.align(
                    _part(encoded, group),
                    list(texts[group[0]][0]),
                    [list(texts[i][1]) for i in group],
                    [frames[i] for i in group],
                )
            return list(zip(group, results, strict=True))

        return dict(one for found in self._threads[urgent].map(align, groups) for one in found)


def _grouped(members: Sequence[T], key: Callable[[T], R]) -> Mapping[R, list[T]]:
    groups: dict[R, list[T]] = {}
    for member in members:
        groups.setdefault(key(member), []).append(member)
    return groups


def _divided(members: Sequence[T], size: int) -> list[Sequence[T]]:
    """Cut into parts of at most `size` members, and of at least one."""
    size = max(1, size)
    return [members[at : at + size] for at in range(0, len(members), size)]


def _part(encoded: NDArray[Any], members: Sequence[int]) -> ctranslate2.StorageView:
    chosen = encoded if len(members) == len(encoded) else np.ascontiguousarray(encoded[list(members)])
    return ctranslate2.StorageView.from_array(chosen)
