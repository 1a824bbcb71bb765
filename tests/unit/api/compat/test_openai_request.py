from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from openai.types.audio import TranscriptionDiarized

from scrivano.api.compat.openai_request import OpenAIRequest, parse
from scrivano.api.compat.openai_responses import delta, done, render_body, segment_event
from scrivano.domain.errors import BadParameter, ModelNotFound
from scrivano.domain.job import JobOptions
from scrivano.domain.speakers import Speaker
from scrivano.domain.transcript import Segment, Transcript, Word
from scrivano.submission.form_fields import FormFields
from scrivano.submission.model_names import ALIASES, ServedModels

SEGMENTS = (
    Segment(
        start=0.25,
        end=1.0004,
        text="Good day.",
        words=(
            Word(text="Good", start=0.25, end=0.5, probability=1.0),
            Word(text=" day.", start=0.5, end=1.0004, probability=0.5),
        ),
    ),
    Segment(start=1.5, end=2.0, text="Yes.", words=(Word(text="Yes.", start=1.5, end=2.0, probability=0.0),)),
)
TRANSCRIPT = Transcript(language="en", duration=2.1, segments=SEGMENTS)


def asked(**fields: str) -> OpenAIRequest:
    return understood({name: [value] for name, value in fields.items()})


def understood(form: dict[str, list[str]]) -> OpenAIRequest:
    return parse(FormFields(form), ServedModels(("nano",)))


def body(transcript: Transcript = TRANSCRIPT, **fields: str) -> Any:
    return json.loads(render_body(asked(**fields), transcript))


def test_an_empty_form_asks_for_json() -> None:
    assert asked() == OpenAIRequest(
        language=None,
        options=JobOptions(),
        response_format="json",
        stream=False,
        segments=False,
        words=False,
        logprobs=False,
    )


def test_blank_fields_count_as_left_out() -> None:
    assert asked(language="", prompt=" ", temperature="", response_format="", stream="", model="") == asked()


@pytest.mark.parametrize("name", ["nano", *ALIASES])
def test_the_served_model_has_aliases(name: str) -> None:
    speaks = True if "diarize" in name else None
    assert asked(model=name) == replace(asked(), options=JobOptions(speakers=speaks))


def test_another_model_is_not_there() -> None:
    with pytest.raises(ModelNotFound, match="this server has 'nano'"):
        asked(model="large-v3")


@pytest.mark.parametrize(
    "form",
    [
        {"timestamp_granularities[]": ["word", "segment"]},
        {"timestamp_granularities": ["word", "segment"]},
        {"timestamp_granularities": ["word, segment"]},
        {"timestamp_granularities[]": ["segment,word,"]},
        {"timestamp_granularities[0]": ["word"], "timestamp_granularities[1]": ["segment"]},
    ],
)
def test_arrays_come_in_many_ways(form: dict[str, list[str]]) -> None:
    found = understood(form)

    assert (found.words, found.segments) == (True, True)
    assert found.options.word_timestamps


def test_keywords_are_words_to_expect() -> None:
    assert understood({"keywords[]": ["Anna", "Rovigo"]}).options.hotwords == "Anna, Rovigo"


def test_one_language_of_several_is_the_language() -> None:
    assert understood({"languages[]": ["it"]}).language == "it"
    assert understood({"languages[]": ["it", "en"]}).options.languages == ("en", "it")
    with pytest.raises(BadParameter, match="language is 'de', which is none of languages"):
        understood({"languages[]": ["it"], "language": ["de"]})
    assert understood({"languages[]": ["it", "en"]}).language is None
    assert understood({"languages[]": ["it", "de"], "language": ["de"]}).language == "de"


def test_temperature_0_leaves_it_to_the_server() -> None:
    assert asked(temperature="0").options.temperature is None
    assert asked(temperature="0.4").options.temperature == 0.4


@pytest.mark.parametrize("value", ["auto", '{"type": "server_vad", "threshold": 0.5}', "server_vad"])
def test_chunking_strategies_of_openai_are_accepted(value: str) -> None:
    assert asked(chunking_strategy=value) == asked()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", "nan"),
        ("temperature", "1.1"),
        ("num_speakers", "many"),
        ("include", "logprobs,all"),
        ("chunking_strategy", "{"),
        ("chunking_strategy", '{"type": "halves"}'),
        ("chunking_strategy", "{}"),
    ],
)
def test_what_is_not_understood_is_named(field: str, value: str) -> None:
    with pytest.raises(BadParameter) as caught:
        asked(**{field: value})

    assert caught.value.param == field


def test_words_joined_are_the_text_in_every_shape() -> None:
    verbose = body(response_format="verbose_json", timestamp_granularities="word")
    probable = body(include="logprobs")

    assert " ".join(word["word"] for word in verbose["words"]) == verbose["text"] == TRANSCRIPT.text
    assert "".join(entry["token"] for entry in probable["logprobs"]) == probable["text"]
    assert b"".join(bytes(entry["bytes"]) for entry in probable["logprobs"]).decode() == probable["text"]


def test_a_probability_of_nothing_has_a_logarithm() -> None:
    assert [entry["logprob"] for entry in body(include="logprobs")["logprobs"]] == [0.0, -0.6931, -23.0259]


def test_times_are_rounded_to_milliseconds_once() -> None:
    assert body(response_format="verbose_json")["segments"][0]["end"] == 1.0


def test_begun_seconds_count() -> None:
    assert body()["usage"] == {"type": "duration", "seconds": 3}


@pytest.mark.parametrize(
    ("task", "code", "name"),
    [
        ("transcribe", "it", "italian"),
        ("transcribe", "yue", "cantonese"),
        ("transcribe", None, "unknown"),
        ("translate", "it", "english"),
    ],
)
def test_the_language_is_its_english_name(task: str, code: str | None, name: str) -> None:
    transcript = Transcript(language=code, duration=1.0, task=task)

    assert body(transcript, response_format="verbose_json")["language"] == name


def test_deltas_joined_are_the_text_and_done_has_it_whole() -> None:
    form = asked(include="logprobs", timestamp_granularities="segment")
    deltas = [delta(form, text, segment) for text, segment in zip(("Good day.", " Yes."), SEGMENTS, strict=True)]

    assert "".join(event["delta"] for event in deltas) == TRANSCRIPT.text
    assert "".join(entry["token"] for event in deltas for entry in event["logprobs"]) == TRANSCRIPT.text
    assert segment_event(1, SEGMENTS[1]) == {
        "type": "transcript.text.segment",
        "id": "1",
        "start": 1.5,
        "end": 2.0,
        "text": "Yes.",
    }
    last = done(form, TRANSCRIPT)
    assert (last["type"], last["text"], len(last["segments"])) == ("transcript.text.done", TRANSCRIPT.text, 2)


@pytest.mark.parametrize("fields", [{"response_format": "diarized_json"}, {"model": "gpt-4o-transcribe-diarize"}])
def test_openai_s_ways_to_ask_for_speakers(fields: dict[str, str]) -> None:
    assert asked(**fields).options.speakers
    assert asked().options.speakers is None

    with pytest.raises(BadParameter, match="speakers=false contradicts") as caught:
        asked(**fields, speakers="false")
    assert caught.value.param == "speakers"


TALK = Transcript(
    language="en",
    duration=2.5,
    segments=(
        Segment(start=0.0, end=1.0, text="Is it?", speaker="S1"),
        Segment(start=1.0, end=2.0, text="It is.", speaker="S2"),
    ),
    speakers=(Speaker(id="S1", name="Speaker 1", seconds=1.0), Speaker(id="S2", name="Ada", seconds=1.0)),
)


def test_diarized_json_has_letters_for_speakers_without_a_name() -> None:
    document = json.loads(render_body(asked(response_format="diarized_json"), TALK))

    assert document == {
        "task": "transcribe",
        "duration": 2.5,
        "text": "Is it? It is.",
        "segments": [
            {"type": "transcript.text.segment", "id": "0", "start": 0.0, "end": 1.0, "text": "Is it?", "speaker": "A"},
            {
                "type": "transcript.text.segment",
                "id": "1",
                "start": 1.0,
                "end": 2.0,
                "text": "It is.",
                "speaker": "Ada",
            },
        ],
        "usage": {"type": "duration", "seconds": 3},
    }
    assert TranscriptionDiarized.model_validate(document, strict=True).segments[1].speaker == "Ada"


def test_diarized_json_says_that_the_speakers_are_not_known() -> None:
    lost = {"code": "no_speakers", "message": "the speakers could not be told apart (it broke)", "at": None}
    silent = tuple(replace(segment, speaker=None) for segment in TALK.segments)
    document = body(replace(TALK, segments=silent, speakers=(), warnings=(lost,)), response_format="diarized_json")

    assert {segment["speaker"] for segment in document["segments"]} == {"unknown"}
    assert document["warnings"] == [lost]
    assert TranscriptionDiarized.model_validate(document, strict=True).segments[0].speaker == "unknown"


def test_verbose_json_has_the_speakers_of_segments_and_words() -> None:
    word = Word(text="Is it?", start=0.0, end=1.0, probability=1.0, speaker="S2")
    talk = replace(TALK, segments=(replace(TALK.segments[0], speaker="S2", words=(word,)), TALK.segments[1]))
    form = {"response_format": ["verbose_json"], "timestamp_granularities[]": ["word", "segment"]}
    document = json.loads(render_body(understood(form), talk))

    assert [segment["speaker"] for segment in document["segments"]] == ["Ada", "Ada"]
    assert [word["speaker"] for word in document["words"]] == ["Ada"]
    assert "speaker" not in body(response_format="verbose_json")["segments"][0]
