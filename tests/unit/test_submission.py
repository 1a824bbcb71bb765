from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrivano.api.submission import parse_wish
from scrivano.errors import BadRequest
from scrivano.jobs import JobOptions, Task

MODEL = "large-v3"


def test_an_empty_form_asks_for_nothing_special() -> None:
    wish = parse_wish({"prompt": " ", "temperature": "", "priority": "", "unknown": "field"}, "a.wav", [MODEL])

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

    wish = parse_wish(fields, None, [MODEL])

    assert wish.options == JobOptions(
        prompt="Minutes.", hotwords="Scrivano", word_timestamps=False, vad=False, beam_size=3, temperature=0.4
    )
    assert (wish.task, wish.language, wish.priority) == (Task.TRANSLATE, "de", "bulk")
    assert wish.metadata == {"customer": "Müller"}


@pytest.mark.parametrize("name", ["whisper-1", "gpt-4o-transcribe", MODEL])
def test_the_served_model_has_many_names(name: str) -> None:
    parse_wish({"model": name}, None, [MODEL])


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
        parse_wish({field: value}, None, [MODEL])


@given(st.dictionaries(st.sampled_from(["beam_size", "temperature", "metadata", "vad", "priority"]), st.text()))
def test_no_text_does_anything_else(fields: dict[str, str]) -> None:
    try:
        options = parse_wish(fields, None, [MODEL]).options
    except BadRequest:
        return
    assert options.beam_size is None or 1 <= options.beam_size <= 10
    assert options.temperature is None or 0 <= options.temperature <= 1
