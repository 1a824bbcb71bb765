"""The outline of a recording."""

from __future__ import annotations

import numpy as np
import pytest

from scrivano.domain.recording import MOST_PEAKS
from scrivano.media.peaks import STRETCH, Peaks


def test_each_stretch_has_its_loudest_sample() -> None:
    audio = np.zeros(3 * STRETCH + 1, np.int16)
    audio[10], audio[STRETCH + 5], audio[-1] = 128, -32768, 32767
    peaks = Peaks()
    peaks.feed(audio)

    waveform = peaks.waveform()

    assert list(waveform.peaks) == [1, 255, 0, 255]
    assert waveform.peak_secs == 0.05


@pytest.mark.parametrize("block", [997, 32768])
def test_blocks_of_any_size_draw_the_same(block: int) -> None:
    audio = np.random.default_rng(1).integers(-32768, 32767, 100_000).astype(np.int16)
    whole, parts = Peaks(), Peaks()
    whole.feed(audio)
    for at in range(0, len(audio), block):
        parts.feed(audio[at : at + block])

    assert parts.waveform() == whole.waveform()


def test_a_long_recording_has_longer_stretches_and_its_click_stays_where_it_is() -> None:
    peaks, click_at = Peaks(), 3 * 3600.0
    for second in range(4 * 3600):
        audio = np.zeros(16000, np.int16)
        audio[0] = 32767 if second == click_at else 0
        peaks.feed(audio)

    waveform = peaks.waveform()

    assert len(waveform.peaks) <= MOST_PEAKS
    assert waveform.peak_secs * len(waveform.peaks) == pytest.approx(4 * 3600, abs=waveform.peak_secs)
    [at] = np.flatnonzero(np.frombuffer(waveform.peaks, np.uint8))
    assert at * waveform.peak_secs <= click_at < (at + 1) * waveform.peak_secs


def test_nothing_has_no_peaks() -> None:
    assert Peaks().waveform().peaks == b""
