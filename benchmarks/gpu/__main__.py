"""`python -m benchmarks.gpu`: check and measure a GPU in less than eight minutes; without one, a CPU at small sizes.

It writes `gpu.json` and `gpu.md` after every stage, so that a run that is cut off keeps its results. The exit status is
1 if a stage failed or something was wrong. Models and recordings take up to 8 GB in the folder of temporary files
(TMPDIR).
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import ctranslate2

from benchmarks.gpu.check import FULL, SMALL, Check
from benchmarks.gpu.results import StageResult, write
from benchmarks.gpu.runner import append_rows, run_stages
from benchmarks.gpu.stages import Stage, stages

OUT = Path("build/gpu")

# Seconds that all stages may take together.
BUDGET_S = 460.0

SIZES = {"full": FULL, "small": SMALL}


def main() -> None:
    args = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # So that what was started is ended, too.
    if args.stage is not None:
        sys.exit(_run_one(args))
    passed = _run_all(args)
    print(f"written to {args.out}: gpu.md, gpu.json, gpu.log")
    sys.exit(not passed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="STAGE", help="only these stages; the default is all of them")
    parser.add_argument("--out", type=Path, default=OUT, help=f"folder of the results; {OUT}")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="the default is cuda if there is a GPU")
    parser.add_argument("--size", choices=SIZES, help="the default is full on a GPU, else small")
    parser.add_argument("--seconds", type=float, default=BUDGET_S, help=f"for all stages together; {BUDGET_S:.0f}")
    parser.add_argument("--slower", type=float, default=1.0, help="multiply all limits by this")
    for name in ("--stage", "--rows", "--scratch"):  # The command calls itself for each stage.
        parser.add_argument(name, type=str if name == "--stage" else Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.device = args.device or ("cuda" if ctranslate2.get_cuda_device_count() else "cpu")
    args.size = args.size or ("full" if args.device == "cuda" else "small")
    known = [stage.name for stage in stages(SIZES[args.size])]
    for name in args.names:
        if name not in known:
            parser.error(f"there is no stage {name!r}; the stages are {', '.join(known)}")
    return args


def _run_one(args: argparse.Namespace) -> int:
    check = Check(
        device=args.device,
        size=SIZES[args.size],
        scratch=args.scratch,
        # A stage that plans its work ends by itself, a little before it would be killed.
        deadline=time.monotonic() + 0.95 * args.seconds - 2,
    )
    stage = next(one for one in stages(check.size) if one.name == args.stage)
    return append_rows(stage.run(check), args.rows)


def _run_all(args: argparse.Namespace) -> bool:
    chosen = [stage for stage in stages(SIZES[args.size]) if not args.names or stage.name in args.names]
    about = {
        "device": args.device,
        "size": args.size,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "limit": f"{args.seconds:.0f} s for all stages",
    }
    args.out.mkdir(parents=True, exist_ok=True)
    results: list[StageResult] = []
    with (
        tempfile.TemporaryDirectory(prefix="scrivano-gpu-") as folder,
        (args.out / "gpu.log").open("w") as log,
    ):
        scratch = Path(folder).resolve()

        def command(stage: Stage, limit_s: float, rows: Path) -> Sequence[str]:
            options = {"stage": stage.name, "rows": rows, "scratch": scratch, "device": args.device, "size": args.size}
            given = [text for name, value in options.items() for text in (f"--{name}", str(value))]
            return [sys.executable, "-m", "benchmarks.gpu", *given, "--seconds", str(limit_s)]

        for n, result in enumerate(run_stages(chosen, command, scratch, args.seconds, args.slower)):
            results.append(result)
            write(args.out, about, results)
            _copy_log(scratch / f"{n}.log", result.name, log)
            print(f"{result.name}: {result.outcome}, {result.seconds:.0f} s, {len(result.rows)} rows", flush=True)
    return all(result.passed for result in results)


def _copy_log(path: Path, name: str, log: object) -> None:
    text = path.read_text(errors="replace") if path.exists() else ""
    print(f"=== {name}\n{text}", file=log, flush=True)  # type: ignore[call-overload]


if __name__ == "__main__":
    main()
