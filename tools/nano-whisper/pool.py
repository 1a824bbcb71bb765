"""The synthesised clips on disk: `SPLIT_K.pcm` (16 kHz int16), `SPLIT_K.jsonl` (a clip a line)."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from espeak import SAMPLE_RATE, Samples


@dataclass(frozen=True, slots=True)
class Clip:
    """One spoken sentence: its place in the shard, its text, its translation, its times.

    Times are seconds from the clip's first sample.
    """

    shard: int
    offset: int
    length: int
    language: str
    text: str
    other: str
    start: float
    end: float
    words: tuple[tuple[float, float], ...]
    voice: str

    @property
    def seconds(self) -> float:
        return self.length / SAMPLE_RATE

    @property
    def english(self) -> str:
        return self.text if self.language == "en" else self.other

    def line(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)


class Pool:
    """All clips of a split."""

    def __init__(self, folder: Path, split: str) -> None:
        self._sound: list[np.memmap[tuple[int], np.dtype[np.int16]]] = []
        self.clips: list[Clip] = []
        for index in _shards(folder, split):
            stem = folder / f"{split}_{len(self._sound)}.pcm"
            self._sound.append(np.memmap(stem, dtype=np.int16, mode="r"))
            self.clips += [_clip(line) for line in index.read_text().splitlines()]
        self.of = {language: [clip for clip in self.clips if clip.language == language] for language in ("en", "it")}

    def samples(self, clip: Clip) -> Samples:
        sound = self._sound[clip.shard][clip.offset : clip.offset + clip.length]
        return np.asarray(sound, dtype=np.float32) / np.float32(32768)


def _shards(folder: Path, split: str) -> Iterator[Path]:
    paths = (folder / f"{split}_{k}.jsonl" for k in itertools.count())
    return itertools.takewhile(Path.exists, paths)


def _clip(line: str) -> Clip:
    fields = json.loads(line)
    fields["words"] = tuple((start, end) for start, end in fields["words"])
    return Clip(**fields)
