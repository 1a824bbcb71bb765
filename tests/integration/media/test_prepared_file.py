"""The file of prepared audio."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
from media_files import Audio, prepared, samples, write

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.media.prepared_file import PreparedFile


def test_digital_silence_is_a_hole_that_reads_as_zeros(audio: Audio, tmp_path: Path) -> None:
    target = tmp_path / "prepared.s16"
    silence = np.zeros(60 * SAMPLE_RATE, np.int16)

    with closing(PreparedFile(str(target))) as file:
        file.write(audio)
        file.write(silence)
        assert file.samples == len(audio) + len(silence)
        assert target.stat().st_size == audio.nbytes
        file.extend()
        assert target.stat().st_size == audio.nbytes + silence.nbytes
        file.finish()

    np.testing.assert_array_equal(np.fromfile(target, "<i2"), np.concatenate([audio, silence]))
    assert target.stat().st_blocks * 512 < audio.nbytes + 100_000


def test_a_second_attempt_overwrites_the_first_in_place(audio: Audio, tmp_path: Path) -> None:
    source = write(tmp_path / "speech.wav", np.concatenate([np.zeros(5 * SAMPLE_RATE, np.int16), audio]))
    target = tmp_path / "prepared.s16"
    target.write_bytes(b"\1" * 4 * SAMPLE_RATE * 30)
    before = target.stat().st_ino

    result = prepared(source)

    assert target.stat().st_ino == before
    np.testing.assert_array_equal(result.audio, samples(source))
