"""`python -m benchmarks.sizes [SHAPE …]`: what an hour of speech takes on this processor with each size of model.

The models are random weights in Whisper's shapes, int8, which write 96 words for a window of 30 s, with their times. So
these are estimates of real models: people pause, and poor windows are decoded several times.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import cores, describe
from benchmarks.shapes import LARGE_SHAPES, SHAPES, write_model
from benchmarks.workloads import SPEECH_TOKENS
from scrivano.engines.cpu_tuning import cpu_info, enable_avx512, tune_allocator

KNOWN = {name: shape for name, shape in {**SHAPES, **LARGE_SHAPES}.items() if name != "mini-128"}

# Windows of an hour: chunks end in pauses, so they are a little shorter than 30 s.
WINDOWS_AN_HOUR = 3600 / 27


def measure(name: str, windows: int) -> dict[str, Any]:
    """In a process of its own, as in the server's engine process: seconds for a window, and memory."""
    with tempfile.TemporaryDirectory(prefix="scrivano-sizes-") as folder:
        write_model(Path(folder), KNOWN[name], SPEECH_TOKENS)
        command = [sys.executable, "-m", "benchmarks.sizes", "--folder", folder, "--windows", str(windows)]
        found: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return found


def in_child(folder: Path, windows: int) -> None:
    tune_allocator("tuned")  # Before the imports that start threads.
    enable_avx512(os.environ, cpu_info())
    import numpy as np

    from scrivano.domain.decoding import DecodingOptions
    from scrivano.engines.ct2.adapter import Ct2Adapter
    from scrivano.engines.engine import AudioChunk, LoadOptions
    from scrivano.engines.window_loop import WindowLoop

    engine = WindowLoop(Ct2Adapter, LoadOptions(path=folder, compute_type="int8"))
    engine.warm_up()
    noise = np.random.default_rng(1).normal(0, 0.1, 480_000).astype(np.float32)
    cpu, wall = time.process_time(), time.monotonic()
    results = engine.decode([AudioChunk(audio=noise, language="en")] * windows, DecodingOptions())
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    if {len(one.segments[0].words) for one in results} != {SPEECH_TOKENS}:
        raise RuntimeError("the random model does not write the words that it should")
    print(json.dumps({"cpu": cpu / windows, "wall": wall / windows, "mb": _peak_mb()}))


def _peak_mb() -> float:
    """The most resident memory. `getrusage` would count that of the parent until `exec`, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="SHAPE", choices=[*KNOWN, []], help=", ".join(KNOWN))
    parser.add_argument("--windows", type=int, default=8, help="windows in the batch; 8 as in the server")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.folder is not None:
        in_child(args.folder, args.windows)
        return
    about = describe()
    print(f"{about['processor']}, {cores()} cores, load {about['load']}")
    print("\n| model | processor s for a window | minutes for an hour | memory |\n| --- | --- | --- | --- |")
    for name in args.names or KNOWN:
        found = measure(name, args.windows)
        minutes = found["cpu"] * WINDOWS_AN_HOUR / cores() / 60
        print(f"| {name} | {found['cpu']:.2f} | {minutes:.1f} | {found['mb']:,.0f} MB |", flush=True)


if __name__ == "__main__":
    main()
