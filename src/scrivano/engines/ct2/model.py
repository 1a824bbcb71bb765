"""CTranslate2's Whisper: one copy of the weights, called by several threads and worked on by several workers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel

from scrivano.engines.shared_model import Sharing
from scrivano.processes.child import available_cores

if TYPE_CHECKING:
    from numpy.typing import NDArray

R = TypeVar("R")
T = TypeVar("T")

# Of a worker; CTranslate2's own default.
MOST_THREADS = 4

# A search takes about so long where urgent work may come: that runs beside the ones under way, and takes their place
# when they end. Smaller ones cost more: with `base` and one thread a window takes 1.00, 1.01, 1.05 s in searches of 4,
# 2, 1 with MKL (Intel), 1.12, 1.27, 1.52 s without (AMD's way, on the same processor).
YIELDING_S = 1.2

# The first timestamp is at most 1.00 s (Whisper's `max_initial_timestamp`).
FIRST_TIMESTAMP_INDEX = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """What to load, and where: `device` is `cpu` or `cuda`, `compute_type` as in CTranslate2; 0 threads: its cores.

    `fast`: the encoder hears a window without most of the silence that fills it up to 30 s. Stock models may then
    repeat themselves or break off; such a window is heard again in full.
    """

    folder: Path
    device: str = "cpu"
    device_index: int = 0
    compute_type: str = "default"
    cpu_threads: int = 0
    fast: bool = False


@dataclass(frozen=True, slots=True)
class Division:
    """How the work on a batch is divided: `parts` at once, each of a worker with so many threads.

    What lies between the matrices of a search is done by one thread, and where they are small, as in a search, the
    others cost more than they give. Measured with `base`, beam 5, on two cores: 8 windows took 3.5 s in one part and
    2.6 s in two (Zen 5); a single window took 2.0 s with two threads and 1.0 s with one (Xeon with AMX).
    """

    parts: int
    threads: int

    @classmethod
    def of(cls, cores: int) -> Division:
        threads = min(MOST_THREADS, max(1, cores // 2))
        return cls(max(1, cores // threads), threads)


# `Ct2Model.generate`, for who has the model alone.
Generate = Callable[..., dict[int, Any]]


class Ct2Model:
    """Encoder outputs live in host memory between calls: parts of a batch are then cheap to take, they outlive a reload
    of the model, and a window costs 4 MB over the bus, a few per cent of its decoding."""

    def __init__(self, options: LoadOptions) -> None:
        self._options = options
        self.on_cpu = options.device == "cpu"
        self._division = Division.of(options.cpu_threads or available_cores()) if self.on_cpu else Division(1, 0)
        # Urgent work finds threads and workers of its own, however much of the other waits.
        self._workers = self._division.parts * (2 if self.on_cpu else 1)
        self._threads = {urgent: ThreadPoolExecutor(self._division.parts) for urgent in (False, True)}
        self._sharing = Sharing(self._division.parts)
        self._drew = False
        self._search_secs = 0.0
        self.whisper = WhisperModel(
            str(options.folder),
            device=options.device,
            device_index=options.device_index,
            compute_type=options.compute_type,
            cpu_threads=self._division.threads,
            num_workers=self._workers,
        )

    def close(self) -> None:
        for threads in self._threads.values():
            threads.shutdown()
        self.whisper.model.unload_model()

    def refresh(self) -> None:
        """Before a decode: load the model anew where it drew random numbers, or where doing so failed."""
        if self._stale:
            with self._sharing.alone():
                if self._stale:
                    self._replace(self._workers)

    @property
    def _stale(self) -> bool:
        return self._drew or not self.whisper.model.model_is_loaded

    def encode(self, features: Sequence[NDArray[np.float32]], *, urgent: bool = False) -> NDArray[Any]:
        """Log-mel windows of one length (mels, frames) to (windows, positions, width)."""

        def encode(part: Sequence[NDArray[np.float32]]) -> NDArray[Any]:
            with self._sharing.use(urgent=urgent):
                output = self.whisper.model.encode(ctranslate2.StorageView.from_array(np.stack(part)), to_cpu=True)
                if output.dtype == ctranslate2.DataType.bfloat16:  # NumPy has no such type
                    output = output.to(ctranslate2.DataType.float32)
                return np.array(output)

        # On a CPU two windows together take as long as one after the other.
        return np.concatenate(
            list(self._threads[urgent].map(encode, _divided(features, 1 if self.on_cpu else len(features))))
        )

    def detect(self, encoded: NDArray[Any], members: Sequence[int], *, urgent: bool = False) -> list[dict[str, float]]:
        """Every language's probability, the likeliest first, in each of the windows `members`."""
        with self._sharing.use(urgent=urgent):
            found = self.whisper.model.detect_language(_part(encoded, members))
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
        """CTranslate2's result for each of the windows `members`: with its prompt, at most its cap of new tokens.

        `search`: CTranslate2's options. On a CPU a window's result does not depend on the others.
        """

        def generate(part: Sequence[int]) -> dict[int, Any]:
            with self._sharing.use(urgent=urgent):
                began = time.monotonic()
                results = self._generate(encoded, part, prompts, caps, **search)
                self._search_secs = (time.monotonic() - began) / len(part)
            return results

        size = math.ceil(len(members) / self._division.parts)
        if yielding and self._search_secs:
            size = min(size, int(YIELDING_S / self._search_secs))
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
        """One call for those that share their cap. CTranslate2's own is the lesser of half of `max_length` and what
        the prompt leaves."""
        found: dict[int, Any] = {}
        for cap, alike in grouped(members, key=lambda i: caps[i]).items():
            results = self.whisper.model.generate(
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
    def drawing(self, seed: int) -> Iterator[Generate]:
        """For texts that are drawn at random: on a CPU the same ones for the same seed.

        CTranslate2's generator of random numbers belongs to a worker's thread, which reads the seed at its first draw
        and never again (measured with 4.8.5: unloading and loading the weights does not help); which of several workers
        draws is left to chance. So whatever draws is a new model of a single worker: 20 ms for the bundled one, as long
        as a load from the page cache for others, and only for failing windows.
        """
        with self._sharing.alone():
            if self.on_cpu:
                self._replace(1)
                ctranslate2.set_random_seed(seed % 2**32)
                self._drew = True
            yield self._generate

    def _replace(self, workers: int) -> None:
        """The same model in new threads. The old weights go first: there may be no room for both."""
        self.whisper.model.unload_model()
        self.whisper.model = ctranslate2.models.Whisper(
            str(self._options.folder),
            device=self._options.device,
            device_index=self._options.device_index,
            compute_type=self._options.compute_type,
            intra_threads=self._division.threads,
            inter_threads=workers,
        )
        self._drew = False

    def align(
        self,
        encoded: NDArray[Any],
        members: Sequence[int],
        starts: Sequence[Sequence[int]],
        texts: Sequence[list[int]],
        frames: Sequence[int],
        *,
        urgent: bool = False,
    ) -> dict[int, Any]:
        """CTranslate2's alignment of the text tokens of each of the windows `members`.

        One call has one start sequence: language and task. On a CPU each window has its own: a window's alignment
        changes with its neighbours there (measured on Zen 5, not on Zen 4: one in nine, words moved by up to 0.2 s),
        and one by one takes no longer.
        """
        groups = [[i] for i in members] if self.on_cpu else list(grouped(members, lambda i: tuple(starts[i])).values())

        def align(group: Sequence[int]) -> list[tuple[int, Any]]:
            with self._sharing.use(urgent=urgent):
                results = self.whisper.model.align(
                    _part(encoded, group),
                    starts[group[0]],
                    [texts[i] for i in group],
                    [frames[i] for i in group],
                )
            return list(zip(group, results, strict=True))

        return dict(one for found in self._threads[urgent].map(align, groups) for one in found)


def grouped(members: Sequence[T], key: Callable[[T], R]) -> Mapping[R, list[T]]:
    groups: dict[R, list[T]] = {}
    for member in members:
        groups.setdefault(key(member), []).append(member)
    return groups


def _divided(members: Sequence[T], size: int) -> list[Sequence[T]]:
    """Parts of at most `size`, at least one member each."""
    size = max(1, size)
    return [members[at : at + size] for at in range(0, len(members), size)]


def _part(encoded: NDArray[Any], members: Sequence[int]) -> ctranslate2.StorageView:
    chosen = encoded if len(members) == len(encoded) else np.ascontiguousarray(encoded[list(members)])
    return ctranslate2.StorageView.from_array(chosen)
