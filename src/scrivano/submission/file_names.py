"""The name of an uploaded file, in each of the encodings in which clients send it. Pure."""

from __future__ import annotations

import re
from email.header import decode_header, make_header
from email.message import Message
from urllib.parse import unquote

__all__ = ["parse_filename"]

# A parameter of a header: its name, and its value with or without quotes.
_PARAMETER = re.compile(r';\s*([^=;"\s]+)\s*=\s*("(?:\\.|[^"\\])*"|[^;]*)')

# A word of RFC 2047, as in the subject of a mail: `=?utf-8?Q?M=C3=BCnchen?=`.
_ENCODED_WORD = re.compile(r"=\?[^?\s]+\?[bq]\?[^?]*\?=", re.IGNORECASE)

# In browsers, only these characters are percent-encoded.
_FORM_ESCAPES = {"%22": '"', "%0D": "\r", "%0A": "\n"}


def parse_filename(disposition: bytes, plain: bytes | None) -> str | None:
    """The file name in a part's `Content-Disposition`; `plain`: its `filename`, without quotes.

    `filename*` (RFC 5987, and RFC 2231 in several pieces) comes first. RFC 7578 forbids it in forms, but clients send
    it, and always with the better name.
    """
    name = _extended(disposition.decode("latin-1"))
    if name is None and plain:
        name = _decoded(plain.decode(errors="replace"))
    return "".join(char for char in name if char.isprintable()) or None if name else None


def _extended(disposition: str) -> str | None:
    """The name in `filename*`; None if there is none, or it cannot be decoded."""
    extended = [
        f"{name}={value}" for name, value in _PARAMETER.findall(disposition) if name.lower().startswith("filename*")
    ]
    if not extended:
        return None
    message = Message()
    message["Content-Disposition"] = "; ".join(["form-data", *extended])
    try:
        return message.get_filename()
    except (ValueError, LookupError):
        return None


def _decoded(name: str) -> str:
    if _ENCODED_WORD.search(name):
        try:
            return str(make_header(decode_header(name)))
        except (ValueError, LookupError):
            return name
    return _unquoted(name)


def _unquoted(name: str) -> str:
    """A name that contains spaces or other characters that percent-encoding replaces was not encoded as a whole."""
    if not name.isascii() or " " in name:
        return re.sub("%22|%0D|%0A", lambda escape: _FORM_ESCAPES[escape[0].upper()], name, flags=re.IGNORECASE)
    try:
        return unquote(name, errors="strict")
    except ValueError:
        return name
