"""A form without a recording, in each of its encodings."""

from __future__ import annotations

import pytest

from scrivano.domain.errors import BadRequest
from scrivano.submission.small_form import parse_fields

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
MULTIPART = (
    b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nsmall\r\n'
    b'--x\r\nContent-Disposition: form-data; name="beam_size"\r\n\r\n1\r\n--x--\r\n'
)


@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        (JSON, b'{"model": "small", "beam_size": 1}'),
        (f"{JSON}; charset=utf-8", b'{"model": "small", "beam_size": "1"}'),
        (FORM, b"model=small&beam_size=1"),
        ("multipart/form-data; boundary=x", MULTIPART),
    ],
)
def test_all_encodings_give_the_same_fields(content_type: str, data: bytes) -> None:
    fields = parse_fields(content_type, data)

    assert (fields.text("model"), fields.beam_size()) == ("small", 1)


@pytest.mark.parametrize("content_type", ["", JSON, FORM, "text/plain"])
def test_no_body_has_no_fields(content_type: str) -> None:
    assert not parse_fields(content_type, b" ").values


def test_json_values_become_texts() -> None:
    data = b'{"vad": false, "languages": ["de", "en"], "prompt": null, "metadata": {"a": "b"}, "temperature": 0.5}'
    fields = parse_fields(JSON, data)

    assert (fields.flag("vad"), fields.array("languages"), fields.text("prompt")) == (False, ["de", "en"], None)
    assert (fields.text("metadata"), fields.temperature()) == ('{"a": "b"}', 0.5)


def test_blank_fields_of_a_form_are_named() -> None:
    assert "prompt" in parse_fields(FORM, b"prompt=").values


@pytest.mark.parametrize(
    ("content_type", "data", "message"),
    [
        ("text/plain", b"model=small", "as a JSON object"),
        ("", b"model=small", "of no type"),
        (JSON, b"[1]", "must be a JSON object"),
        (JSON, b"{", "must be a JSON object"),
        (JSON, b'{"prompt": "\\ud800"}', "prompt contains half"),
        ("multipart/form-data; boundary=x", MULTIPART[:-20], "ends before its closing boundary"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\nRIFF\r\n--x--\r\n',
            "leave out the file 'audio'",
        ),
    ],
)
def test_what_is_no_form_says_what_to_send(content_type: str, data: bytes, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        parse_fields(content_type, data)
