"""Parse the text fields of a form: each kind of value is understood in the same way by every protocol. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from scrivano.domain.errors import BadParameter, BadRequest

__all__ = ["MAX_BEAM_SIZE", "MAX_TEMPERATURE", "FormFields", "parse_http_url"]

MAX_BEAM_SIZE = 10
MAX_TEMPERATURE = 1.0

TRUE = ("1", "true", "yes", "on")
FALSE = ("0", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class FormFields:
    """`values`: for each field name its values, in the order in which they were sent."""

    values: Mapping[str, Sequence[str]]

    def last(self, name: str) -> str | None:
        """The last value exactly as it was sent; None if the field is missing."""
        values = self.values.get(name)
        return values[-1] if values else None

    def text(self, name: str) -> str | None:
        """The last value without surrounding spaces; None if it is missing or blank.

        Blank counts as missing because many clients send the fields that their user left empty.
        """
        return (self.last(name) or "").strip() or None

    def array(self, name: str) -> list[str]:
        """All values of an array field.

        Clients write arrays as `name[]` (openai-python), as `name`, as `name[0]`, and as one value with commas.
        """
        return [item for item in self.places(name) if item]

    def places(self, name: str) -> list[str]:
        """The same where the place of a value matters: one that was left out is blank."""
        return [item.strip() for value in self._all(name) for item in value.split(",")]

    def sent(self, name: str) -> list[str]:
        """All values of an array field, not divided at commas."""
        return [value.strip() for value in self._all(name) if value.strip()]

    def _all(self, name: str) -> list[str]:
        spelling = re.compile(re.escape(name) + r"(\[\d*\])?")
        return [value for key, values in self.values.items() if spelling.fullmatch(key) for value in values]

    def flag(self, name: str) -> bool | None:
        """None if the field is missing or blank. Raises `BadParameter` for any other word."""
        text = self.text(name)
        if text is None or text.lower() in TRUE + FALSE:
            return None if text is None else text.lower() in TRUE
        raise BadParameter(name, f"{name} must be 'true' or 'false', not '{text}'")

    def is_true(self, name: str) -> bool:
        """As `flag`, but any other word means false."""
        return (self.text(name) or "").lower() in TRUE

    def number(self, name: str) -> float | None:
        """Any finite number; None if the field is missing or blank. Raises `BadParameter`."""
        if (text := self.text(name)) is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise BadParameter(name, f"{name} must be a number")
        return value

    def temperature(self) -> float | None:
        """From 0 to 1; None if the field is missing or blank. Raises `BadParameter`."""
        text = self.text("temperature")
        try:
            value = self.number("temperature")
        except BadParameter:
            value = math.nan
        if value is not None and not 0 <= value <= MAX_TEMPERATURE:
            raise BadParameter("temperature", f"temperature must be a number from 0 to 1, not '{text}'")
        return value

    def beam_size(self) -> int | None:
        """From 1 to `MAX_BEAM_SIZE`; None if the field is missing or blank. Raises `BadParameter`."""
        return self.count("beam_size", MAX_BEAM_SIZE)

    def count(self, name: str, most: int) -> int | None:
        """A whole number from 1 to `most` (at most 999); None if the field is missing or blank. Raises
        `BadParameter`."""
        text = self.text(name)
        if text is None:
            return None
        # `isdigit` alone would let digits of other scripts through, and `int` alone signs and underscores.
        if not (text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= most):
            raise BadParameter(name, f"{name} must be a whole number from 1 to {most}")
        return int(text)


def parse_http_url(text: str | None, field: str) -> str | None:
    """The URL as it was sent; None if it is missing or empty. Raises `BadRequest` if no server can be called by it."""
    if not text:
        return None
    try:
        parts = urlsplit(text)
        # Port 0 is valid in a URL, but nothing can listen there.
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise BadRequest(f"{field} must be an http:// or https:// URL")
    return text
