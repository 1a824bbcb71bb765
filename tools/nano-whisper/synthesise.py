"""Speak the sentences: the pool that windows are made of.

python synthesise.py --out DATA --seed 1 --sentences 14000
"""

import argparse
import random
import sys
from dataclasses import dataclass
from multiprocessing import Process
from pathlib import Path

import numpy as np

from espeak import Espeak, EspeakMissing, Voice
from grammar import is_list, sentence, split_of
from pool import Clip

VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5", "")
# Voices never heard in training.
HELDOUT_VARIANTS = frozenset({"m4", "f3"})
ACCENTS = {"en": ("en-us", "en-us", "gmw/en", "en-gb-scotland"), "it": ("it",)}
PEAK = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """What to write. `lists` above 1 makes lists of nouns and numbers that many times likelier."""

    folder: Path
    split: str
    number: int
    sentences: int
    seed: int
    lists: float = 1.0


def random_voice(rng: random.Random, language: str, *, heldout: bool) -> Voice:
    variant = rng.choice([v for v in VARIANTS if (v in HELDOUT_VARIANTS) == heldout])
    name = rng.choice(ACCENTS[language]) + ("+" + variant if variant else "")
    return Voice(name, rng.randint(130, 200), rng.randint(30, 70), rng.randint(30, 70))


def write(shard: Shard) -> None:
    """Write one shard; each sentence once, in both languages, in two voices."""
    rng = random.Random(f"{shard.seed}-{shard.split}-{shard.number}")
    espeak, heldout = Espeak(), shard.split == "heldout"
    stem = shard.folder / f"{shard.split}_{shard.number}"
    seen: set[str] = set()
    offset = 0
    with open(f"{stem}.pcm", "wb") as pcm, open(f"{stem}.part", "w") as index:
        while len(seen) < shard.sentences:
            en, it = sentence(rng)
            if en in seen or split_of(en) != shard.split or _passed_over(rng, shard, en):
                continue
            seen.add(en)
            for language, text, other in (("en", en, it), ("it", it, en)):
                voice = random_voice(rng, language, heldout=heldout)
                said = espeak.say(text, voice)
                loudest = np.abs(said.samples).max() + 1e-6
                data = (said.samples / loudest * PEAK * 32767).astype(np.int16)
                pcm.write(data.tobytes())
                clip = Clip(
                    shard.number, offset, len(data), language, text, other,
                    said.start, said.end, said.words, str(voice),
                )  # fmt: skip
                index.write(clip.line() + "\n")
                offset += len(data)
    Path(f"{stem}.part").rename(f"{stem}.jsonl")
    print(f"{stem.name}: {2 * len(seen)} clips, {offset / 16000 / 3600:.2f} h", flush=True)


def _passed_over(rng: random.Random, shard: Shard, en: str) -> bool:
    return shard.lists > 1 and not is_list(en) and rng.random() > 1 / shard.lists


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sentences", type=int, default=14000, help="a shard, in each language")
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--first-shard", type=int, default=0, help="to add to a pool")
    parser.add_argument("--lists", type=float, default=1.0, help="how much likelier lists are")
    parser.add_argument("--heldout", type=int, default=800, help="held-out sentences; 0 for none")
    args = parser.parse_args()
    try:
        Espeak()
    except EspeakMissing as error:
        print(error, file=sys.stderr)
        return 1
    args.out.mkdir(parents=True, exist_ok=True)
    shards = [
        Shard(
            folder=args.out, split="train", number=number, sentences=args.sentences,
            seed=args.seed, lists=args.lists,
        )
        for number in range(args.first_shard, args.first_shard + args.shards)
    ]  # fmt: skip
    if args.heldout:
        shards.append(Shard(folder=args.out, split="heldout", number=0, sentences=args.heldout, seed=args.seed))
    writers = [Process(target=write, args=(shard,)) for shard in shards]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    return max(writer.exitcode or 0 for writer in writers)


if __name__ == "__main__":
    sys.exit(main())
