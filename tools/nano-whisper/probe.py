"""A quick held-out WER while training: greedy, always in 30 s windows."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model import Nano
from pool import Pool
from scoring import edits, words
from sound import Sound
from tokens import (
    EN,
    EOT,
    FIRST_TIMESTAMP,
    IT,
    LANGUAGE_ID,
    NO_SPEECH,
    NO_TIMESTAMPS,
    SOT,
    TASK_ID,
    TIMESTAMPS,
    Words,
)
from windows import FULL, compose

_SHORT, _DENSE = 32, 8
_SHORT_TOKENS, _DENSE_TOKENS = 36, 170
_LANGUAGES = ("en", "it")


@dataclass(frozen=True, slots=True)
class _Case:
    mel: Tensor
    text: str
    english: str


class Probe:
    """Single sentences and 20-28 s windows, a share of them for each process."""

    def __init__(self, pool: Pool, sound: Sound, encoder: Words, rank: int, processes: int) -> None:
        self._words = encoder
        rng = random.Random(7)
        self._short: dict[str, list[_Case]] = {}
        self._dense: dict[str, list[_Case]] = {}
        for language in _LANGUAGES:
            short, dense = [], []
            for clip in [c for c in pool.of[language] if c.seconds < 4.8][:_SHORT]:
                samples = sound.degrade(pool.samples(clip), rng, 0.4, 15)
                mel = sound.log_mel(samples, 2 * FULL, rng)
                short.append(_Case(mel, clip.text, clip.english))
            for _ in range(_DENSE):
                _, samples, placed = compose(pool, rng, rng.uniform(20, 28), language=language)
                mel = sound.log_mel(sound.degrade(samples, rng, 0.4, 15), 2 * FULL, rng)
                text = " ".join(p.clip.text for p in placed)
                dense.append(_Case(mel, text, ""))
            self._short[language] = short[rank::processes]
            self._dense[language] = dense[rank::processes]

    @torch.no_grad()
    def measure(self, model: Nano) -> dict[str, float]:
        """WER in percent by name, and `score`, the mean of short and dense."""
        model.eval()
        results = {}
        for language in _LANGUAGES:
            short, dense = self._short[language], self._dense[language]
            results[language] = self._wer(model, short, language, _SHORT_TOKENS)
            results[f"dense_{language}"] = self._wer(model, dense, language, _DENSE_TOKENS)
            results[f"dense_{language}_stamped"] = self._wer(model, dense, language, _DENSE_TOKENS, timestamps=True)
            results[f"language_{language}"] = self._right_language(model, short, language)
        results["it_en"] = self._wer(model, self._short["it"], "it", _SHORT_TOKENS, task="translate")
        model.train()
        dense_mean = sum(v for name, v in results.items() if "dense" in name) / 4
        results["score"] = round((results["en"] + results["it"]) / 4 + dense_mean / 2, 2)
        return results

    def _wer(
        self,
        model: Nano,
        cases: Sequence[_Case],
        language: str,
        most: int,
        *,
        task: str = "transcribe",
        timestamps: bool = False,
    ) -> float:
        start = [SOT, LANGUAGE_ID[language], TASK_ID[task]]
        start += [] if timestamps else [NO_TIMESTAMPS]
        mel = torch.stack([case.mel for case in cases])
        errors = total = 0
        for row, case in zip(greedy(model, mel, start, most), cases, strict=True):
            wanted = words(case.text if task == "transcribe" else case.english)
            errors += edits(wanted, words(self._words.decode(row)))
            total += len(wanted)
        return _share(errors, total)

    def _right_language(self, model: Nano, cases: Sequence[_Case], language: str) -> float:
        mel = torch.stack([case.mel for case in cases])
        with torch.autocast("cpu", torch.bfloat16):
            first = model.to_compact[torch.full((len(mel), 1), SOT)]
            hidden, _, table = model.decode(first, model.encoder(mel))
        scores = model.logits(hidden[:, -1], table)
        choices = model.to_compact[torch.tensor([EN, IT, NO_SPEECH])]
        right = scores[:, choices].argmax(-1) == _LANGUAGES.index(language)
        return _share(int(right.sum()), len(cases))


def _share(part: int, whole: int) -> float:
    """Percent over all processes."""
    counts = torch.tensor([part, whole], dtype=torch.float32)
    torch.distributed.all_reduce(counts)
    return round(100 * float(counts[0] / counts[1]), 1)


@torch.no_grad()
def greedy(model: Nano, mel: Tensor, start: Sequence[int], most: int) -> list[list[int]]:
    """The likeliest token each time, at most `most`; with timestamps unless `start` forbids."""
    plain = NO_TIMESTAMPS in start
    real = torch.full((model.shared + 1 + TIMESTAMPS,), EOT)
    real[: model.shared] = torch.tensor(model.used)
    real[model.shared + 1 :] = FIRST_TIMESTAMP + torch.arange(TIMESTAMPS)
    tokens = torch.tensor(start)[None].repeat(len(mel), 1)
    done = torch.zeros(len(mel), dtype=torch.bool)
    with torch.autocast("cpu", torch.bfloat16):
        memory = model.encoder(mel)
        for _ in range(most):
            hidden, _, table = model.decode(model.to_compact[tokens], memory)
            scores = model.logits(hidden[:, -1], table)
            scores[:, model.shared] = -torch.inf
            if plain:
                scores[:, model.shared + 1 :] = -torch.inf
            chosen = real[scores.argmax(-1)]
            chosen[done] = EOT
            done |= chosen == EOT
            tokens = torch.cat([tokens, chosen[:, None]], 1)
            if done.all():
                break
    return tokens[:, len(start) :].tolist()
