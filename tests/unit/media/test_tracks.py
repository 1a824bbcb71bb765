"""Which audio track of a file is transcribed."""

from __future__ import annotations

import pytest

from scrivano.domain.errors import MediaError
from scrivano.media.tracks import Track, TrackChoice, candidates

ENGLISH = Track(number=0, decodable=True, language="en", default=True, best=True)
ITALIAN = Track(number=1, decodable=True, language="it")
UNKNOWN = Track(number=2, decodable=False, default=True)
COMMENTARY = Track(number=3, decodable=True, best=True, described=True)


def chosen(*tracks: Track, track: str | None = None, language: str | None = None) -> list[int]:
    return [one.number for one in candidates(tracks, TrackChoice(track=track, language=language))]


def test_the_best_track_that_can_be_decoded_comes_first() -> None:
    assert chosen(UNKNOWN, ITALIAN, ENGLISH) == [0, 1]
    assert chosen(COMMENTARY, ITALIAN) == [1, 3]


def test_a_track_in_the_language_of_the_recording_comes_first() -> None:
    assert chosen(ENGLISH, ITALIAN, language="it") == [1, 0]
    assert chosen(ENGLISH, ITALIAN, language="de") == [0, 1]


@pytest.mark.parametrize("track", ["1", "it", "IT"])
def test_a_track_that_is_asked_for_is_the_only_one(track: str) -> None:
    assert chosen(ENGLISH, ITALIAN, track=track) == [1]


def test_each_refusal_says_what_is_wrong() -> None:
    for tracks, track, code, part in (
        ((), None, "no_audio", "no audio stream"),
        ((UNKNOWN,), None, "not_media", "codec that is not supported"),
        ((ENGLISH, ITALIAN), "5", "no_audio", "no audio track '5'; its tracks are 0 (en), 1 (it)"),
        ((ENGLISH, ITALIAN), "xx", "no_audio", "no audio track 'xx'"),
    ):
        with pytest.raises(MediaError) as caught:
            candidates(tracks, TrackChoice(track=track))
        assert caught.value.code == code
        assert part in str(caught.value)
