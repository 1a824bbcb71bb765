"""Train the nano model on a CPU with two processes of one thread each.

python train.py --data DATA --out CHECKPOINTS --recipe short --minutes 45
python train.py --data DATA --out CHECKPOINTS --recipe long --minutes 30 --from short/final.pt
python train.py --data DATA --out CHECKPOINTS --recipe more --minutes 75 --from long/best.pt

The schedule follows the wall clock: a seed fixes data and order, not the number of steps.
Written to --out: latest.pt (every two minutes), best.pt (by the held-out probe), final.pt, ema.pt.
"""

import argparse
import math
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from grammar import sentence
from losses import Losses, batch_losses
from model import Nano, start_local
from pool import Pool
from probe import Probe
from sound import Sound
from tokens import (
    EN,
    EOT,
    IT,
    NO_SPEECH,
    NO_TIMESTAMPS,
    SOT,
    START_OF_PREV,
    TRANSCRIBE,
    TRANSLATE,
    Words,
)
from windows import FULL, Batch, Mix, WindowMaker, collate

# On a machine shared with others, two processes of one thread beat one of two.
PROCESSES = 2
# Encoder positions of a step, over all processes.
BUDGET = 4500
# From this length on, some steps leave the encoder alone.
LONG_POSITIONS = 500
LATEST_S = 120.0
EMA = 0.999

Lengths = tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A stage's settings; each (from, to) goes from the first value to the second.

    `phases` are (until this share of the time, lengths with weights), lengths in encoder positions
    (1500 is the whole 30 s window). `frozen` is the share of the steps with long windows that leave
    the encoder alone; these are cheaper and have twice the windows.
    """

    phases: tuple[tuple[float, Lengths], ...]
    rate: tuple[float, float]
    warmup: int
    ctc: tuple[float, float]
    guide: tuple[float, float]
    frozen: float

    def lengths(self, done: float) -> Lengths:
        return next(lengths for until, lengths in self.phases if done < until)

    def learning_rate(self, done: float, step: int) -> float:
        """A cosine, after a warm-up counted in steps."""
        peak, end = self.rate
        warm = min(1.0, (step + 1) / self.warmup)
        return peak * warm * 0.5 * (1 + math.cos(math.pi * done)) + end * done

    def ctc_weight(self, done: float) -> float:
        return _between(self.ctc, min(1.0, done / 0.6))

    def guide_weight(self, done: float) -> float:
        return _between(self.guide, done)


def _between(ends: tuple[float, float], share: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * share


RECIPES = {
    "short": Recipe(
        phases=(
            (0.65, ((200, 2), (250, 3), (350, 1))),
            (0.8, ((200, 1), (250, 4), (400, 1), (600, 1), (FULL, 0.3))),
            (1.0, ((250, 4), (400, 1.5), (750, 0.8), (FULL, 1.5))),
        ),
        rate=(2e-3, 5e-5),
        warmup=400,
        ctc=(1.0, 0.5),
        guide=(0.4, 0.15),
        frozen=0.0,
    ),
    "long": Recipe(
        phases=(
            (0.25, ((250, 1), (500, 3), (750, 2))),
            (0.45, ((250, 1), (500, 1), (750, 2), (1000, 1.5))),
            (1.0, ((250, 1), (750, 1), (FULL, 4))),
        ),
        rate=(1e-3, 1e-5),
        warmup=80,
        ctc=(0.5, 0.4),
        guide=(0.4, 0.15),
        frozen=0.4,
    ),
    "more": Recipe(
        phases=(
            (0.3, ((250, 1.2), (750, 1), (FULL, 4))),
            (1.0, ((250, 1), (750, 0.7), (FULL, 5))),
        ),
        rate=(1e-3, 5e-6),
        warmup=150,
        ctc=(0.5, 0.35),
        guide=(0.4, 0.2),
        frozen=0.3,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run. `elapsed` minutes count as done already, to take up a run that was stopped."""

    data: Path
    out: Path
    recipe: Recipe
    minutes: float
    seed: int
    start: Path | None
    elapsed: float
    probe_s: float


class Trainer:
    """One of the processes; each draws its own windows, all take the same steps."""

    def __init__(self, plan: Plan, rank: int) -> None:
        torch.manual_seed(plan.seed)
        self.plan, self.rank = plan, rank
        words, sound = Words(), Sound()
        self._maker = WindowMaker(Pool(plan.data, "train"), words, sound, Mix())
        self._probe = Probe(Pool(plan.data, "heldout"), sound, words, rank, PROCESSES)
        self._shapes = random.Random(f"shared-{plan.seed}")
        self._windows = random.Random(f"data-{plan.seed}-{rank}")
        saved = torch.load(plan.start, weights_only=True) if plan.start else {}
        self.model = Nano(saved["used"] if saved else used_tokens(words))
        if saved:
            self.model.load_state_dict(saved["model"])
        else:
            start_local(self.model, self._some_speech())
        self._trained = [p for p in self.model.parameters() if p.requires_grad]
        self._optimiser = _optimiser(self.model)
        if "opt" in saved:
            self._optimiser.load_state_dict(saved["opt"])
        self._ema = [p.detach().clone() for p in self._trained]
        self._swaps = [i for i in self.model.used if i < EOT]
        self._best = math.inf
        self._started = time.monotonic() - plan.elapsed * 60

    def _some_speech(self) -> Tensor:
        drawn = (self._maker.with_speech(random.Random(k), 250) for k in range(6))
        return torch.stack([window.mel for window in drawn])

    def run(self) -> None:
        plan, step, log = self.plan, 0, Log()
        done = plan.elapsed / plan.minutes
        probed = saved = time.monotonic()
        while done < 1:
            losses, norm = self._step(step, done)
            step += 1
            log.add(losses)
            if step % 100 == 0:
                self._say(f"step {step} {self._clock():.0f} s {log.means()} norm {norm:.1f}")
            if time.monotonic() - saved > LATEST_S:
                self._save("latest.pt")
                saved = time.monotonic()
            done, until_probe = self._agree(probed)
            if until_probe <= 0:
                self._measure("best.pt", step)
                probed = time.monotonic()
        self._save("final.pt")
        self._measure("best.pt", step)
        self._swap_ema()
        self._save("ema.pt")
        self._measure("best.pt", step)

    def _agree(self, probed: float) -> tuple[float, float]:
        """The first process's clock, for all: the share done, the seconds to the next probe."""
        clock = torch.zeros(2)
        if self.rank == 0:
            clock[0] = self._clock() / (self.plan.minutes * 60)
            clock[1] = probed + self.plan.probe_s - time.monotonic()
        torch.distributed.all_reduce(clock)
        return float(clock[0]), float(clock[1])

    def _clock(self) -> float:
        return time.monotonic() - self._started

    def _step(self, step: int, done: float) -> tuple[Losses, float]:
        recipe = self.plan.recipe
        for group in self._optimiser.param_groups:
            group["lr"] = recipe.learning_rate(done, step)
        batch, frozen = self._next_batch(done)
        losses = batch_losses(
            self.model, batch, ctc=recipe.ctc_weight(done), guide=recipe.guide_weight(done),
            frozen_encoder=frozen,
        )  # fmt: skip
        self._optimiser.zero_grad(set_to_none=True)
        losses.total.backward()  # type: ignore[no-untyped-call]
        self._average_gradients()
        norm = nn.utils.clip_grad_norm_(self._trained, 1.0)
        if torch.isfinite(norm):
            self._optimiser.step()
        with torch.no_grad():
            weight = 1 - min(EMA, (step + 1) / (step + 20))
            torch._foreach_lerp_(self._ema, [p.detach() for p in self._trained], weight)
        return losses, float(norm)

    def _next_batch(self, done: float) -> tuple[Batch, bool]:
        lengths, weights = zip(*self.plan.recipe.lengths(done), strict=True)
        positions = self._shapes.choices(lengths, weights)[0]
        long_prompts = self._shapes.random() < (0.5 if positions > 700 else 0.12)
        frozen = positions >= LONG_POSITIONS and self._shapes.random() < self.plan.recipe.frozen
        count = max(1, round(BUDGET / positions / PROCESSES)) * (1 + frozen)
        maker, rng = self._maker, self._windows
        windows = [maker.draw(rng, positions, long_prompts=long_prompts) for _ in range(count)]
        return collate(windows, self.model.to_compact, maker.mix.swap, rng, self._swaps), frozen

    def _average_gradients(self) -> None:
        flat = torch.cat([_gradient(p).reshape(-1) for p in self._trained])
        torch.distributed.all_reduce(flat)
        pieces = torch.split(flat / PROCESSES, [p.numel() for p in self._trained])
        for parameter, piece in zip(self._trained, pieces, strict=True):
            parameter.grad = piece.view_as(parameter)

    def _swap_ema(self) -> None:
        with torch.no_grad():
            for parameter, mean in zip(self._trained, self._ema, strict=True):
                parameter.copy_(mean)

    def _measure(self, name: str, step: int) -> None:
        """Save under `name` if the held-out score is the best so far."""
        results = self._probe.measure(self.model)
        self._say(f"held out, step {step}, {self._clock():.0f} s: {results}")
        if results["score"] < self._best:
            self._best = results["score"]
            self._save(name)

    def _save(self, name: str) -> None:
        if self.rank == 0:
            state = {
                "model": self.model.state_dict(),
                "used": self.model.used,
                "opt": self._optimiser.state_dict(),
            }
            torch.save(state, self.plan.out / f"{name}.part")
            (self.plan.out / f"{name}.part").replace(self.plan.out / name)

    def _say(self, line: str) -> None:
        if self.rank == 0:
            print(line, flush=True)


class Log:
    """Means of the losses since the last line."""

    def __init__(self) -> None:
        self._losses: list[Losses] = []

    def add(self, losses: Losses) -> None:
        self._losses.append(losses)

    def means(self) -> str:
        names = ("text", "timestamps", "characters", "align", "track")
        values = {n: sum(getattr(x, n) for x in self._losses) / len(self._losses) for n in names}
        self._losses = []
        return " ".join(f"{name} {value:.3f}" for name, value in values.items())


def _gradient(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _optimiser(model: Nano) -> torch.optim.Optimizer:
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            matrix = parameter.ndim > 1 and "rows" not in name and "embed" not in name
            (decayed if matrix else free).append(parameter)
    groups = [{"params": decayed, "weight_decay": 0.02}, {"params": free, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)


def used_tokens(words: Words, sentences: int = 60000, seed: int = 3) -> list[int]:
    """The ids that the grammar can need, below the timestamps."""
    rng = random.Random(seed)
    used = {EOT, SOT, EN, IT, TRANSLATE, TRANSCRIBE, START_OF_PREV, NO_SPEECH, NO_TIMESTAMPS}
    for _ in range(sentences):
        for text in sentence(rng):
            used.update(words.encode_bare(" " + text))
            used.update(words.encode_bare(text)[:2])
    return sorted(used)


def _train(plan: Plan, rank: int, meeting_point: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{meeting_point}", rank=rank, world_size=PROCESSES)
    Trainer(plan, rank).run()
    torch.distributed.destroy_process_group()


def parse(arguments: Sequence[str]) -> Plan:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", choices=sorted(RECIPES), required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--from", dest="start", type=Path, help="a checkpoint to go on from")
    parser.add_argument("--elapsed", type=float, default=0.0, help="minutes done before a stop")
    parser.add_argument("--probe-s", type=float, default=600.0, help="seconds between probes")
    args = parser.parse_args(arguments)
    return Plan(**{**vars(args), "recipe": RECIPES[args.recipe]})


def main() -> int:
    plan = parse(sys.argv[1:])
    plan.out.mkdir(parents=True, exist_ok=True)
    os.environ["OMP_NUM_THREADS"] = "1"  # read by torch when each process imports it
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        point = os.path.join(folder, "meet")
        processes = [context.Process(target=_train, args=(plan, rank, point)) for rank in range(PROCESSES)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
    return max(abs(process.exitcode or 0) for process in processes)


if __name__ == "__main__":
    sys.exit(main())
