"""`python -m benchmarks.run [--large] [NAME …]`: what Scrivano costs, compared with others and with its goals.

Everything is measured on this machine, now, over HTTP on the loopback address; ratios are between systems that took
turns within this run. The models are the bundled one and random weights in the sizes of Whisper's tiny and base, which
say a fixed number of words a window and measure speed only. A figure that misses its goal is marked; a busy machine
misses some.

With `--model` and `--audio` (BENCH_MODEL, BENCH_AUDIO), W1 to W4 run with real weights and real speech instead, and
count wrong words, too. The audio folder has recordings `LANGUAGE-NAME.wav` (or another format) with their texts beside
them, `LANGUAGE-NAME.txt`.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from benchmarks import costs, machine, promptness, spoken
from benchmarks.accuracy import accuracy
from benchmarks.figures import Figure, table, write
from benchmarks.real import REAL_WORKLOADS, RealBench
from benchmarks.workloads import LARGE, WORKLOADS, Bench, Samples, Scale

OUT, REAL_OUT = Path("build/bench"), Path("build/bench-real")

BENCHMARKS: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    **WORKLOADS,
    "w5": costs.upload,
    "accuracy": accuracy,
    "encoder": promptness.encoder,
    "first": promptness.first_segment,
    "job": costs.per_job,
    "transcript": costs.long_transcript,
    "restart": costs.restart,
    "overhead": costs.overhead,
    "latency": costs.latency,
    "memory": costs.memory,
}


def main() -> None:
    args = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # So that the servers are stopped, too.
    if args.model is not None:
        real = _real_bench(args)
        _measure(args, {name: partial(one, real) for name, one in REAL_WORKLOADS.items()}, real.samples)
        return
    with tempfile.TemporaryDirectory(prefix="scrivano-bench-") as folder:
        bench = Bench(Path(folder), _scale(args))
        bench.samples["scale"] = asdict(bench.scale)
        _measure(args, {name: partial(one, bench) for name, one in BENCHMARKS.items()}, bench.samples)


def _measure(args: argparse.Namespace, known: Mapping[str, Callable[[], Iterator[Figure]]], samples: Samples) -> None:
    """Run the chosen measurements; write all results after each of them."""
    measured: list[Figure] = []
    failed: list[str] = []
    about = machine.describe()
    loads: list[float] = []
    print(f"{about['processor']}, {about['cores']} cores; load {about['load']}", flush=True)
    for name in args.names or known:
        began = time.monotonic()
        try:
            measured += known[name]()
        except Exception:  # One failed measurement must not discard hours of others.
            failed.append(name)
            traceback.print_exc()
        load = machine.describe()["load"]
        loads.append(load[0])
        samples[f"load after {name}"] = load
        print(f"... {name}: {time.monotonic() - began:.0f} s, load {load}", flush=True)
        write(args.out, measured, about, samples)
    print(table(measured))
    if max(loads) > 2 * about["cores"]:
        print(f"the load rose to {max(loads)}: others were at work, and wall-clock figures, ratios too, mean little")
    print(f"written to {args.out}")
    if failed:
        sys.exit(f"could not be measured: {', '.join(failed)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*BENCHMARKS, []], help=", ".join(BENCHMARKS))
    parser.add_argument("--large", action="store_true", help="an hour of speech, 100 clips: hours of work")
    parser.add_argument("--rounds", type=int, help="how often the systems of a workload take turns")
    parser.add_argument("--out", type=Path, help=f"folder of the results; {OUT}, or {REAL_OUT} with --model")
    parser.add_argument(
        "--ggml", type=Path, help="a GGML file, to run whisper.cpp on: of the base shape, or of --model"
    )
    parser.add_argument("--ggml-nano", type=Path, help="the bundled model as a GGML file, for whisper.cpp's words")
    for name, help in (("model", "real weights: a CTranslate2 folder"), ("audio", "recordings with texts beside them")):
        default = os.environ.get(f"BENCH_{name.upper()}") or None
        parser.add_argument(f"--{name}", type=Path, default=default, help=f"{help}; $BENCH_{name.upper()}")
    parser.add_argument("--long-secs", type=float, default=600, help="with --model: of long recordings, a language")
    parser.add_argument("--clips", type=int, default=20, help="with --model: how many clips")
    args = parser.parse_args()
    if (args.model is None) != (args.audio is None):
        parser.error("--model and --audio (BENCH_MODEL and BENCH_AUDIO) belong together")
    if args.model is not None and (unknown := set(args.names) - set(REAL_WORKLOADS)):
        parser.error(f"with --model there are {', '.join(REAL_WORKLOADS)}, not {', '.join(sorted(unknown))}")
    args.out = args.out or (OUT if args.model is None else REAL_OUT)
    return args


def _real_bench(args: argparse.Namespace) -> RealBench:
    return RealBench(
        model=args.model,
        spoken=spoken.read(args.audio),
        out=args.out,
        ggml=args.ggml,
        long_s=args.long_secs,
        clips=args.clips,
        rounds=args.rounds or 1,
    )


def _scale(args: argparse.Namespace) -> Scale:
    scale = replace(LARGE if args.large else Scale(), ggml=args.ggml, ggml_nano=args.ggml_nano)
    if find_spec("pywhispercpp") is None:
        scale = replace(scale, ggml=None, ggml_nano=None)
    return scale if args.rounds is None else replace(scale, rounds=args.rounds)


if __name__ == "__main__":
    main()
