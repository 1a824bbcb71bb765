"""Figures over several recordings."""

from __future__ import annotations

from dataclasses import replace

from evaluation_support import scored, spoken

from scrivano.comparison.alignment import Counts
from scrivano.domain.transcript import Segment
from scrivano.evaluation.figures import Spread, by_language, figures

CHINESE = scored([Segment(start=0, end=1, text="你好")], [Segment(start=0, end=1, text="你")], "zh")


def test_words_of_all_recordings_count_alike() -> None:
    found = figures([scored("a b c d", "a x c"), scored("one", "one two")])

    assert found.counts == Counts(equal=3, substituted=1, deleted=1, inserted=1)
    assert (found.wer, found.coverage, found.recordings, found.audio_secs) == (3 / 5, 4 / 5, 2, 20.0)


def test_each_language_is_judged_by_its_unit() -> None:
    found = by_language([scored("a b", "a b", "en"), scored("uno due", "uno tre", "it"), CHINESE])

    assert {name: (one.wer, one.rate) for name, one in found.items()} == {
        "en": (0.0, 0.0),
        "it": (0.5, 0.5),
        "zh": (None, 0.5),
    }
    assert found["zh"].by_characters


def test_words_and_characters_are_not_mixed() -> None:
    found = figures([scored("a b", "a b"), CHINESE])

    assert (found.counts, found.wer, found.by_characters) == (Counts(equal=2), 0.0, False)
    assert found.cer == 1 / 5


def test_failures_and_wrong_languages_are_counted() -> None:
    failed = scored("a b", "")
    failed = replace(failed, transcribed=replace(failed.transcribed, error="no", language=None))
    wrong = scored("a b", "a b")
    wrong = replace(wrong, transcribed=replace(wrong.transcribed, language="nl"))

    found = figures([failed, wrong])

    assert (found.failed, found.wrong_language, found.wer) == (1, 1, 0.5)


def test_time_errors_are_spread() -> None:
    found = figures([scored([spoken("a b c")], [spoken("a b c", start=off)]) for off in (0.125, 0.25, 0.5)])

    assert found.times["word_starts"] == Spread(9, 0.25, 0.5)
    assert found.times["phrase_ends"] == Spread(3, 0.25, 0.5)
    assert figures([scored("a", "b")]).times.keys() == set()


def test_nothing_has_no_errors() -> None:
    found = figures([])

    assert (found.recordings, found.wer, found.cer, found.coverage) == (0, None, 0.0, 0.0)
