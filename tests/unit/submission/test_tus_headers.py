from __future__ import annotations

from base64 import b64encode

import pytest

from scrivano.domain.errors import BadRequest, ScrivanoError
from scrivano.submission.tus_headers import Checksum, parse_checksum, parse_metadata, parse_number


def test_metadata_are_names_and_values() -> None:
    def encoded(text: str) -> str:
        return b64encode(text.encode()).decode()

    assert parse_metadata("") == {}
    assert parse_metadata(f"filename {encoded('größe, 1.wav')}, language {encoded('de')},flag") == {
        "filename": "größe, 1.wav",
        "language": "de",
        "flag": "",
    }
    assert parse_metadata("a /w==") == {"a": "\N{REPLACEMENT CHARACTER}"}


@pytest.mark.parametrize("text", ["a b", "a é", ",", "a AAAA,", "a AAAA,a AAAA", "a " + "A" * 70_000])
def test_metadata_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="Upload-Metadata"):
        parse_metadata(text)


def test_a_checksum_is_an_algorithm_and_a_digest() -> None:
    assert parse_checksum(None) is None
    assert parse_checksum("sha1 AAAA") == Checksum("sha1", b"\0\0\0")


@pytest.mark.parametrize("text", ["sha512 AAAA", "SHA1 AAAA", "sha1 A", "sha1 é", " "])
def test_a_checksum_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ScrivanoError, match="Upload-Checksum"):
        parse_checksum(text)


def test_a_number_is_digits_that_every_database_can_store() -> None:
    assert parse_number("0", "Upload-Offset") == 0
    assert parse_number("9" * 18, "Upload-Offset") == 10**18 - 1


@pytest.mark.parametrize("text", ["", "-1", "1.5", " 1", "\u0663", "9" * 19])
def test_any_other_number_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="Upload-Offset must be a number"):
        parse_number(text, "Upload-Offset")
