from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrivano.domain.errors import BadRequest
from scrivano.domain.job import JobOptions, Task
from scrivano.submission.form_fields import FormFields
from scrivano.submission.job_request import JobRequest, parse_job_request
from scrivano.submission.model_names import ServedModels

MODEL = "large-v3"


def parsed(
    fields: dict[str, str],
    filename: str | None = None,
    models: Sequence[str] = (MODEL,),
    languages: Sequence[str] = (),
) -> JobRequest:
    values = {name: [value] for name, value in fields.items()} | ({"languages": list(languages)} if languages else {})
    return parse_job_request(FormFields(values), filename, ServedModels(tuple(models)))


def test_an_empty_form_asks_for_nothing_special() -> None:
    job_request = parsed({"prompt": " ", "temperature": "", "priority": "", "unknown": "field"}, "a.wav")

    assert job_request.options == JobOptions()
    assert job_request.options.stored() == {}
    assert (job_request.task, job_request.language, job_request.filename) == (Task.TRANSCRIBE, None, "a.wav")
    assert (job_request.priority, job_request.metadata, job_request.webhook_url) == ("normal", None, None)


def test_every_field_is_understood() -> None:
    fields = {
        "task": "translate",
        "language": "DE",
        "prompt": "Minutes.",
        "hotwords": "Scrivano",
        "word_timestamps": "False",
        "vad": "0",
        "audio_track": "ita",
        "channels": "SPLIT",
        "channel_names": "agent, customer",
        "beam_size": "3",
        "temperature": "0.4",
        "priority": "bulk",
        "metadata": '{"customer": "Müller"}',
        "queue": "yes",
        "model": MODEL,
    }

    job_request = parsed(fields)

    assert job_request.options == JobOptions(
        prompt="Minutes.",
        hotwords="Scrivano",
        word_timestamps=False,
        vad=False,
        beam_size=3,
        temperature=0.4,
        audio_track="ita",
        channels="split",
        channel_names=("agent", "customer"),
    )
    assert (job_request.task, job_request.language, job_request.priority) == (Task.TRANSLATE, "de", "bulk")
    assert job_request.metadata == {"customer": "Müller"}


@pytest.mark.parametrize(
    ("sent", "names"), [(",customer", ("", "customer")), ("a,, b", ("a", "", "b")), ("", None), (" , ", None)]
)
def test_a_channel_may_have_no_name(sent: str, names: tuple[str, ...] | None) -> None:
    assert parsed({"channel_names": sent}).options.channel_names == names


@pytest.mark.parametrize(
    ("name", "model"), [("", None), ("whisper-1", None), ("gpt-4o-transcribe", None), (MODEL, None), ("tiny", "tiny")]
)
def test_the_default_model_has_many_names_and_another_has_its_own(name: str, model: str | None) -> None:
    assert parsed({"model": name}, models=(MODEL, "tiny")).model == model


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("task", "sing", "task must be 'transcribe' or 'translate'"),
        ("language", "xx", "language must be"),
        ("model", "tiny", "'tiny' does not exist here; this server has 'large-v3'"),
        ("word_timestamps", "maybe", "word_timestamps must be 'true' or 'false'"),
        ("vad", "2", "vad must be 'true' or 'false'"),
        ("channels", "both", "channels must be 'auto', 'mix' or 'split'"),
        ("channel_names", "a,b,c,d,e,f,g,h,i", "channel_names can have 8 names"),
        ("queue", "later", "queue must be 'true' or 'false'"),
        ("beam_size", "0", "beam_size must be a whole number from 1 to 10"),
        ("beam_size", "11", "beam_size must be"),
        ("beam_size", "2.5", "beam_size must be"),
        ("beam_size", "٣", "beam_size must be"),
        ("temperature", "1.5", "temperature must be a number from 0 to 1"),
        ("temperature", "nan", "temperature must be"),
        ("temperature", "hot", "temperature must be"),
        ("priority", "now", "priority must be 'interactive', 'normal' or 'bulk'"),
        ("metadata", "customer", "metadata must be a JSON object of strings"),
        ("metadata", "[]", "metadata must be"),
        ("metadata", '{"a": 1}', "metadata must be"),
        ("metadata", '{"a": "\\ud800"}', "metadata must be"),
        ("metadata", "[" * 50_000, "metadata must be"),
        ("webhook_url", "ftp://x", "webhook_url must be"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_name(field: str, value: str, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        parsed({field: value})


@pytest.mark.parametrize(
    ("language", "languages", "chosen"),
    [
        (None, ["it", "EN", "it"], (None, ("en", "it"))),
        ("", ["it"], ("it", None)),
        ("it", ["en", "it"], ("it", None)),
        (None, ["en", "auto"], (None, None)),
        ("auto", ["en", "it"], (None, ("en", "it"))),
    ],
)
def test_languages_restrict_the_detection(language: str | None, languages: list[str], chosen: object) -> None:
    job_request = parsed({} if language is None else {"language": language}, languages=languages)

    assert (job_request.language, job_request.options.languages) == chosen
    assert JobOptions.restored(json.loads(json.dumps(job_request.options.stored()))) == job_request.options


def test_a_multilingual_recording_has_no_one_language() -> None:
    assert parsed({"multilingual": "true"}).options.multilingual
    assert parsed({"multilingual": "true"}, languages=["en", "it"]).options.languages == ("en", "it")
    assert parsed({"multilingual": "true"}, languages=["it"]).language == "it"
    assert parsed({"multilingual": "false", "language": "it"}).options == JobOptions()
    for several in ([], ["en", "it"]):
        with pytest.raises(BadRequest, match="leave out language"):
            parsed({"multilingual": "true", "language": "it"}, languages=several)


def test_languages_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(BadRequest, match="such as 'de,en'; 'klingon' is none"):
        parsed({}, languages=["en", "klingon"])
    with pytest.raises(BadRequest, match=r"language is 'fr', which is none of languages \(en, it\)"):
        parsed({"language": "fr"}, languages=["it", "en"])


@given(st.dictionaries(st.sampled_from(["beam_size", "temperature", "metadata", "vad", "priority"]), st.text()))
def test_no_text_does_anything_else(fields: dict[str, str]) -> None:
    try:
        options = parsed(fields).options
    except BadRequest:
        return
    assert options.beam_size is None or 1 <= options.beam_size <= 10
    assert options.temperature is None or 0 <= options.temperature <= 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"speakers": "false", "num_speakers": "2"}, "speakers=false contradicts num_speakers: leave out"),
        ({"speakers": "false", "voices": "true"}, "speakers=false contradicts voices: leave out"),
        ({"speakers": "no", "min_speakers": "2", "max_speakers": "3"}, "contradicts min_speakers and max_speakers"),
        ({"min_speakers": "3", "max_speakers": "2"}, "min_speakers must not be more"),
        ({"num_speakers": "4", "max_speakers": "3"}, "num_speakers=4 is not between"),
        ({"num_speakers": "2", "min_speakers": "3"}, "num_speakers=2 is not between"),
    ],
)
def test_speakers_that_contradict_each_other_are_refused(fields: dict[str, str], says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        parsed(fields)


def test_a_number_of_speakers_asks_for_them() -> None:
    assert parsed({"num_speakers": "2", "min_speakers": "1"}).options.speakers is True
    assert parsed({"voices": "true"}).options.speakers is True
    assert parsed({"speakers": "false", "voices": "false"}).options.speakers is False
