from __future__ import annotations

import re
from datetime import timedelta
from itertools import pairwise

import pytest
import srt
import webvtt
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scrivano.domain.transcript import Segment, Transcript, Word
from scrivano.text.cue import Cue, printable, width
from scrivano.text.formats import FORMATS, render
from scrivano.text.shape import PROFILES, Shape, breaches, shape_of
from scrivano.text.subtitles import subtitles

NOBODY = "So the thing about subtitles is that nobody sees them when they are good, but everybody when they are bad."


def spoken(text: str, start: float = 0.0, word_secs: float = 0.3) -> Segment:
    """Words one right after the other."""
    parts = re.findall(r"\s*\S+", text)
    words = tuple(
        Word(text=part, start=start + at * word_secs, end=start + (at + 1) * word_secs, probability=1.0)
        for at, part in enumerate(parts)
    )
    return Segment(start=start, end=start + len(parts) * word_secs, text=text, words=words)


def texts(*segments: Segment, **limits: float) -> list[str]:
    return [cue.text for cue in subtitles(segments, shape_of(None, limits))]


# Where cues and lines break --------------------------------------------------------------------------------------


def test_short_speech_is_one_line() -> None:
    assert subtitles([spoken("It is late.", start=1.0)], Shape()) == [Cue(1000, 2000, "It is late.")]


def test_a_cue_ends_with_its_sentence_rather_than_its_clause() -> None:
    text = "This is the first sentence, and it is long enough. The second one, too, is as long as the first."

    assert texts(spoken(text)) == [
        "This is the first sentence,\nand it is long enough.",
        "The second one, too,\nis as long as the first.",
    ]


def test_a_long_sentence_breaks_at_a_comma() -> None:
    assert texts(spoken(NOBODY)) == [
        "So the thing about subtitles is that\nnobody sees them when they are good,",
        "but everybody when they are bad.",
    ]


def test_without_punctuation_a_cue_breaks_at_a_pause() -> None:
    before, after = spoken("one two three four five six seven eight"), spoken("nine ten eleven twelve thirteen", 2.8)

    assert [text.replace("\n", " ") for text in texts(before, after, max_line_chars=30)] == [before.text, after.text]


def test_without_punctuation_or_pause_a_sentence_is_halved() -> None:
    first, second = texts(spoken("word " * 17 + "end."), max_line_chars=42)

    assert abs(len(first) - len(second)) <= 5


def test_a_cue_ends_at_a_long_silence() -> None:
    assert texts(spoken("I think"), spoken("so.", start=5.0)) == ["I think", "so."]


def test_a_sentence_in_several_segments_is_joined() -> None:
    assert texts(spoken("I think"), spoken("so, too.", start=0.6)) == ["I think so, too."]


def test_two_lines_are_even() -> None:
    (text,) = texts(spoken("aaaa bbbb cccc dddd eeee ffff gggg hhhh iiii jjjj"))

    assert [len(line) for line in text.split("\n")] == [24, 24]


def test_a_cue_may_have_more_lines() -> None:
    (text,) = texts(spoken("aaaa bbbb cccc dddd eeee ffff"), max_line_chars=10, max_lines=3)

    assert text == "aaaa bbbb\ncccc dddd\neeee ffff"


def test_a_word_longer_than_a_line_has_a_line_of_its_own_and_is_reported() -> None:
    link = "https://example.org/" + "x" * 60
    cues = subtitles([spoken(f"See {link} there.", word_secs=2.0)], Shape())

    assert link in [line for cue in cues for line in cue.text.split("\n")]
    assert [(breach.rule, breach.value, breach.limit) for breach in breaches(cues, Shape())] == [
        ("max_line_chars", 80, 42)
    ]


def test_chinese_breaks_between_characters_but_not_before_a_closing_mark() -> None:
    text = "字幕写得好的时候没有人注意到它们，写得不好的时候每个人都会注意到。今天天气很好，我们去公园走走吧。"  # noqa: RUF001
    cues = subtitles([Segment(start=0.0, end=14.0, text=text)], Shape())

    lines = [line for cue in cues for line in cue.text.split("\n")]
    assert "".join(lines) == text
    assert all(20 <= width(line) <= 42 for line in lines)
    assert not [line for line in lines if line[0] in "，。"]  # noqa: RUF001
    assert cues[0].text.endswith("，")  # noqa: RUF001


def test_thai_keeps_vowels_and_tones_with_their_consonant() -> None:
    text = "ประเทศไทยเป็นประเทศที่ตั้งอยู่ในทวีปเอเชียตะวันออกเฉียงใต้มีพรมแดนติดกับประเทศลาวและกัมพูชา"
    lines = [
        line for cue in subtitles([Segment(start=0.0, end=8.0, text=text)], Shape()) for line in cue.text.split("\n")
    ]

    assert "".join(lines) == text
    assert len(lines) > 1
    assert not [line for line in lines if line[0] in "ะาำ็่้ั" or line[-1] in "เแโใไ"]


# Times -----------------------------------------------------------------------------------------------------------


def test_a_cue_is_shown_into_the_silence_until_it_has_been_read() -> None:
    text = "Thirty-four characters, in one go."
    (cue,) = subtitles([spoken(text, word_secs=0.1)], Shape())

    assert (cue.start_ms, cue.end_ms) == (0, 2000)
    assert breaches([cue], Shape()) == []


def test_a_cue_ends_before_the_next_one() -> None:
    hasty, next_one = spoken("Thirty-four characters, in one go.", word_secs=0.05), spoken("Next.", start=1.3)

    first, second = subtitles([hasty, next_one], Shape())

    assert (first.end_ms, second.start_ms) == (1300, 1300)
    assert [(breach.cue, breach.rule, breach.value) for breach in breaches([first, second], Shape())] == [
        (1, "max_chars_per_sec", 26.16)
    ]


def test_a_word_stretched_over_silence_is_shown_for_the_longest_time_at_most() -> None:
    (cue,) = subtitles([spoken("Hello.", word_secs=29.0)], Shape())

    assert (cue.start_ms, cue.end_ms) == (0, 7000)


def test_words_that_differ_from_the_text_are_ignored() -> None:
    odd = Segment(start=1.0, end=3.0, text="All of it.", words=(Word(text="All", start=1.0, end=1.2, probability=1.0),))

    assert subtitles([odd], Shape()) == [Cue(1000, 3000, "All of it.")]


def test_a_segment_without_words_is_timed_by_its_length() -> None:
    cues = subtitles([Segment(start=10.0, end=20.0, text=NOBODY)], Shape())

    assert [cue.start_ms for cue in cues] == [10_000, 10_000 + 10_000 * NOBODY.index("but") // len(NOBODY)]
    assert cues[-1].end_ms == 20_000


# For any transcript ----------------------------------------------------------------------------------------------

times = st.one_of(st.floats(min_value=-1.0, max_value=40.0), st.sampled_from([0.0, 1.0, 1.0005, 100_000.0]))
odd = st.sampled_from([
    "-->", "--->", "<b>", "&amp;", "&", "WEBVTT", "NOTE x", "12", "1\n1.2.3", "[00:01.00]", "{\\an8}", "\x00", "\ufeff",
    "\u2028", "\x85", "\u200b", "字幕。", "「", "ไทย", "e\u0301", "،", "...", "a" * 90, "\n\n", "\t", " ", "",
])  # fmt: skip
plain = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=8)
word_texts = st.one_of(plain, odd, st.sampled_from([" and", " then,", " it ends.", " So?"]))
words = st.builds(Word, text=word_texts, start=times, end=times, probability=st.just(1.0))


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    said = tuple(draw(st.lists(words, max_size=25)))
    text = "".join(word.text for word in said)
    start, end = draw(times), draw(times)
    match draw(st.integers(0, 3)):
        case 0:
            return Segment(start=start, end=end, text=draw(word_texts), words=said)
        case 1:
            return Segment(start=start, end=end, text=text)
        case _:
            return Segment(start=start, end=end, text=text.strip(), words=said)


shapes = st.one_of(
    st.sampled_from([Shape(), *PROFILES.values()]),
    st.builds(
        Shape,
        max_line_chars=st.integers(1, 60),
        max_lines=st.integers(1, 4),
        max_cue_secs=st.floats(1.0, 10.0),
        min_cue_secs=st.floats(0.0, 1.0),
        max_chars_per_sec=st.floats(1.0, 40.0),
    ),
)
transcripts = st.lists(segments(), max_size=5)


def letters(*parts: str) -> str:
    """All that is to be seen, in order; a line break may stand between two letters where words are not spaced."""
    return "".join(printable(" ".join(parts)).split())


FILE_S = 100_000.0


def transcript(said: list[Segment]) -> Transcript:
    return Transcript(language="en", duration=FILE_S, segments=tuple(said))


@given(transcripts, shapes)
def test_no_word_is_lost_repeated_or_moved(said: list[Segment], shape: Shape) -> None:
    cues = subtitles(said, shape)

    assert letters(*(cue.text for cue in cues)) == letters(*(segment.text for segment in said))
    assert all(line and line == " ".join(line.split()) for cue in cues for line in cue.text.split("\n"))


@given(st.lists(st.lists(st.from_regex(r"[a-zA-Z\u00e0-\u00f6.,!?]{1,12}", fullmatch=True), max_size=30)), shapes)
def test_spaced_words_stay_whole(said: list[list[str]], shape: Shape) -> None:
    cues = subtitles([spoken(" ".join(one), start=10.0 * at) for at, one in enumerate(said)], shape)

    assert " ".join(cue.text for cue in cues).split() == [word for one in said for word in one]


@given(transcripts, shapes)
def test_cues_ascend_last_and_do_not_overlap(said: list[Segment], shape: Shape) -> None:
    cues = subtitles(said, shape)

    assert all(cue.start_ms < cue.end_ms for cue in cues)
    assert all(before.end_ms <= after.start_ms for before, after in pairwise(cues))


@given(transcripts, shapes)
def test_only_long_words_and_fast_speech_exceed_limits(said: list[Segment], shape: Shape) -> None:
    cues = subtitles(said, shape)

    for breach in breaches(cues, shape):
        cue = cues[breach.cue - 1]
        after = cues[breach.cue].start_ms if breach.cue < len(cues) else None
        match breach.rule:
            case "max_line_chars":
                assert any(width(line) > shape.max_line_chars and " " not in line for line in cue.text.split("\n"))
            case "min_cue_secs" | "max_chars_per_sec":
                assert cue.end_ms == after or cue.end_ms - cue.start_ms in (1, shape.max_cue_ms)
            case _:
                pytest.fail(f"{breach} in {cue}")


@given(transcripts, shapes, st.floats(min_value=0.1, max_value=200.0))
def test_no_cue_ends_after_the_file(said: list[Segment], shape: Shape, duration: float) -> None:
    made = subtitles(said, shape, duration)

    assert all(cue.start_ms < cue.end_ms for cue in made)
    assert all(before.end_ms <= after.start_ms for before, after in pairwise(made))
    assert not made or made[-1].end_ms <= max(round(duration * 1000), len(made))


def test_the_last_cue_of_a_clip_ends_with_the_clip() -> None:
    assert subtitles([spoken("It is late.", start=1.0)], Shape(), 1.5) == [Cue(1000, 1500, "It is late.")]


@given(transcripts, st.one_of(st.none(), shapes))
@settings(max_examples=300)
@example([spoken("--> ---> 00:00:01,000 --> 00:00:02,000")], None)
def test_an_independent_reader_finds_the_same_in_srt(said: list[Segment], shape: Shape | None) -> None:
    read = list(srt.parse(render(transcript(said), "srt", shape)))

    assert in_srt(*(one.content for one in read)) == in_srt(*(one.text for one in said))
    assert [one.index for one in read] == list(range(1, len(read) + 1))
    assert all(one.start < one.end for one in read)
    assert all(before.start <= after.start for before, after in pairwise(read))
    if shape is not None:
        assert [(one.start, one.end) for one in read] == [
            (timedelta(milliseconds=cue.start_ms), timedelta(milliseconds=cue.end_ms))
            for cue in subtitles(said, shape, FILE_S)
        ]


@given(transcripts, st.one_of(st.none(), shapes))
@settings(max_examples=300)
def test_an_independent_reader_finds_the_same_in_vtt(said: list[Segment], shape: Shape | None) -> None:
    read = webvtt.from_string(render(transcript(said), "vtt", shape)).captions

    shown = "".join(letters(one.raw_text) for one in read)
    plain_text = shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert plain_text == letters(*(one.text for one in said))
    assert all(one.start < one.end for one in read)
    if shape is not None:
        assert [one.start for one in read] == [vtt_time(cue.start_ms) for cue in subtitles(said, shape, FILE_S)]


# Arrows are shorter in SubRip, angle brackets may be angle quotation marks, and braces round brackets.
BRACKETS = str.maketrans("\u2039\u203a{}", "<>()")


def in_srt(*texts: str) -> str:
    return re.sub("-{2,}>", "->", letters(*texts)).translate(BRACKETS)


def vtt_time(ms: int) -> str:
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"


@given(transcripts, shapes)
def test_an_lrc_line_has_one_time_and_all_its_words(said: list[Segment], shape: Shape) -> None:
    head, *lines = render(transcript(said), "lrc", shape).split("\n")[:-1]

    assert head == "[length:1666:40]"
    found = [re.fullmatch(r"\[(\d{2,}):([0-5]\d)\.(\d\d)\](.+)", line) for line in lines]
    assert all(found)
    stamps = [tuple(map(int, match.groups()[:3])) for match in found if match]
    assert stamps == sorted(stamps)
    assert "".join(letters(match[4]) for match in found if match) == re.sub(
        r"\[(?=\d+:)", "(", letters(*(one.text for one in said))
    )


@pytest.mark.parametrize("format", FORMATS)
def test_silence_has_a_valid_file_in_every_format_and_shape(format: str) -> None:
    nothing = Transcript(language=None, duration=0.0, segments=(Segment(start=0.0, end=1.0, text=" \x00 "),))

    file = render(nothing, format, Shape())

    assert list(srt.parse(file)) == [] if format == "srt" else file is not None
    if format == "vtt":
        assert webvtt.from_string(file).captions == []
