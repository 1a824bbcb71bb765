"""Where a page of a list ended, as an opaque string."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from scrivano.domain.errors import BadParameter

__all__ = ["Place", "format_cursor", "parse_cursor"]

# `created_at` and `id` of the last item of a page.
Place = tuple[datetime, str]


def format_cursor(place: Place) -> str:
    created_at, item_id = place
    return base64.urlsafe_b64encode(f"{created_at.isoformat()} {item_id}".encode()).decode().rstrip("=")


def parse_cursor(text: str | None) -> Place | None:
    """Raises `BadParameter`."""
    if not text:
        return None
    try:
        created_at, _, item_id = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition(" ")
        when = datetime.fromisoformat(created_at)
        if when.tzinfo is None:
            raise ValueError("a time without a zone")
        return when.astimezone(UTC), item_id
    except (ValueError, OverflowError) as error:
        raise BadParameter("cursor", "cursor must be the next_cursor of an earlier page") from error
