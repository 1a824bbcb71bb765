# ruff: noqa: RUF001
"""Whisper's rules over tokens: what is kept, what is decoded again, and from where."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scrivano.domain.decoding import DecodingOptions
from scrivano.engines.decoding_rules import (
    WINDOW_TOKENS,
    Decoding,
    Split,
    Spoken,
    best_decoding,
    compression_ratio,
    is_silence,
    likeliest,
    needs_fallback,
    rest_of,
    split_by_timestamps,
    token_cap,
)

EOT = 100
BEGIN = 200
OPTIONS = DecodingOptions()
GOOD = Decoding(tokens=(1,), avg_logprob=-0.2, no_speech_prob=0.01, compression_ratio=1.2, temperature=0.0)


def at(seconds: float) -> int:
    return BEGIN + round(seconds / 0.02)


def split(*tokens: int, seconds: float = 30.0) -> Split:
    return split_by_timestamps(tokens, timestamp_begin=BEGIN, eot=EOT, seconds=seconds)


def test_pairs_of_timestamps_cut_and_a_single_one_closes() -> None:
    heard = split(at(0), 1, 2, at(2), at(2.5), 3, at(4))

    assert heard == Split(
        spoken=(Spoken(start=0.0, end=2.0, tokens=(1, 2)), Spoken(start=2.5, end=4.0, tokens=(3,))),
    )


def test_a_pair_at_the_end_means_that_more_follows() -> None:
    heard = split(at(0), 1, at(2), at(2))

    assert heard.spoken == (Spoken(start=0.0, end=2.0, tokens=(1,)),)
    assert heard.rest == 2.0
    assert heard.unfinished == Spoken(start=2.0, end=30.0, tokens=())


def test_text_behind_the_last_pair_is_unfinished() -> None:
    heard = split(at(0), 1, at(2), at(2.4), 7, 8, seconds=3.0)

    assert heard.rest == 2.0
    assert heard.unfinished == Spoken(start=2.4, end=3.0, tokens=(7, 8))


def test_one_segment_takes_its_own_timestamps() -> None:
    assert split(at(0.4), 1, at(3)).spoken == (Spoken(start=0.4, end=3.0, tokens=(1,)),)


def test_text_without_a_closing_timestamp_lasts_to_the_end_and_is_open() -> None:
    assert split(at(0), 1, 2, seconds=5.0) == Split(spoken=(Spoken(start=0.0, end=5.0, tokens=(1, 2)),), open_end=True)


def test_no_timestamp_lies_behind_the_audio() -> None:
    assert split(at(0), 1, at(29), seconds=4.2).spoken[0].end == 4.2


def test_no_tokens_are_an_empty_text() -> None:
    assert split(seconds=4.0).spoken == (Spoken(start=0.0, end=4.0, tokens=()),)


SAID = Spoken(start=0.0, end=20.0, tokens=(1,))


@pytest.mark.parametrize(
    ("heard", "seconds", "rest"),
    [
        (Split(spoken=(SAID,), rest=20.0), 30.0, 20.0),
        (Split(spoken=(SAID,), rest=20.0), 20.9, None),  # too short a rest
        (Split(spoken=(SAID,), rest=0.2), 30.0, 1.0),  # or the same window would be decoded for ever
        (Split(spoken=(SAID,)), 22.0, None),  # the model says that no more follows
        (Split(spoken=(SAID,)), 24.0, 20.0),  # but the chunk ends with speech
        (Split(spoken=(SAID,), open_end=True), 24.0, 18.0),  # the last word's end
        (Split(spoken=()), 24.0, None),  # silence
        (Split(spoken=(replace(SAID, tokens=()),), rest=0.0), 24.0, None),
    ],
)
def test_a_rest_that_can_hold_speech_is_decoded_again(heard: Split, seconds: float, rest: float | None) -> None:
    assert rest_of(heard, seconds=seconds, last_word_end=18.0) == rest


def test_text_that_was_never_closed_and_has_no_words_is_all() -> None:
    assert rest_of(Split(spoken=(SAID,), open_end=True), seconds=30.0) is None


@pytest.mark.parametrize(
    ("decoding", "again"),
    [
        (GOOD, False),
        (replace(GOOD, compression_ratio=2.5), True),
        (replace(GOOD, avg_logprob=-1.1), True),
        (replace(GOOD, avg_logprob=-1.1, no_speech_prob=0.7), False),  # silence
        (replace(GOOD, avg_logprob=-1.1, no_speech_prob=0.7, compression_ratio=9.0), False),
        (replace(GOOD, no_speech_prob=0.9, compression_ratio=2.5), True),
    ],
)
def test_quality_gates(decoding: Decoding, again: bool) -> None:
    assert needs_fallback(decoding, OPTIONS) is again


def test_silence_takes_an_unsure_decoder_too() -> None:
    assert is_silence(replace(GOOD, no_speech_prob=0.7, avg_logprob=-1.0), OPTIONS)
    assert not is_silence(replace(GOOD, no_speech_prob=0.99), OPTIONS)
    assert not is_silence(replace(GOOD, avg_logprob=-3.0), OPTIONS)


def test_the_last_decoding_counts_when_it_is_good() -> None:
    unsure = replace(GOOD, avg_logprob=-1.5)

    assert best_decoding([unsure, GOOD], OPTIONS) is GOOD


def test_of_bad_decodings_the_most_probable_that_does_not_repeat_itself_counts() -> None:
    loop = replace(GOOD, avg_logprob=-0.1, compression_ratio=9.0)
    worse, bad = replace(GOOD, avg_logprob=-2.0), replace(GOOD, avg_logprob=-1.5)

    assert best_decoding([loop, bad, worse], OPTIONS) is bad
    assert best_decoding([replace(loop, avg_logprob=-0.3), loop], OPTIONS) is loop


def test_compression_ratio_tells_loops() -> None:
    assert compression_ratio("") == 0.0
    assert compression_ratio("The director will arrive at the park next week.") < 2.4
    assert compression_ratio("thank you " * 30) > 2.4


@pytest.mark.parametrize(("seconds", "cap"), [(0.5, 64), (1.6, 64), (1.7, 128), (3.2, 128), (3.3, 224), (30.0, 224)])
def test_token_cap_grows_with_the_audio(seconds: float, cap: int) -> None:
    assert token_cap(seconds) == cap
    assert cap >= min(WINDOW_TOKENS, 40 * seconds)


def test_the_likeliest_come_first() -> None:
    assert list(likeliest({"de": 0.2, "en": 0.5, "it": 0.3}, (), 2).items()) == [("en", 0.5), ("it", 0.3)]


def test_allowed_languages_share_what_the_others_had() -> None:
    assert likeliest({"de": 0.5, "en": 0.125, "it": 0.375}, ("en", "it"), 5) == {"it": 0.75, "en": 0.25}


def test_allowed_languages_without_any_probability_stand_alike() -> None:
    assert likeliest({"de": 1.0, "en": 0.0, "it": 0.0}, ("en", "it", "xx"), 5) == {"en": 0.5, "it": 0.5}


# Repetition, in every script

# The first article of the Universal Declaration of Human Rights, and thanks.
SCRIPTS = {
    "en": (
        "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience "
        "and should act towards one another in a spirit of brotherhood.",
        "Thank you for watching. ",
    ),
    "ru": (
        "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью и "
        "должны поступать в отношении друг друга в духе братства.",
        "Спасибо за просмотр. ",
    ),
    "el": (
        "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. Είναι προικισμένοι με "
        "λογική και συνείδηση, και οφείλουν να συμπεριφέρονται μεταξύ τους με πνεύμα αδελφοσύνης.",
        "Ευχαριστώ που παρακολουθήσατε. ",
    ),
    "ar": (
        "يولد جميع الناس أحراراً متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميراً وعليهم أن يعامل بعضهم بعضاً بروح "
        "الإخاء.",
        "شكرا للمشاهدة. ",
    ),
    "hi": (
        "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। उन्हें बुद्धि और अन्तरात्मा "
        "की देन प्राप्त है और परस्पर उन्हें भाईचारे के भाव से बर्ताव करना चाहिए।",
        "देखने के लिए धन्यवाद। ",
    ),
    "zh": ("人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。", "谢谢观看。"),
    "ja": (
        "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は、理性と良心とを"
        "授けられており、互いに同胞の精神をもって行動しなければならない。",
        "ご視聴ありがとうございました。",
    ),
    "ko": (
        "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성과 양심을 "
        "부여받았으며 서로 형제애의 정신으로 행동하여야 한다.",
        "시청해주셔서 감사합니다. ",
    ),
    "th": (
        "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม และควรปฏิบัติต่อกันด้วยเจตนารมณ์แห่งภราดรภาพ",
        "ขอบคุณที่รับชม ",
    ),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_repetition_is_judged_alike_in_every_script(script: str) -> None:
    text, thanks = SCRIPTS[script]

    assert compression_ratio(text) <= 1.45
    assert compression_ratio(f"{text} {text[::-1]}") <= 1.8, "twice the length, as in a full window"
    assert compression_ratio(thanks * 7) > OPTIONS.compression_ratio_threshold, "a loop of half a window"


def test_what_was_measured_in_english_still_holds() -> None:
    assert compression_ratio("") == 0
    assert compression_ratio("thank you " * 5) == pytest.approx(2.6, abs=0.3)
