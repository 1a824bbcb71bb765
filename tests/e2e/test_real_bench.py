"""`make bench` with given weights and recordings: the bundled model and test recordings stand in for real ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.accuracy import Recording, recordings
from scrivano.engines.catalog import NANO_FOLDER

ROOT = Path(__file__).parent.parent.parent


def put(folder: Path, recording: Recording) -> None:
    place = folder / f"{recording.language}-{recording.path.stem}{recording.path.suffix}"
    shutil.copy(recording.path, place)
    place.with_suffix(".txt").write_text(" ".join(word.text for word in recording.words))


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_words_and_speed_of_all_systems_are_written_side_by_side(tmp_path: Path) -> None:
    audio, out = tmp_path / "audio", tmp_path / "out"
    audio.mkdir()
    shortest = sorted(recordings(), key=lambda one: one.path.stat().st_size)[:2]
    for recording in shortest:
        put(audio, recording)
    command = [sys.executable, "-m", "benchmarks.run", "w1", "w4", "--rounds", "1", "--out", str(out)]
    environment = {**os.environ, "BENCH_MODEL": str(NANO_FOLDER), "BENCH_AUDIO": str(audio)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    written = json.loads((out / "bench.json").read_text())
    names = {one["name"] for one in written["samples"]["W1"]}
    assert {"Scrivano", "faster-whisper batched", "faster-whisper sequential"} <= names
    ours = next(one for one in written["samples"]["W1"] if one["name"] == "Scrivano")
    words = sum(len(recording.words) for recording in shortest)
    assert sum(one["count"] for one in ours["words"].values()) == pytest.approx(words, abs=5)
    assert sum(one["wrong"] for one in ours["words"].values()) < words / 4
    assert min(ours["cpu"], ours["seconds"], ours["memory_mb"]) > 0
    assert "| Scrivano, no word times |" in (out / "w1.md").read_text()
    assert (out / "w1.svg").read_text().count("<circle") == len(names)
    assert (out / "w4.md").exists()


def test_it_says_what_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.run", "--model", str(NANO_FOLDER)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "BENCH_AUDIO" in done.stderr
