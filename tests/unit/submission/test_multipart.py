"""Forms as bytes, cut at every place, because a network cuts them anywhere."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrivano.domain.errors import BadRequest, MultipartError
from scrivano.submission.multipart import (
    MAX_FIELD_BYTES,
    MAX_FIELDS_BYTES,
    MAX_LONG_VALUES,
    MAX_PARTS,
    Form,
    FormParser,
)

CONTENT_TYPE = "multipart/form-data; boundary=b"


def field(name: str, value: bytes) -> bytes:
    return b'--b\r\nContent-Disposition: form-data; name="' + name.encode() + b'"\r\n\r\n' + value + b"\r\n"


def file(data: bytes, name: str = "audio", filename: str = "a.wav") -> bytes:
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
    return head.encode() + b"Content-Type: audio/wav\r\n\r\n" + data + b"\r\n"


END = b"--b--\r\n"
FORM = field("language", b"de") + file(b"RIFF\r\n--\r\n-") + field("language", b"en") + field("prompt", b"\xff") + END


def parsed(*pieces: bytes, content_type: str = CONTENT_TYPE) -> tuple[Form, bytes]:
    data = bytearray()
    parser = FormParser(content_type, "audio", data.extend)
    for piece in pieces:
        parser.write(piece)
    return parser.finish(), bytes(data)


@given(st.lists(st.integers(0, len(FORM)), max_size=8))
def test_a_form_is_the_same_wherever_it_is_cut(places: list[int]) -> None:
    ends = [*sorted(places), len(FORM)]
    form, data = parsed(*(FORM[a:b] for a, b in zip([0, *ends], ends, strict=False)))

    assert data == b"RIFF\r\n--\r\n-"
    assert form.fields.values == {"language": ["de", "en"], "prompt": ["\N{REPLACEMENT CHARACTER}"]}
    assert (form.has_file, form.file_bytes, form.filename) == (True, len(data), "a.wav")


def test_what_has_arrived_is_known_before_the_end() -> None:
    parser = FormParser(CONTENT_TYPE, "audio", lambda data: None)

    parser.write(field("language", b"de") + file(b"RIFF")[:-2])

    assert parser.form.fields.last("language") == "de"
    assert parser.form.has_file
    assert parser.form.file_bytes > 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (END, "missing 'audio' field"),
        (field("language", b"de") + END, "missing 'audio' field"),
        (file(b"RIFF", name="sound") + END, "missing 'audio' field"),
        (file(b"") + END, "audio field is empty"),
    ],
)
def test_a_form_without_a_recording_is_refused(body: bytes, message: str) -> None:
    form, _ = parsed(body)

    with pytest.raises(BadRequest, match=message):
        form.check_file("audio")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (FORM[:-9], "ends before its closing boundary"),
        (b"", "ends before its closing boundary"),
        (b"nonsense", "multipart error: "),
        (file(b"a") + file(b"b") + END, "more than one 'audio' field"),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + END, "a part has no name"),
        (field("prompt", bytes(MAX_FIELD_BYTES + 1)) + END, "field 'prompt' is longer than"),
        (field("prompt", bytes(MAX_FIELD_BYTES)) * (MAX_FIELDS_BYTES // MAX_FIELD_BYTES + 1), "together longer than"),
        (field("prompt", b"") * (MAX_PARTS + 1), f"more than {MAX_PARTS} fields"),
    ],
)
def test_a_form_that_cannot_be_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(MultipartError, match=message):
        parsed(body)


@pytest.mark.parametrize(
    ("content_type", "message"),
    [
        ("", "the request has no Content-Type: send multipart/form-data with the recording in 'audio'"),
        ("application/json", "the body is application/json: send multipart/form-data with the recording in 'audio'"),
        ("text/plain; boundary=b", "the body is text/plain: send multipart/form-data"),
        ("multipart/form-data", "the Content-Type has no boundary: do not set this header yourself"),
    ],
)
def test_another_content_type_is_refused_with_what_to_send(content_type: str, message: str) -> None:
    with pytest.raises(MultipartError, match=f"^multipart error: {message}"):
        parsed(FORM, content_type=content_type)


@pytest.mark.parametrize("size_bytes", [4, MAX_FIELD_BYTES + 1, 3 * MAX_FIELDS_BYTES])
def test_a_recording_in_another_field_is_named_and_its_bytes_are_not_those_of_a_field(size_bytes: int) -> None:
    form, data = parsed(file(bytes(size_bytes), name="file"), field("language", b"de"), END)

    with pytest.raises(BadRequest) as refused:
        form.check_file("audio")
    assert str(refused.value) == (
        "missing 'audio' field: the recording belongs in 'audio'; this request has it in 'file'"
    )
    assert (form.fields.last("language"), data) == ("de", b"")


def test_a_recording_without_a_file_name_is_known_by_its_type() -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="sound"\r\nContent-Type: audio/mpeg\r\n\r\n'
    form, _ = parsed(head + bytes(MAX_FIELD_BYTES + 1) + b"\r\n" + END)

    assert form.misplaced == "sound"


def test_a_second_file_beside_the_recording_is_ignored_and_a_short_one_is_a_value() -> None:
    form, data = parsed(
        file(b"de", name="language", filename="blob"), file(b"RIFF"), file(bytes(2_000_000), name="x"), END
    )

    form.check_file("audio")
    assert (form.fields.last("language"), data) == ("de", b"RIFF")


def test_a_boundary_that_is_too_long_is_an_error_of_the_form() -> None:
    with pytest.raises(MultipartError, match=r"^multipart error: "):
        parsed(FORM, content_type=f"multipart/form-data; boundary={'b' * 60_000}")


LONG = {"sample": 2 * MAX_FIELDS_BYTES}


def with_long_fields(*pieces: bytes) -> Form:
    parser = FormParser(CONTENT_TYPE, "audio", bytearray().extend, LONG)
    for piece in pieces:
        parser.write(piece)
    return parser.finish()


@pytest.mark.parametrize("name", ["sample", "sample[]", "sample[0]"])
def test_some_fields_may_be_long(name: str) -> None:
    value = b"x" * LONG["sample"]

    form = with_long_fields(field(name, value), field("language", b"de"), file(b"RIFF"), END)

    assert form.fields.last(name) == value.decode()
    assert form.fields.last("language") == "de"


def test_long_fields_have_limits_too() -> None:
    with pytest.raises(MultipartError, match="'sample' is longer than"):
        with_long_fields(field("sample", b"x" * (LONG["sample"] + 1)), END)
    with pytest.raises(MultipartError, match=f"more than {MAX_LONG_VALUES} values of 'sample'"):
        with_long_fields(*[field("sample[]", b"x")] * (MAX_LONG_VALUES + 1), END)
    with pytest.raises(MultipartError, match="longer than"):
        with_long_fields(field("prompt", b"x" * (MAX_FIELD_BYTES + 1)), END)


@pytest.mark.parametrize(
    "text", ["talk.mp3", "/home/ada/talk.mp3", "https://files.example.org/talk.mp3", "Kaffeepause ☕"]
)
def test_the_name_of_a_file_in_place_of_the_file_is_explained(text: str) -> None:
    form, data = parsed(field("audio", text.encode()) + END)

    assert data == text.encode()
    with pytest.raises(
        BadRequest, match=re.escape(f"audio is the text {text!r}, not a recording: send the file itself")
    ):
        form.check_file("audio")


@pytest.mark.parametrize(
    "part",
    [
        file(b"a short file"),
        field("audio", b"RIFF\x00\x00"),
        field("audio", b"\xff\xfb\x90"),
        field("audio", b"x" * 1025),
        field("audio", b"x").replace(b"\r\n\r\n", b"\r\nContent-Type: audio/wav\r\n\r\n", 1),
    ],
)
def test_whatever_may_be_a_recording_is_one(part: bytes) -> None:
    form, _ = parsed(part + END)

    form.check_file("audio")


@pytest.mark.parametrize("content_type", ["", "text/plain", "multipart/form-data"])
def test_a_form_without_a_recording_is_not_asked_for_one(content_type: str) -> None:
    with pytest.raises(MultipartError, match="send the fields as multipart/form-data, as curl -F NAME=VALUE does"):
        FormParser(content_type, None, lambda data: None)
