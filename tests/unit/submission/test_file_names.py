"""File names as clients send them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrivano.submission.file_names import parse_filename
from scrivano.submission.multipart import FormParser

NAME = "Gespräch in München.wav"


def name_in(disposition: str) -> str | None:
    """As a part's header says it."""
    parser = FormParser("multipart/form-data; boundary=b", "audio", lambda data: None)
    head = f'--b\r\nContent-Disposition: form-data; name="audio"; {disposition}\r\n\r\n'
    parser.write(head.encode() + b"RIFF\r\n--b--\r\n")
    return parser.finish().filename


@pytest.mark.parametrize(
    "disposition",
    [
        f'filename="{NAME}"',
        f"filename={NAME}",
        "filename*=UTF-8''Gespr%C3%A4ch%20in%20M%C3%BCnchen.wav",
        "filename*=\"utf-8''Gespr%C3%A4ch%20in%20M%C3%BCnchen.wav\"",
        "filename*=iso-8859-1'de'Gespr%E4ch%20in%20M%FCnchen.wav",
        "filename*0*=UTF-8''Gespr%C3%A4ch%20in; filename*1*=%20M%C3%BCnchen.wav",
        "filename=\"Gesprach.wav\"; filename*=UTF-8''Gespr%C3%A4ch%20in%20M%C3%BCnchen.wav",
        "filename*=UTF-8''Gespr%C3%A4ch%20in%20M%C3%BCnchen.wav; filename=\"Gesprach.wav\"",
        'filename="Gespr%C3%A4ch%20in%20M%C3%BCnchen.wav"',
        'filename="=?UTF-8?Q?Gespr=C3=A4ch_in_M=C3=BCnchen.wav?="',
        'filename="=?utf-8?b?R2VzcHLDpGNoIGluIE3DvG5jaGVuLndhdg==?="',
        'filename="=?iso-8859-1?Q?Gespr=E4ch_in_M=FCnchen.wav?="',
    ],
)
def test_the_name_is_decoded_however_it_is_encoded(disposition: str) -> None:
    assert name_in(disposition) == NAME


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('filename="100%.wav"', "100%.wav"),
        ('filename="50% off %20.wav"', "50% off %20.wav"),
        ('filename="a%FFb.wav"', "a%FFb.wav"),
        ('filename="say %22hi%22 ü.wav"', 'say "hi" ü.wav'),
        ("filename=\"a; filename*=UTF-8''b.wav\"", "a; filename*=UTF-8''b.wav"),
        ('filename="=?unknown?Q?a?="', "=?unknown?Q?a?="),
        ('filename="a%00b%0Ac.wav"', "abc.wav"),
        ('filename="C:\\\\Users\\\\me\\\\a.wav"', "a.wav"),
        ('filename=""', None),
        ("x=y", None),
    ],
)
def test_what_is_no_encoding_stays(disposition: str, name: str | None) -> None:
    assert name_in(disposition) == name


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_header_has_a_printable_name_or_none(disposition: bytes, plain: bytes) -> None:
    for header in (disposition, b"form-data; filename*=" + disposition, b"form-data; filename*0*=" + disposition):
        name = parse_filename(header, plain)
        assert name is None or (name and name.isprintable())
