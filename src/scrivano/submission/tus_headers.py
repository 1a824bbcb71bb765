"""Parse the headers of the tus protocol for resumable uploads (https://tus.io). Pure."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass

from scrivano.domain.errors import BadRequest
from scrivano.submission.request_body import parse_size_bytes

__all__ = ["ALGORITHMS", "Checksum", "parse_checksum", "parse_metadata", "parse_number"]

ALGORITHMS = ("sha256", "sha1", "md5")

MAX_METADATA_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Checksum:
    """The checksum of one request's body. `algorithm` is one of `ALGORITHMS`."""

    algorithm: str
    digest: bytes


def parse_number(text: str, header: str) -> int:
    """`Upload-Length` or `Upload-Offset`. Raises `BadRequest`."""
    number = parse_size_bytes(text)
    if number is None:
        raise BadRequest(f"the header {header} must be a number of bytes")
    return number


def parse_checksum(text: str | None) -> Checksum | None:
    """`Upload-Checksum`: the algorithm, a space, and the digest in base64. Raises `BadRequest`."""
    if not text:
        return None
    algorithm, _, digest = text.strip().partition(" ")
    if algorithm not in ALGORITHMS:
        raise BadRequest(f"Upload-Checksum must name one of {', '.join(ALGORITHMS)}, and the digest in base64")
    try:
        return Checksum(algorithm, b64decode(digest, validate=True))
    except ValueError as error:
        raise BadRequest("the digest in Upload-Checksum must be base64") from error


def parse_metadata(text: str) -> dict[str, str]:
    """`Upload-Metadata`: pairs with commas between them; each is a name, a space, and the value in base64.

    Values are UTF-8; invalid bytes are replaced, as in a form. Raises `BadRequest`.
    """
    if len(text) > MAX_METADATA_BYTES:
        raise BadRequest(f"Upload-Metadata is longer than {MAX_METADATA_BYTES} bytes")
    fields: dict[str, str] = {}
    for pair in text.split(",") if text.strip() else ():
        name, _, value = pair.strip().partition(" ")
        try:
            decoded = b64decode(value, validate=True).decode(errors="replace")
        except ValueError as error:
            raise BadRequest(f"the value of '{name}' in Upload-Metadata must be base64") from error
        if not name or name in fields:
            raise BadRequest("Upload-Metadata must be pairs of a name and a value in base64, each name once")
        fields[name] = decoded
    return fields
