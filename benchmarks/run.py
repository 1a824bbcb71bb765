"""`python -m benchmarks.run [--large] [NAME …]`: what Scrivano costs, compared with others and with its goals.

Everything is measured on this machine, now, over HTTP on the loopback address; ratios are between systems that took
turns within this run. The models are the bundled one and random weights in the sizes of Whisper's tiny and base, which
say a fixed number of words a window and measure speed only. A figure that misses its goal is marked; a busy machine
misses some.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path

from benchmarks import costs, machine, promptness
from benchmarks.accuracy import accuracy
from benchmarks.figures import Figure, table, write
from benchmarks.workloads import LARGE, WORKLOADS, Bench, Scale

OUT = Path("build/bench")

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
    measured: list[Figure] = []
    failed: list[str] = []
    about = machine.describe()
    print(f"{about['processor']}, {about['cores']} cores; load {about['load']}", flush=True)
    with tempfile.TemporaryDirectory(prefix="scrivano-bench-") as folder:
        bench = Bench(Path(folder), _scale(args))
        for name in args.names or BENCHMARKS:
            began = time.monotonic()
            try:
                measured += BENCHMARKS[name](bench)
            except Exception:  # One failed measurement must not discard hours of others.
                failed.append(name)
                traceback.print_exc()
            load = machine.describe()["load"]
            bench.samples[f"load after {name}"] = load
            print(f"... {name}: {time.monotonic() - began:.0f} s, load {load}", flush=True)
            write(args.out, measured, {**about, "scale": asdict(bench.scale)}, bench.samples)
    print(table(measured))
    busy = max(load[0] for name, load in bench.samples.items() if name.startswith("load after"))
    if busy > 2 * about["cores"]:
        print(f"the load rose to {busy}: others were at work, and wall-clock figures, ratios too, mean little")
    print(f"written to {args.out}: bench.txt, bench.json, bench.svg")
    if failed:
        sys.exit(f"could not be measured: {', '.join(failed)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*BENCHMARKS, []], help=", ".join(BENCHMARKS))
    parser.add_argument("--large", action="store_true", help="an hour of speech, 100 clips: hours of work")
    parser.add_argument("--rounds", type=int, help="how often the systems of a workload take turns")
    parser.add_argument("--out", type=Path, default=OUT, help=f"folder of the results; {OUT}")
    parser.add_argument("--ggml", type=Path, help="a GGML file of the base shape, to run whisper.cpp on")
    parser.add_argument("--ggml-nano", type=Path, help="the bundled model as a GGML file, for whisper.cpp's words")
    return parser.parse_args()


def _scale(args: argparse.Namespace) -> Scale:
    scale = replace(LARGE if args.large else Scale(), ggml=args.ggml, ggml_nano=args.ggml_nano)
    if find_spec("pywhispercpp") is None:
        scale = replace(scale, ggml=None, ggml_nano=None)
    return scale if args.rounds is None else replace(scale, rounds=args.rounds)


if __name__ == "__main__":
    main()
