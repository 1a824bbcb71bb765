"""Recordings that are transcribed as a whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from media_files import prepared, write

from scrivano.domain.chunk import SAMPLE_RATE


def test_a_recording_without_speech_detection_is_cut_where_it_is_quietest(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(-900, 900, 70 * SAMPLE_RATE).astype(np.int16)
    quiet = np.zeros(len(noise), np.int16)
    noise[25 * SAMPLE_RATE : 25 * SAMPLE_RATE + 8000] //= 50

    for name, audio in (("noise", noise), ("silence", quiet)):
        (tmp_path / name).mkdir()
        whole = prepared(write(tmp_path / name / "a.wav", audio), vad=False)
        pieces = whole.pieces
        assert (pieces[0][0], pieces[-1][1]) == (0, len(audio))
        assert [end for _, end in pieces[:-1]] == [start for start, _ in pieces[1:]]
        assert max(end - start for start, end in pieces) <= 30 * SAMPLE_RATE
        assert whole.end["chunks"] == len(pieces) >= 3
        if name == "noise":
            assert 25 <= pieces[0][1] / SAMPLE_RATE <= 25.5, "cut where it is quietest"
