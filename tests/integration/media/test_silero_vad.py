"""The streaming speech detector against the undivided network and its reference implementation."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from faster_whisper.vad import get_speech_timestamps, get_vad_model
from media_files import Audio, samples, spoken
from numpy.typing import NDArray

from scrivano.domain.chunk import SAMPLE_RATE
from scrivano.media.chunking import WINDOW, ChunkingOptions, SpanFinder
from scrivano.media.parallel_map import ParallelMap
from scrivano.media.silero_vad import SileroVad, SpeechDetector


def probabilities(audio: Audio, block: int, vad: SpeechDetector | None = None) -> NDArray[np.float32]:
    """The probability of each window, detected in blocks of `block` windows."""
    blocks = (audio[at : at + block * WINDOW] for at in range(0, len(audio), block * WINDOW))
    return np.concatenate(list((vad or SileroVad())(blocks)))


def test_the_stream_has_the_probabilities_of_the_whole_file(audio: Audio) -> None:
    whole = audio[: len(audio) // WINDOW * WINDOW]
    # faster-whisper blanks the end of the last window, hence one more.
    reference = get_vad_model()(np.pad(whole.astype(np.float32) / 32768, (0, WINDOW)))[:-1]

    found = probabilities(whole, 7)

    np.testing.assert_allclose(found, reference.reshape(-1), atol=1e-4)


def test_spans_are_those_of_the_reference_algorithm() -> None:
    audio = samples(spoken("en-it-mixed-0").path)
    audio = audio[: len(audio) // WINDOW * WINDOW]
    options = ChunkingOptions()
    reference = get_speech_timestamps(
        audio.astype(np.float32) / 32768,
        min_silence_duration_ms=options.min_silence_ms,
        min_speech_duration_ms=options.min_speech_ms,
        speech_pad_ms=0,
    )
    finder = SpanFinder(options)

    spans = [
        span for probability in probabilities(audio, len(audio) // WINDOW) if (span := finder.push(float(probability)))
    ]

    assert [(span.start, span.end) for span in spans] == [(one["start"], one["end"]) for one in reference]


@pytest.mark.parametrize("block", [7, 64, 3000])
def test_speech_after_digital_silence_is_detected_as_at_the_start(block: int, audio: Audio) -> None:
    speech = audio[5000 : 5000 + 100 * WINDOW]
    whole = np.concatenate([speech, np.zeros(2000 * WINDOW, np.int16), speech])

    found = probabilities(whole, block)

    assert not found[133:2100].any()
    np.testing.assert_allclose(found[2100:], found[:100], atol=1e-4)


@pytest.mark.parametrize("count", [1, 3])
def test_several_threads_give_the_bits_of_one_thread(count: int, audio: Audio) -> None:
    whole = np.concatenate([audio, np.zeros(3 * SAMPLE_RATE, np.int16), audio, audio])
    whole = whole[: len(whole) // WINDOW * WINDOW]

    with ParallelMap(count) as threads:
        found = probabilities(whole, 16, partial(SileroVad(), map_function=threads.map))

    np.testing.assert_array_equal(found, probabilities(whole, 16))


def test_the_halves_compute_what_the_undivided_network_computes(audio: Audio) -> None:
    windows = audio[: len(audio) // WINDOW * WINDOW].reshape(-1, WINDOW).astype(np.float32) / 32768
    before = np.pad(windows[:-1, -64:], ((1, 0), (0, 0)))
    state = np.zeros((1, 1, 128), np.float32)
    whole = get_vad_model()

    found = whole.session.run(None, {"input": np.hstack([before, windows]), "h": state, "c": state})[0]

    np.testing.assert_allclose(probabilities(audio[: windows.size], len(windows)), found.reshape(-1), atol=1e-6)
