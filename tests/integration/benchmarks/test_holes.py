"""The measurement of words and holes runs on any folder of recordings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from engine_support import RECORDINGS, described

from benchmarks import holes
from scrivano.engines.catalog import NANO_FOLDER


def test_words_holes_and_times_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "en-exact-0.flac"
    about = described()[name]
    (tmp_path / name).symlink_to(RECORDINGS / name)
    (tmp_path / "en-exact-0.txt").write_text(about["text"])
    start = about["sentences"][0]["words"][0][0]
    (tmp_path / "en-exact-0.json").write_text(json.dumps([{"start": start, "end": start + 3, "text": about["text"]}]))

    holes.main([str(NANO_FOLDER), str(tmp_path), "--set", "beam_size=1", "--compute-type", "float32"])

    said = capsys.readouterr().out
    assert "all" in said
    assert said.count("WER  0.00 %") == 2
    assert said.count("holes 0  repaired 0") == 2
    assert "word starts 0." in said
