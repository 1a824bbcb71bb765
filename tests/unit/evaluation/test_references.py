"""References of several programs, read alike."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scrivano.domain.transcript import Segment
from scrivano.evaluation.references import Reference, UnreadableReference, parse_reference


def read(ending: str, content: Any) -> Reference:
    data = content if isinstance(content, bytes) else (content if isinstance(content, str) else json.dumps(content))
    return parse_reference(ending, data if isinstance(data, bytes) else data.encode())


def timed(reference: Reference) -> list[tuple[float, float, str]]:
    assert reference.timed
    return [(one.start, one.end, one.text) for one in reference.segments]


HELLO = [(0.5, 1.5, "Hello there."), (2.0, 3.25, "Bye.")]
ROWS = [{"start": start, "end": end, "text": f" {text}"} for start, end, text in HELLO]


@pytest.mark.parametrize(
    ("content", "language"),
    [
        (ROWS, None),
        ({"segments": ROWS, "language": "en", "text": "Hello there. Bye."}, "en"),
        ({"segments": ROWS, "language": "english", "duration": 4.0}, "en"),
        ({"segments": ROWS, "language": None, "id": "a", "status": "done"}, None),
        (
            {
                "result": {"language": "de"},
                "transcription": [
                    {"offsets": {"from": start * 1000, "to": end * 1000}, "text": text} for start, end, text in HELLO
                ],
            },
            "de",
        ),
    ],
    ids=["list", "whisper", "openai", "job", "whisper.cpp"],
)
def test_json_with_times(content: Any, language: str | None) -> None:
    reference = read(".json", content)

    assert timed(reference) == HELLO
    assert reference.language == language


@pytest.mark.parametrize("name", ["word", "text"])
def test_words_with_times(name: str) -> None:
    words = [{name: " Hello", "start": 0.5, "end": 0.9}, {name: " there.", "start": 0.9, "end": 1.5, "score": 0.9}]

    [segment] = read(".json", {"segments": [{**ROWS[0], "words": words}]}).segments

    assert [(word.text, word.start, word.end) for word in segment.words] == [
        (" Hello", 0.5, 0.9),
        (" there.", 0.9, 1.5),
    ]


def test_words_beside_the_segments_are_put_into_them() -> None:
    words = [("Hello", 0.5, 0.9), ("there", 0.9, 1.5), ("Bye", 2.0, 3.25)]
    rows = [{"word": text, "start": start, "end": end} for text, start, end in words]

    first, second = read(".json", {"segments": ROWS, "words": rows}).segments

    assert ([word.text for word in first.words], [word.text for word in second.words]) == (
        [" Hello", " there"],
        [" Bye"],
    )


def test_words_without_all_of_their_times_are_not_used() -> None:
    words = [{"word": "Hello", "start": 0.5, "end": 0.9}, {"word": "1.5"}]

    [segment] = read(".json", {"segments": [{**ROWS[0], "words": words}]}).segments

    assert segment.words == ()


@pytest.mark.parametrize("content", [{"text": " Hello there. "}, [{"text": "Hello there."}]])
def test_json_without_times(content: Any) -> None:
    reference = read(".json", content)

    assert (reference.timed, reference.text) == (False, "Hello there.")


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "17", '"text"', "{}", '[{"start": 0}]', '{"segments": [1]}', '{"segments": 5}'),
        *("[]", '{"segments": []}', '{"segments": [], "status": "queued"}', '{"transcription": []}', '{"words": []}'),
        *('{"text": null}', '[{"start": 0, "end": 1, "text": null}]', '{"segments": [], "text": 5}'),
    ],
)
def test_other_json_is_refused_with_an_example(content: str) -> None:
    with pytest.raises(UnreadableReference, match=r'\[\{"start": 0.0, "end": 1.5'):
        read(".json", content)


SRT = (
    "1\r\n00:00:00,500 --> 00:00:01,500\r\n<i>Hello</i>\r\nthere.\r\n\r\n2\r\n00:00:02,000 --> 00:00:03,250\r\nBye.\r\n"
)
VTT = (
    "WEBVTT - made by hand\n\nNOTE a comment\n\nSTYLE\n::cue {}\n\nintro\n00:00.500 --> 00:01.500 align:start\n"
    "<v Ann>Hello <c.loud>there.</c>\n\n00:02.000 --> 00:03.250\nBye.\n"
)


@pytest.mark.parametrize(("ending", "content"), [(".srt", SRT), (".vtt", VTT), (".srt", "\ufeff" + SRT)])
def test_subtitles(ending: str, content: str) -> None:
    assert timed(read(ending, content)) == HELLO


def test_subtitles_of_old_programs() -> None:
    assert read(".srt", SRT.replace("Bye", "Adiós").encode("cp1252")).text.endswith("Adiós.")


def test_entities_are_characters() -> None:
    assert timed(read(".vtt", "WEBVTT\n\n01:00:00.000 --> 01:00:01.000\nA &amp; B\n")) == [(3600.0, 3601.0, "A & B")]


def test_plain_text_has_no_times() -> None:
    reference = read(".txt", "Hello\n  there.\n")

    assert reference == Reference((Segment(start=0, end=0, text="Hello there."),), timed=False)


@pytest.mark.parametrize(("ending", "content"), [(".txt", ""), (".json", {"segments": [], "text": ""})])
def test_who_says_nothing_says_so(ending: str, content: Any) -> None:
    assert read(ending, content).text == ""


def test_a_job_that_found_no_speech_is_a_reference() -> None:
    assert read(".json", {"id": "a", "status": "done", "segments": []}).segments == ()


@pytest.mark.parametrize("more", [{"segments": []}, {"segments": None}, {"words": []}])
def test_text_without_segments_is_the_reference(more: dict[str, Any]) -> None:
    assert read(".json", {"text": "hi there", **more}).text == "hi there"


@pytest.mark.parametrize("ending", [".srt", ".vtt"])
@pytest.mark.parametrize("content", ["", "no subtitles", "WEBVTT\n", "1\n00:00:00,500 --> 00:00:01,500\n\n"])
def test_subtitles_without_any_text_are_refused(ending: str, content: str) -> None:
    with pytest.raises(UnreadableReference, match=r"an empty \.txt says that nobody speaks"):
        read(ending, content)


def test_subtitles_that_have_lost_their_blank_lines() -> None:
    assert timed(read(".srt", SRT.replace("\r\n\r\n", "\r\n"))) == HELLO


def test_a_number_that_somebody_says_is_no_number_of_a_cue() -> None:
    assert read(".srt", "1\n00:00:00 --> 00:00:01\nRoom\n7\n\n2\n00:00:01 --> 00:00:02\n8\n").text == "Room 7 8"


@pytest.mark.parametrize("time", ["NaN", "Infinity", "1e999"])
def test_times_that_are_no_times_are_not_used(time: str) -> None:
    reference = read(".json", f'[{{"start": {time}, "end": 1, "text": "Hello"}}]')

    assert (reference.timed, reference.text) == (False, "Hello")


def test_no_segment_ends_before_it_starts() -> None:
    assert timed(read(".json", [{"start": 5, "end": 1, "text": "Hello"}])) == [(5.0, 5.0, "Hello")]
