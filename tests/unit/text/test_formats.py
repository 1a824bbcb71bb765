from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise

import pytest
import srt
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from scrivano.domain.errors import BadRequest
from scrivano.domain.speakers import Speaker, Turn
from scrivano.domain.transcript import Segment, Transcript, Word
from scrivano.text.formats import FORMATS, cues, render
from scrivano.text.shape import Shape
from scrivano.text.subtitles import subtitles

EMPTY = Transcript(language=None, duration=0.0)

HELLO = Segment(
    start=0.0,
    end=1.2345,
    text="Hello, world.",
    avg_logprob=-0.25,
    no_speech_prob=0.01,
    compression_ratio=0.9,
    tokens=(1, 2),
    words=(
        Word(text="Hello,", start=0.0, end=0.5, probability=0.9),
        Word(text=" world.", start=0.5, end=1.2345, probability=0.8),
    ),
)

LATE = Segment(start=3661.5, end=3662.0, text="Late.")

TWO = Transcript(language="en", duration=3700.0, segments=(HELLO, LATE))


def saying(*texts: str) -> Transcript:
    segments = tuple(Segment(start=float(at), end=at + 1.0, text=text) for at, text in enumerate(texts))
    return Transcript(language="en", duration=float(len(texts)), segments=segments)


def test_txt_has_one_line_per_segment() -> None:
    assert render(TWO, "txt") == "Hello, world.\nLate.\n"


def test_srt() -> None:
    assert render(TWO, "srt") == (
        "1\n00:00:00,000 --> 00:00:01,234\nHello, world.\n\n2\n01:01:01,500 --> 01:01:02,000\nLate.\n"
    )


def test_vtt() -> None:
    assert render(TWO, "vtt") == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.234\nHello, world.\n\n01:01:01.500 --> 01:01:02.000\nLate.\n"
    )


def test_tsv_has_whole_milliseconds() -> None:
    assert render(TWO, "tsv") == "start\tend\ttext\n0\t1234\tHello, world.\n3661500\t3662000\tLate.\n"


def test_lrc_has_hundredths_that_are_never_late() -> None:
    assert render(TWO, "lrc") == "[length:61:40]\n[00:00.00]Hello, world.\n[61:01.50]Late.\n"
    assert "[00:01.99]x" in render(
        Transcript(language="en", duration=3.0, segments=(Segment(start=1.9994, end=3.0, text="x"),)), "lrc"
    )


def test_text_like_a_time_is_escaped_in_lrc() -> None:
    assert render(saying("[00:09.00]not said [sic]"), "lrc").endswith("[00:00.00](00:09.00]not said [sic]\n")


def test_verbose_json_is_openais() -> None:
    document = json.loads(render(TWO, "verbose_json"))

    assert (document["task"], document["language"], document["duration"]) == ("transcribe", "english", 3700.0)
    assert document["words"] == [
        {"word": "Hello,", "start": 0.0, "end": 0.5},
        {"word": "world.", "start": 0.5, "end": 1.234},
    ]
    assert document["segments"] == json.loads(render(TWO, "json"))["segments"]


def test_a_translation_is_english() -> None:
    translated = Transcript(language="it", duration=1.0, task="translate")

    assert json.loads(render(translated, "verbose_json"))["language"] == "english"


def test_json_is_whispers() -> None:
    document = json.loads(render(TWO, "json"))

    assert (document["text"], document["language"]) == ("Hello, world. Late.", "en")
    assert document["segments"][0] == {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": 1.234,
        "text": "Hello, world.",
        "tokens": [1, 2],
        "temperature": 0.0,
        "avg_logprob": -0.25,
        "compression_ratio": 0.9,
        "no_speech_prob": 0.01,
        "words": [
            {"word": "Hello,", "start": 0.0, "end": 0.5, "probability": 0.9},
            {"word": " world.", "start": 0.5, "end": 1.234, "probability": 0.8},
        ],
    }
    assert document["segments"][1]["seek"] == 366150
    assert "words" not in document["segments"][1]


@pytest.mark.parametrize(
    ("format", "file"),
    [("txt", ""), ("srt", ""), ("vtt", "WEBVTT\n"), ("tsv", "start\tend\ttext\n"), ("lrc", "[length:00:00]\n")],
)
def test_no_speech_is_a_valid_file(format: str, file: str) -> None:
    assert render(EMPTY, format) == file


def test_no_speech_is_valid_json() -> None:
    assert json.loads(render(EMPTY, "verbose_json"))["language"] == "unknown"
    assert json.loads(render(EMPTY, "json")) == {"text": "", "segments": [], "language": None}


def test_an_unknown_format_is_refused_with_the_list_of_formats() -> None:
    with pytest.raises(BadRequest, match="one of txt, srt, vtt, tsv, json, verbose_json, lrc"):
        render(EMPTY, "docx")


def test_a_minute_is_never_written_as_sixty_seconds() -> None:
    almost = Transcript(
        language="en", duration=3600.0, segments=(Segment(start=59.9996, end=3599.9999, text="Almost."),)
    )

    assert "00:01:00.000 --> 01:00:00.000" in render(almost, "vtt")


def test_hours_may_take_three_digits() -> None:
    week = Transcript(language="en", duration=4e5, segments=(Segment(start=363_600.0, end=363_601.0, text="On."),))

    assert "101:00:00,000 --> 101:00:01,000" in render(week, "srt")


def test_text_cannot_break_out_of_its_cue() -> None:
    attack = saying("one\n\n2\n00:00:09,000 --> 00:00:10,000\nnot said", "<b>&\x00 \u2028 x")

    srt, vtt = render(attack, "srt"), render(attack, "vtt")

    assert srt.count("-->") == 2
    assert vtt.count("-->") == 2
    assert len(srt.split("\n\n")) == 2
    assert "00:00:09,000 -> 00:00:10,000" in srt
    assert "&lt;b&gt;&amp;\nx" in vtt
    assert render(saying("a ---> b"), "srt").count("-->") == 1
    assert render(saying("version\n2\n1.2.3"), "srt").endswith("\nversion\n2 1.2.3\n")
    assert render(saying("a\tb\nc"), "tsv").endswith("\ta b c\n")


def test_a_segment_without_text_makes_no_cue() -> None:
    assert [cue.text for cue in cues(saying("", " \n ", "yes").segments)] == ["yes"]


times = st.floats(min_value=-1.0, max_value=100_000.0)
segments = st.lists(st.builds(Segment, start=times, end=times, text=st.text(max_size=20)), max_size=8)
TIME = re.compile(r"\d{2,}:[0-5]\d:[0-5]\d[.,]\d{3}")


@given(segments)
def test_cues_ascend_and_last(spoken: list[Segment]) -> None:
    made = cues(spoken, 50_000.0)

    assert all(cue.start_ms < cue.end_ms for cue in made)
    assert all(before.end_ms <= after.start_ms for before, after in pairwise(made))
    assert not made or made[-1].end_ms <= 50_000_000


def test_segments_without_length_do_not_overlap_by_a_millisecond() -> None:
    spoken = [
        Segment(start=start, end=end, text="no") for start, end in ((0.0, 1.0), (1.0, 1.0), (1.0, 1.0), (1.0, 2.0))
    ]

    assert [(cue.start_ms, cue.end_ms) for cue in cues(spoken)] == [(0, 1000), (1000, 1001), (1001, 1002), (1002, 2000)]
    assert [(cue.start_ms, cue.end_ms) for cue in cues(spoken[:3], 1.0)] == [(0, 998), (998, 999), (999, 1000)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("press <b>OK</b> now", "press \u2039b\u203aOK\u2039/b\u203a now"),
        ("a <name>", "a \u2039name\u203a"),
        ("if a < b and c > d", "if a \u2039 b and c \u203a d"),
        ("one < two", "one < two"),
        ("from --> to", "from -> to"),
        ("a <-- b --> c", "a \u2039-- b -\u203a c"),
        ("a <<b>> c <>", "a \u2039\u2039b\u203a\u203a c \u2039\u203a"),
        ("set {\\i1} and {y:i}", "set (\\i1) and (y:i)"),
        ("the set {a, b}", "the set {a, b}"),
    ],
)
def test_what_looks_like_a_tag_stays_visible_in_srt(text: str, shown: str) -> None:
    [read] = srt.parse(render(saying(text), "srt"))

    assert read.content == shown
    assert re.sub("<[^>]*>", "", read.content) == shown


@given(segments)
def test_every_file_has_the_shape_of_its_format(spoken: list[Segment]) -> None:
    transcript = Transcript(language="en", duration=100_000.0, segments=tuple(spoken))
    count = len(cues(spoken))

    vtt, srt = (render(transcript, format).split("\n\n") for format in ("vtt", "srt"))

    assert vtt[0].startswith("WEBVTT")
    assert len(vtt) == count + 1
    for block in vtt[1:]:
        assert all(TIME.fullmatch(time) for time in block.split("\n")[0].split(" --> "))
    assert [block.split("\n")[0] for block in srt if block] == [str(number + 1) for number in range(count)]
    assert all(line.count("\t") == 2 for line in render(transcript, "tsv").split("\n")[:-1])
    json.loads(render(transcript, "json"))


def test_the_formats_are_the_eight() -> None:
    assert list(FORMATS) == ["txt", "srt", "vtt", "tsv", "json", "verbose_json", "lrc", "rttm"]


TALK = Transcript(
    language="en",
    duration=9.0,
    segments=(
        Segment(start=0.0, end=1.0, text="Is it?", speaker="S1"),
        Segment(start=1.0, end=2.0, text="It is.", speaker="S2"),
        Segment(start=2.0, end=3.0, text="And <now>.", speaker="S2"),
    ),
    speakers=(Speaker(id="S1", name="Ada & Co", seconds=1.0), Speaker(id="S2", name="Speaker 2", seconds=2.0)),
    turns=(Turn(0.0, 1.25, "S1"), Turn(1.0, 3.0, "S2")),
    recording="my talk",
)


def test_text_begins_with_the_name_where_the_speaker_changes() -> None:
    assert render(TALK, "txt") == "Ada & Co: Is it?\nSpeaker 2: It is.\nAnd <now>.\n"
    assert "Ada & Co: Is it?" in render(TALK, "srt")
    assert render(TALK, "srt").count("Speaker 2: ") == 1
    assert "[00:01.00]Speaker 2: It is." in render(TALK, "lrc")


def test_webvtt_has_a_voice_in_every_cue() -> None:
    cues = [line for line in render(TALK, "vtt").split("\n") if line.startswith("<v")]

    assert cues == ["<v Ada &amp; Co>Is it?", "<v Speaker 2>It is.", "<v Speaker 2>And &lt;now&gt;."]
    assert [caption.voice for caption in webvtt.from_string(render(TALK, "vtt")).captions] == [
        "Ada &amp; Co",
        *["Speaker 2"] * 2,
    ]


def test_tsv_and_json_have_the_speaker_in_a_field() -> None:
    assert render(TALK, "tsv").split("\n")[:2] == ["start\tend\tspeaker\ttext", "0\t1000\tAda & Co\tIs it?"]
    assert [one["speaker"] for one in json.loads(render(TALK, "json"))["segments"]] == ["Ada & Co", *["Speaker 2"] * 2]


def test_rttm_has_the_turns() -> None:
    assert render(TALK, "rttm").split("\n") == [
        "SPEAKER my_talk 1 0.000 1.250 <NA> <NA> Ada_&_Co <NA> <NA>",
        "SPEAKER my_talk 1 1.000 2.000 <NA> <NA> Speaker_2 <NA> <NA>",
        "",
    ]
    assert render(replace(TALK, turns=()), "rttm").count("SPEAKER") == 3
    assert render(TWO, "rttm") == ""


def test_no_cue_has_the_words_of_two_speakers() -> None:
    assert [cue.text for cue in subtitles(TALK.segments, Shape())] == ["Is it?", "It is. And <now>."]
