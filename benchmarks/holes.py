"""Words, holes, times and processor time of the engine on recordings with known texts, without a server.

    python -m benchmarks.holes MODEL FOLDER [--set beam_size=1] [--set repair_share=0] [--language en]
    python -m benchmarks.holes MODEL FOLDER --latency normal --chunk-secs 30

`MODEL`: a folder with a CTranslate2 model. `FOLDER`: recordings with the text beside each (`.txt`), and maybe a list of
prompts (`.json`: `[{"start", "end", "text"}, …]`). The language is that of `--language`, else the first two letters of
the file's name. Words are compared after Whisper's normalizers, as `scrivano evaluate` compares them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from benchmarks.accuracy import edits, plain
from benchmarks.figures import quantile
from scrivano.domain.chunk import Chunk
from scrivano.domain.decoding import DecodingOptions
from scrivano.domain.transcript import Segment
from scrivano.engines.ct2.adapter import Ct2Adapter
from scrivano.engines.engine import AudioChunk, Engine, LoadOptions
from scrivano.engines.window_loop import WindowLoop
from scrivano.engines.windows import WINDOW_S, are_short, max_chunk_s
from scrivano.engines.worker import read_audio
from scrivano.evaluation.normalizers import Normalizers, load_normalizers
from scrivano.media.child import prepare
from scrivano.media.silero_vad import SileroVad
from scrivano.processes.messages import ChunkCut, MediaMessage, Prepare, Prepared, pairs_of
from scrivano.text.assembly import chunk_text, join_sides, quality

# The file endings that are looked for.
RECORDINGS = ("*.wav", "*.flac", "*.mp3")


@dataclass(slots=True)
class Result:
    """Of one recording, or of several. `late`: seconds by which words and segments start later than their prompts."""

    words: int = 0
    wrong: int = 0
    audio_s: float = 0.0
    cpu_s: float = 0.0
    uncovered: list[Mapping[str, float]] = field(default_factory=list)
    repaired: int = 0
    late: list[float] = field(default_factory=list)

    def add(self, other: Result) -> None:
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))

    @property
    def wer(self) -> float:
        return 100 * self.wrong / max(1, self.words)


def cut(source: Path, target: Path, *, vad: bool, max_chunk_s: float = WINDOW_S) -> tuple[list[Chunk], float]:
    """The chunks of a recording, whose prepared audio is written to `target`, and its seconds."""
    sent: list[MediaMessage] = []
    request = Prepare(
        source=str(source),
        target=str(target),
        max_audio_s=86400,
        max_chunk_s=max_chunk_s,
        vad=vad,
        ending=source.suffix[1:],
    )
    prepare(request, SileroVad(), sent.append)
    end = next(message for message in sent if isinstance(message, Prepared))
    return [message.chunk for message in sent if isinstance(message, ChunkCut)], end.duration


def transcribe(
    engine: Engine,
    source: Path,
    language: str | None,
    options: DecodingOptions,
    *,
    vad: bool = True,
    max_chunk_s: float = WINDOW_S,
) -> tuple[tuple[Segment, ...], dict[str, Any], float]:
    """The segments of a recording, their quality, and its seconds; the way of a job, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "prepared.s16"
        chunks, duration = cut(source, target, vad=vad, max_chunk_s=max_chunk_s)
        batch = [
            AudioChunk(
                audio=read_audio(target, pairs_of(chunk.pieces)), language=language, speech=chunk.speech_within()
            )
            for chunk in chunks
        ]
        results = engine.decode(batch, options) if batch else []
    texts = [chunk_text(chunk, one.segments, one.repaired) for chunk, one in zip(chunks, results, strict=True)]
    pairs = list(zip(chunks, texts, strict=True))
    segments, loops_cut = join_sides([(chunk, text.segments) for chunk, text in pairs], duration)
    return segments, quality(segments, pairs, loops_cut), duration


def measure(
    engine: Engine,
    source: Path,
    language: str | None,
    options: DecodingOptions,
    normalizers: Normalizers,
    *,
    vad: bool,
    max_chunk_s: float = WINDOW_S,
) -> Result:
    started = time.process_time()
    segments, found, duration = transcribe(engine, source, language, options, vad=vad, max_chunk_s=max_chunk_s)
    cpu_s = time.process_time() - started
    reference = _forms(source.with_suffix(".txt").read_text(), language, normalizers)
    return Result(
        words=len(reference),
        wrong=edits(reference, _forms(" ".join(one.text for one in segments), language, normalizers)),
        audio_s=duration,
        cpu_s=cpu_s,
        uncovered=found["uncovered"],
        repaired=found["repaired"],
        late=list(_late(source.with_suffix(".json"), segments)),
    )


def _forms(text: str, language: str | None, normalizers: Normalizers) -> list[str]:
    """The normalized words; characters in languages without spaces."""
    text = normalizers.of(language)(text)
    return list(text.replace(" ", "")) if normalizers.by_characters(language) else text.split()


def _late(prompts: Path, segments: Sequence[Segment]) -> Iterator[float]:
    """For each prompt whose first word was heard: by how many seconds it starts later, or earlier (negative)."""
    words = [word for segment in segments for word in segment.words]
    for prompt in json.loads(prompts.read_text()) if prompts.exists() else ():
        first = plain(prompt["text"])[0]
        starts = [word.start - prompt["start"] for word in words if plain(word.text)[:1] == [first]]
        near = [start for start in starts if abs(start) < 1.5]
        if near:
            yield min(near, key=abs)


def recordings(folder: Path) -> list[Path]:
    found = (path for pattern in RECORDINGS for path in folder.glob(pattern))
    return sorted(path for path in found if path.with_suffix(".txt").exists())


def options_of(settings: Sequence[str]) -> DecodingOptions:
    """The default options with `name=value` changed; numbers, true and false. Raises `ValueError`, `TypeError`."""
    changes = dict(setting.split("=", 1) for setting in settings)
    return replace(DecodingOptions(), **{name: json.loads(value) for name, value in changes.items()})


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE", help="of DecodingOptions")
    parser.add_argument("--language")
    parser.add_argument("--no-vad", action="store_true")
    parser.add_argument("--compute-type", default="int8")
    parser.add_argument("--latency", choices=("auto", "normal", "fast"), default="auto")
    parser.add_argument("--chunk-secs", type=float, help="the most audio of a chunk; else as the server has it")
    chosen = parser.parse_args(arguments)
    short = are_short(chosen.latency, "", chosen.model, device="cpu")
    engine = WindowLoop(
        Ct2Adapter, LoadOptions(path=chosen.model, compute_type=chosen.compute_type, cpu_threads=1, fast=short)
    )
    options, normalizers = options_of(chosen.set), load_normalizers()
    longest_s = chosen.chunk_secs or max_chunk_s(short=short)
    total = Result()
    for path in recordings(chosen.folder):
        language = chosen.language or path.name[:2]
        result = measure(engine, path, language, options, normalizers, vad=not chosen.no_vad, max_chunk_s=longest_s)
        total.add(result)
        print(_line(path.name, result), flush=True)
    engine.close()
    print(_line("all", total))


def _line(name: str, result: Result) -> str:
    late = [abs(seconds) for seconds in result.late]
    times = f"  word starts {statistics.median(late):.3f} s, 95 % {quantile(late, 0.95):.3f}" if late else ""
    return (
        f"{name:20} WER {result.wer:5.2f} % of {result.words}  holes {len(result.uncovered)}"
        f"  repaired {result.repaired}  CPU {result.cpu_s / max(1e-9, result.audio_s):.3f} s/s{times}"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
