"""A process that holds the memory of the GPU, as another program would: `python -m benchmarks.gpu.holder LEAVE_MB`.

It calls the driver itself (`libcuda.so.1`, which every driver brings), takes all memory but LEAVE_MB with `cuMemAlloc`,
prints one JSON line, and holds the memory until its standard input ends.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from typing import Any

MEGABYTE = 1024 * 1024

# Of one allocation: fragments of the memory may be smaller than all that is free.
PIECE_MB = 512

OUT_OF_MEMORY = 2  # CUDA_ERROR_OUT_OF_MEMORY of cuda.h


class Holder:
    """The running process. `skipped`: why it cannot hold memory here; else empty."""

    def __init__(self, leave_mb: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.gpu.holder", str(leave_mb)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found: dict[str, Any] = json.loads(line) if line else {"error": "the holder process ended without a word"}
        self.skipped: str = found.get("error", "")
        self.held_mb: int = found.get("held_mb", 0)
        self.free_mb: int = found.get("free_mb", 0)

    def release(self) -> None:
        """End the process: the driver frees its memory. A second call does nothing."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Holder:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()
        if self._process.stdout is not None:
            self._process.stdout.close()


def hold(leave_mb: int) -> dict[str, Any]:
    """Take the memory. Returns what is held and still free, in MB, or an `error`."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return {"error": f"there is no CUDA driver: {error}"}
    return take(cuda, leave_mb)


def take(cuda: Any, leave_mb: int) -> dict[str, Any]:
    """`cuda`: the driver's functions."""
    device, context = ctypes.c_int(), ctypes.c_void_p()
    for name, arguments in (
        ("cuInit", (0,)),
        ("cuDeviceGet", (ctypes.byref(device), 0)),
        ("cuDevicePrimaryCtxRetain", (ctypes.byref(context), device)),
        ("cuCtxSetCurrent", (context,)),
    ):
        if code := getattr(cuda, name)(*arguments):
            return {"error": f"{name} failed with CUDA error {code}"}
    held, piece = 0, PIECE_MB
    while (free := _free_mb(cuda)) > leave_mb and piece:
        piece = min(piece, free - leave_mb)
        address = ctypes.c_uint64()
        code = cuda.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(piece * MEGABYTE))
        if code not in (0, OUT_OF_MEMORY):
            return {"error": f"cuMemAlloc failed with CUDA error {code}"}
        held, piece = (held + piece, piece) if code == 0 else (held, piece // 2)
    return {"held_mb": held, "free_mb": _free_mb(cuda)}


def _free_mb(cuda: Any) -> int:
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    if code := cuda.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)):
        raise RuntimeError(f"cuMemGetInfo failed with CUDA error {code}")
    return free.value // MEGABYTE


if __name__ == "__main__":
    print(json.dumps(hold(int(sys.argv[1]))), flush=True)
    sys.stdin.read()
