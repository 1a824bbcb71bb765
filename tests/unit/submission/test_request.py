from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrivano.domain.errors import BadRequest
from scrivano.domain.job import JobOptions, Task
from scrivano.submission.request import parse_job_request

MODEL = "large-v3"


def test_an_empty_form_asks_for_nothing_special() -> None:
    wish = parse_job_request({"prompt": " ", "temperature": "", "priority": "", "unknown": "field"}, "a.wav", [MODEL])

    assert wish.options == JobOptions()
    assert wish.options.stored() == {}
    assert (wish.task, wish.language, wish.filename) == (Task.TRANSCRIBE, None, "a.wav")
    assert (wish.priority, wish.metadata, wish.webhook_url) == ("normal", None, None)


def test_every_field_is_understood() -> None:
    fields = {
        "task": "translate",
        "language": "DE",
        "prompt": "Minutes.",
        "hotwords": "Scrivano",
        "word_timestamps": "False",
        "vad": "0",
        "beam_size": "3",
        "temperature": "0.4",
        "priority": "bulk",
        "metadata": '{"customer": "Müller"}',
        "queue": "yes",
        "model": MODEL,
    }

    wish = parse_job_request(fields, None, [MODEL])

    assert wish.options == JobOptions(
        prompt="Minutes.", hotwords="Scrivano", word_timestamps=False, vad=False, beam_size=3, temperature=0.4
    )
    assert (wish.task, wish.language, wish.priority) == (Task.TRANSLATE, "de", "bulk")
    assert wish.metadata == {"customer": "Müller"}


@pytest.mark.parametrize("name", ["whisper-1", "gpt-4o-transcribe", MODEL])
def test_the_served_model_has_many_names(name: str) -> None:
    parse_job_request({"model": name}, None, [MODEL])


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("task", "sing", "task must be 'transcribe' or 'translate'"),
        ("language", "xx", "language must be"),
        ("model", "tiny", "'tiny' does not exist here; this server has 'large-v3'"),
        ("word_timestamps", "maybe", "word_timestamps must be 'true' or 'false'"),
        ("vad", "2", "vad must be 'true' or 'false'"),
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
        parse_job_request({field: value}, None, [MODEL])


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
    wish = parse_job_request({} if language is None else {"language": language}, None, MODEL, languages)

    assert (wish.language, wish.options.languages) == chosen
    assert JobOptions.restored(json.loads(json.dumps(wish.options.stored()))) == wish.options


def test_a_multilingual_recording_has_no_one_language() -> None:
    assert parse_job_request({"multilingual": "true"}, None, MODEL).options.multilingual
    assert parse_job_request({"multilingual": "true"}, None, MODEL, ["en", "it"]).options.languages == ("en", "it")
    assert parse_job_request({"multilingual": "true"}, None, MODEL, ["it"]).language == "it"
    assert parse_job_request({"multilingual": "false", "language": "it"}, None, MODEL).options == JobOptions()
    for several in ([], ["en", "it"]):
        with pytest.raises(BadRequest, match="leave out language"):
            parse_job_request({"multilingual": "true", "language": "it"}, None, MODEL, several)


def test_languages_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(BadRequest, match="such as 'de,en'; 'klingon' is none"):
        parse_job_request({}, None, MODEL, ["en", "klingon"])
    with pytest.raises(BadRequest, match=r"language is 'fr', which is none of languages \(en, it\)"):
        parse_job_request({"language": "fr"}, None, MODEL, ["it", "en"])


@given(st.dictionaries(st.sampled_from(["beam_size", "temperature", "metadata", "vad", "priority"]), st.text()))
def test_no_text_does_anything_else(fields: dict[str, str]) -> None:
    try:
        options = parse_job_request(fields, None, [MODEL]).options
    except BadRequest:
        return
    assert options.beam_size is None or 1 <= options.beam_size <= 10
    assert options.temperature is None or 0 <= options.temperature <= 1
