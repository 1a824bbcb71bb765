"""From the network's classes to speech and changes of the voice."""

from __future__ import annotations

import numpy as np
import pytest

from scrivano.speakers.segmentation import (
    FIRST_S,
    FRAMES,
    HOP_S,
    STEP_S,
    WINDOW_S,
    Activity,
    decode,
    frame_range,
    runs,
    speech_spans,
    window_starts,
)


def activity(*turns: tuple[float, float, int], seconds: float = 10.0) -> Activity:
    """What the network would find: (start, end, voice)."""
    times = FIRST_S + np.arange(FRAMES) * STEP_S
    windows = []
    for start in window_starts(seconds):
        window = np.zeros((FRAMES, 3), np.bool_)
        for begin, end, voice in turns:
            window[:, voice] |= (begin <= times + start) & (times + start < end)
        windows.append(window)
    return np.stack(windows)


def spans(*turns: tuple[float, float, int], seconds: float = 10.0) -> list[tuple[float, float]]:
    return speech_spans(activity(*turns, seconds=seconds), seconds)


def close(found: list[tuple[float, float]], expected: list[tuple[float, float]]) -> None:
    assert np.array(found) == pytest.approx(np.array(expected), abs=0.05)


@pytest.mark.parametrize(
    ("seconds", "starts"), [(0.5, [0.0]), (10.0, [0.0]), (10.1, [0.0, 5.0]), (15.0, [0.0, 5.0]), (22.0, [0, 5, 10, 15])]
)
def test_windows_cover_all_of_the_audio(seconds: float, starts: list[float]) -> None:
    assert window_starts(seconds) == starts
    assert starts[-1] + WINDOW_S >= seconds


def test_each_class_is_a_set_of_voices() -> None:
    scores = np.eye(7, dtype=np.float32)[None]

    assert decode(scores)[0].astype(int).tolist() == [
        [0, 0, 0],
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
        [1, 1, 0],
        [1, 0, 1],
        [0, 1, 1],
    ]


def test_frames_lie_in_the_window() -> None:
    first, last = frame_range(0.0, WINDOW_S)

    assert first == 0
    assert abs(last - FRAMES) <= 3


def test_runs_are_where_the_mask_is_true() -> None:
    assert runs(np.array([True, False, True, True])) == [(0, 1), (2, 4)]
    assert runs(np.zeros(3, np.bool_)) == []


def test_speech_is_a_span() -> None:
    close(spans((1.0, 4.0, 0), (6.0, 7.0, 1)), [(1.0, 4.0), (6.0, 7.0)])


def test_a_short_pause_does_not_end_a_span() -> None:
    close(spans((1.0, 2.0, 0), (2.05, 3.0, 0)), [(1.0, 3.0)])


def test_a_click_is_no_speech() -> None:
    assert spans((1.0, 1.1, 0)) == []


def test_a_span_is_divided_where_the_voice_changes() -> None:
    close(spans((1.0, 4.0, 0), (4.0, 7.0, 2)), [(1.0, 4.0), (4.0, 7.0)])


def test_a_change_at_the_edge_of_a_span_does_not_divide_it() -> None:
    close(spans((1.0, 1.3, 0), (1.3, 4.0, 1)), [(1.0, 4.0)])


def test_overlapped_speech_is_one_span_and_its_voices_do_not_divide_it() -> None:
    close(spans((1.0, 4.0, 0), (3.0, 6.0, 1)), [(1.0, 3.5), (3.5, 6.0)])


def test_speech_over_several_windows_is_one_span_and_each_change_is_found_once() -> None:
    close(spans((1.0, 12.0, 0), (12.0, 28.0, 1), seconds=30.0), [(1.0, 12.0), (12.0, 28.0)])


def test_nothing_lies_outside_of_the_audio() -> None:
    found = spans((0.0, 10.0, 0), seconds=7.5)

    assert found[0][0] >= 0
    assert found[-1][1] <= 7.5
    assert HOP_S < WINDOW_S
