"""Allocator, instruction set and idle threads of the engine process."""

from __future__ import annotations

import logging

import pytest

from scrivano.engines.cpu_tuning import enable_avx512, let_idle_threads_sleep, tune_allocator, warn_of_mkl


def test_the_allocator_is_left_alone_when_asked_to() -> None:
    assert not tune_allocator("default")


@pytest.mark.parametrize(
    ("environment", "cpu", "warned"),
    [
        ({"CT2_USE_MKL": "1"}, "vendor_id : AuthenticAMD", True),
        ({"CT2_USE_MKL": "0"}, "vendor_id : AuthenticAMD", False),
        ({"CT2_USE_MKL": "1"}, "vendor_id : GenuineIntel", False),
        ({}, "vendor_id : AuthenticAMD", False),
    ],
)
def test_mkl_on_amd_is_warned_of(
    environment: dict[str, str], cpu: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        warn_of_mkl(environment, cpu)

    assert ("CT2_USE_MKL" in caplog.text) is warned


@pytest.mark.parametrize(
    ("environment", "flags", "expected"),
    [
        ({}, "fpu avx512f avx512dq avx512cd avx512bw avx512vl avx512_vnni", "AVX512"),
        ({}, "fpu avx512f avx512dq avx512cd avx512bw avx512vl", None),
        ({}, "fpu avx2", None),
        ({"CT2_FORCE_CPU_ISA": "AVX2"}, "avx512f avx512dq avx512cd avx512bw avx512vl avx512_vnni", "AVX2"),
    ],
)
def test_wide_vectors_are_used_where_they_are_fast(
    environment: dict[str, str], flags: str, expected: str | None
) -> None:
    enable_avx512(environment, f"processor\t: 0\nflags\t\t: {flags}\n")

    assert environment.get("CT2_FORCE_CPU_ISA") == expected


def test_a_wait_policy_that_the_operator_chose_stays() -> None:
    chosen, unset = {"OMP_WAIT_POLICY": "ACTIVE"}, dict[str, str]()
    for environment in (chosen, unset):
        let_idle_threads_sleep(environment)

    assert (chosen["OMP_WAIT_POLICY"], unset["OMP_WAIT_POLICY"]) == ("ACTIVE", "PASSIVE")
