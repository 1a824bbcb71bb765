"""Text that was made up where nobody spoke goes; what was said stays, whatever it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrivano.domain.chunk import SAMPLE_RATE, Chunk, Piece
from scrivano.domain.coverage import Span
from scrivano.domain.transcript import Segment, Word
from scrivano.text.assembly import chunk_text
from scrivano.text.inventions import drop_inventions, is_known_invention

SPEECH = (Span(1.0, 4.0),)


def said(
    text: str, start: float, *, logprob: float = -0.2, no_speech: float = 0.01, probability: float = 0.9
) -> Segment:
    word = Word(text=text, start=start, end=start + 2, probability=probability)
    return Segment(start=start, end=start + 2, text=text, words=(word,), avg_logprob=logprob, no_speech_prob=no_speech)


# As `base` gave them for half a minute of each with `vad=false`.
@pytest.mark.parametrize(
    "segment",
    [
        pytest.param(said("You", 20, logprob=-0.8, no_speech=0.69, probability=0.06), id="silence"),
        pytest.param(said(".", 20, logprob=-0.83, no_speech=0.91), id="hum"),
        pytest.param(said("...", 20, logprob=-0.88, no_speech=0.75, probability=0.71), id="applause"),
        pytest.param(said("1.5% deurice", 20, logprob=-0.9, no_speech=0.3, probability=0.4), id="pink noise"),
        pytest.param(said("Thank you for watching!", 20, no_speech=0.3), id="a known phrase needs less doubt"),
    ],
)
def test_what_nobody_said_is_dropped(segment: Segment) -> None:
    assert list(drop_inventions([segment], SPEECH)) == []
    assert list(drop_inventions([segment], ())) == []


@pytest.mark.parametrize(
    "segment",
    [
        pytest.param(said("Thank you.", 1.5, logprob=-0.9, no_speech=0.9), id="in speech"),
        pytest.param(said("Thank you.", 3.8, logprob=-0.9, no_speech=0.9), id="next to speech"),
        pytest.param(said("Thank you.", 20), id="certain, as when it is whispered"),
        pytest.param(said("And I will always love you", 20, logprob=-0.4, no_speech=0.3, probability=0.7), id="sung"),
    ],
)
def test_what_may_have_been_said_stays(segment: Segment) -> None:
    assert list(drop_inventions([segment], SPEECH)) == [segment]


def test_where_speech_is_not_known_all_stays() -> None:
    made_up = said("You", 20, logprob=-0.8, no_speech=0.69)

    assert list(drop_inventions([made_up], None)) == [made_up]


@pytest.mark.parametrize(
    "text",
    [
        "Thanks for watching!",
        "¡Suscríbete al canal!",
        "Продолжение следует...",
        "Субтитры сделал DimaTorzok",
        "Sous-titres réalisés par la communauté d'Amara.org",
        "ご視聴ありがとうございました。",
        "시청해주셔서 감사합니다.",
        "Untertitel von Stephanie Geiges",
    ],
)
def test_inventions_are_known_in_many_languages(text: str) -> None:
    assert is_known_invention(text)


def test_speech_is_no_known_invention() -> None:
    assert not is_known_invention("Thank you for watching the door while I was away.")


@given(st.text("abc. ", max_size=20), st.floats(-3, 0), st.floats(0, 1), st.floats(0, 1))
def test_text_in_speech_always_stays(text: str, logprob: float, no_speech: float, probability: float) -> None:
    segment = said(text, 1.5, logprob=logprob, no_speech=no_speech, probability=probability)

    assert list(drop_inventions([segment], SPEECH)) == [segment]


def test_a_chunk_keeps_only_what_was_said() -> None:
    whole = (Piece(0, 30 * SAMPLE_RATE),)
    chunk = Chunk(0, whole, speech=(Piece(SAMPLE_RATE, 4 * SAMPLE_RATE),))
    segments = [said("Hello.", 1.5), said("You", 20, logprob=-0.8, no_speech=0.59)]

    assert [one.text for one in chunk_text(chunk, segments).segments] == ["Hello."]
    assert len(chunk_text(replace(chunk, speech=None), segments).segments) == 2
