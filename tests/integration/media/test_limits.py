"""Limits of the real child."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from media_files import Audio, media_child, write, write_long_silence

DEADLINE_S = 60.0
HOUR = 3600


def test_cpu_time_is_limited(tmp_path: Path) -> None:
    with media_child() as child:
        child.request(write_long_silence(tmp_path / "day.wav", 20 * HOUR), tmp_path / "prepared.s16", cpu_s=1)

        last = child.rest()[-1]
        assert (last["type"], last["code"]) == ("error", "media_timeout")
        assert child.process.wait(DEADLINE_S) == 0


def test_memory_is_limited(audio: Audio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What glibc kept of freed memory would otherwise be enough for a short file.
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "65536")
    with media_child() as child:
        child.request(write(tmp_path / "a.wav", audio), tmp_path / "prepared.s16", memory_bytes=1_000_000)

        # With so little left it may not even be able to say so; the server takes its death for the same.
        *_, last = child.rest() or [{"type": "error", "code": "media_crashed"}]
        assert (last["type"], last.get("code")) == ("error", "media_crashed")
        child.process.wait(DEADLINE_S)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_every_limit_is_set(tmp_path: Path) -> None:
    with media_child() as child:
        source = write_long_silence(tmp_path / "day.wav", 20 * HOUR)
        child.request(source, tmp_path / "prepared.s16", max_audio_s=100_000, memory_bytes=500_000_000, cpu_s=60)
        assert child.next()["type"] == "probe"
        limits = Path(f"/proc/{child.process.pid}/limits").read_text()

    values = {line[:26].strip(): line[26:].split()[:2] for line in limits.splitlines()}
    assert values["Max core file size"] == ["0", "0"]
    assert values["Max open files"] == ["32", "32"]
    assert values["Max data size"] == ["500000000", "500000000"]
    assert int(values["Max file size"][0]) < 3_300_000_000
    assert int(values["Max cpu time"][1]) <= 70


def _peak_kb(pid: int) -> list[int]:
    """Nothing if the process has just ended. Not `ru_maxrss`: that begins with what the parent had when it started the
    child."""
    status = Path(f"/proc/{pid}/status").read_text()
    return [int(size) for size in re.findall(r"VmHWM:\s+(\d+) kB", status)]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_memory_stays_flat_over_an_hour(tmp_path: Path) -> None:
    """An hour is 115 MB."""
    source = write_long_silence(tmp_path / "hour.wav", HOUR)
    peaks_kb: list[int] = []
    with media_child() as child:
        child.request(source, tmp_path / "t", max_audio_s=86400, memory_bytes=300_000_000)
        while (last := child.next())["type"] not in ("end", "error"):
            peaks_kb += _peak_kb(child.process.pid)

    assert last == {"type": "end", "duration": 1.0 * HOUR, "chunks": 0}
    early_kb, last_kb = peaks_kb[len(peaks_kb) // 6], peaks_kb[-1]
    assert 0 < last_kb * 1024 < 300_000_000
    assert last_kb - early_kb < 20_000
    assert (tmp_path / "t").stat().st_blocks * 512 < 1_000_000
