from __future__ import annotations

import pytest

from scrivano.domain.errors import BadParameter, BadRequest
from scrivano.submission.form_fields import FormFields, parse_http_url


def one(name: str, value: str) -> FormFields:
    return FormFields({name: [value]})


def test_the_last_value_of_a_field_counts() -> None:
    fields = FormFields({"prompt": ["first", " last "]})

    assert fields.last("prompt") == " last "
    assert fields.text("prompt") == "last"
    assert fields.last("other") is None


@pytest.mark.parametrize("value", ["", " ", "\n"])
def test_a_blank_field_counts_as_missing(value: str) -> None:
    assert one("prompt", value).text("prompt") is None
    assert one("vad", value).flag("vad") is None
    assert one("temperature", value).temperature() is None
    assert one("beam_size", value).beam_size() is None
    assert one("languages", value).array("languages") == []


def test_arrays_of_other_fields_are_not_mixed_in() -> None:
    fields = FormFields({"languages[]": ["en"], "languages_x": ["de"], "languages[x]": ["fr"], "xlanguages": ["it"]})

    assert fields.array("languages") == ["en"]


@pytest.mark.parametrize(
    ("word", "value"),
    [("1", True), ("TRUE", True), ("yes", True), ("on", True), ("0", False), ("False", False), ("no", False)],
)
def test_boolean_words(word: str, value: bool) -> None:
    assert one("vad", word).flag("vad") is value
    assert one("vad", word).is_true("vad") is value


def test_any_other_word_is_refused_or_false() -> None:
    with pytest.raises(BadParameter, match="vad must be 'true' or 'false', not 'maybe'"):
        one("vad", "maybe").flag("vad")
    assert not one("vad", "maybe").is_true("vad")


@pytest.mark.parametrize("text", ["1.1", "-0.1", "nan", "inf", "hot"])
def test_a_temperature_is_from_0_to_1(text: str) -> None:
    with pytest.raises(BadParameter, match=f"temperature must be a number from 0 to 1, not '{text}'"):
        one("temperature", text).temperature()


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1,5", "0x10"])
def test_a_number_is_finite(text: str) -> None:
    with pytest.raises(BadParameter, match="beam_size must be a number"):
        one("beam_size", text).number("beam_size")


def test_a_number_may_have_any_size() -> None:
    assert one("temperature", "-1e9").number("temperature") == -1e9


@pytest.mark.parametrize("text", ["http://a.test", "https://a.test:8443/x?y=z", "http://[::1]/"])
def test_a_url_that_can_be_called(text: str) -> None:
    assert parse_http_url(text, "webhook_url") == text


@pytest.mark.parametrize(
    "text", ["a.test", "ftp://a.test", "http://", "http://a.test:0", "http://a.test:x", "http://["]
)
def test_a_url_that_cannot_be_called_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="webhook_url must be an http:// or https:// URL"):
        parse_http_url(text, "webhook_url")


@pytest.mark.parametrize("text", [None, ""])
def test_a_missing_url_is_none(text: str | None) -> None:
    assert parse_http_url(text, "webhook_url") is None
