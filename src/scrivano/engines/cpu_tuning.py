"""Settings of the engine process that make CPU decoding faster: allocator, instruction set, idle threads.

Call these before a model library is imported: it starts threads and reads its environment variables then.
"""

from __future__ import annotations

import ctypes
import logging
import platform
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

LARGEST_INT = 2**31 - 1

# M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD of glibc's <malloc.h>, with their values. CTranslate2
# allocates 54 to 180 MB for each window and layer and frees them again. If glibc keeps this memory instead of returning
# it to the system, a window takes 150,000 page faults less: the encoder is 1.36 to 1.57 times as fast on two cores, for
# 13 % more memory.
MALLOPT = ((-8, 1), (-3, LARGEST_INT), (-1, LARGEST_INT), (-2, 256 * 1024 * 1024))

AVX512 = {"avx512f", "avx512cd", "avx512vl", "avx512dq", "avx512bw", "avx512_vnni"}


def cpu_info() -> str:
    """The text of /proc/cpuinfo; empty on other systems than Linux."""
    with suppress(OSError):
        return Path("/proc/cpuinfo").read_text()
    return ""


def tune_allocator(setting: str) -> bool:
    """Let glibc keep freed memory if `setting` (ENGINE_MALLOC) is `tuned`. Returns whether it does.

    Call it before the first thread starts: glibc gives each thread an arena of its own, and these are not tuned.
    """
    if setting != "tuned" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(parameter, value) == 1 for parameter, value in MALLOPT)


def enable_avx512(environment: MutableMapping[str, str], cpu: str) -> None:
    """Let CTranslate2 use AVX-512, which it does only on request; `cpu` is the text of /proc/cpuinfo.

    It makes encoder and search 3 to 6 % faster (`base`, Xeon with AMX). Not on processors without VNNI: these lower
    their clock rate under AVX-512.
    """
    flags = next((line.split() for line in cpu.splitlines() if line.startswith("flags")), [])
    if AVX512.issubset(flags):
        environment.setdefault("CT2_FORCE_CPU_ISA", "AVX512")


def let_idle_threads_sleep(environment: MutableMapping[str, str]) -> None:
    """Let OpenMP threads sleep while they wait for each other.

    By default they spin and keep a core busy. If another program or a second CTranslate2 worker needs that core,
    whisper.cpp takes up to ten times as long.
    """
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def warn_of_mkl(environment: Mapping[str, str], cpu: str) -> None:
    """Warn if MKL is forced on an AMD processor: int8 models are 2 to 4.5 times slower then (measured on Zen 4)."""
    if environment.get("CT2_USE_MKL") == "1" and "AuthenticAMD" in cpu:
        logger.warning("CT2_USE_MKL=1 makes int8 models 2 to 4.5 times slower on AMD processors; unset it")
