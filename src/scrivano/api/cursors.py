"""Where a page of a list ended, as an opaque text."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from scrivano.domain.errors import BadParameter

__all__ = ["Place", "cursor", "parse_cursor"]

# When the last one of a page was created, and its id.
Place = tuple[datetime, str]


def cursor(place: Place) -> str:
    created_at, one_id = place
    return base64.urlsafe_b64encode(f"{created_at.isoformat()} {one_id}".encode()).decode().rstrip("=")


def parse_cursor(text: str | None) -> Place | None:
    """Raises `BadParameter`."""
    if not text:
        return None
    try:
        created_at, _, one_id = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition(" ")
        when = datetime.fromisoformat(created_at)
        if when.tzinfo is None:
            raise ValueError("a time without a zone")
        return when.astimezone(UTC), one_id
    except (ValueError, OverflowError) as error:
        raise BadParameter("cursor", "cursor must be the next_cursor of an earlier page") from error
