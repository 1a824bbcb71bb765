"""Pages of lists, and where each ended, as an opaque string."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from scrivano.domain.errors import BadParameter

__all__ = ["Place", "cut_page", "parse_cursor"]

# `created_at` and `id` of the last item of a page.
Place = tuple[datetime, str]


class Listed(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def created_at(self) -> datetime: ...


Item = TypeVar("Item", bound=Listed)


def cut_page(found: Sequence[Item], limit: int) -> tuple[Sequence[Item], str | None]:
    """A page, and the cursor of the next one, if there is one. `found`: up to one item more than the page may have."""
    page = found[:limit]
    return page, _format_cursor(page[-1].created_at, page[-1].id) if len(found) > limit else None


def _format_cursor(created_at: datetime, item_id: str) -> str:
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
