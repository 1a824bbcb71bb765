"""`/webhooks`: what became of webhook calls, making them again, and trying a receiver."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit, urlunsplit

from fastapi import Path, Query
from pydantic import BaseModel, Field

from scrivano.api.cursors import cursor as cursor_of
from scrivano.api.cursors import parse_cursor
from scrivano.api.routing import Router
from scrivano.api.schemas import DeliveryListView, DeliveryView, ErrorView, TestedView
from scrivano.api.services import ServicesDep
from scrivano.auth.keys import Scope
from scrivano.domain.errors import BadParameter
from scrivano.domain.job import utc
from scrivano.store.outbox import Delivery, DeliveryStatus
from scrivano.submission.form_fields import parse_http_url

router = Router(tag="webhooks", prefix="/webhooks")

MAX_LISTED = 200


class TestBody(BaseModel):
    url: str = Field(
        max_length=8192, description="An http:// or https:// URL.", examples=["https://example.com/hooks/scrivano"]
    )


@router.get(
    "/deliveries",
    summary="Webhook deliveries, newest first",
    response_model=DeliveryListView,
    responses={400: {"model": ErrorView}},
)
@router.requires(Scope.READ)
def list_deliveries(
    services: ServicesDep,
    status: Annotated[DeliveryStatus | None, Query(description="Only deliveries of this status.")] = None,
    job_id: Annotated[str | None, Query(description="Only those of this job.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LISTED, description="At most so many.")] = 50,
    cursor: Annotated[str | None, Query(description="Go on where the page with this `next_cursor` ended.")] = None,
) -> dict[str, Any]:
    """What was sent where, how often it was tried, and when it is tried next."""
    place, owner = parse_cursor(cursor), services.caller.sees
    found = services.outbox.newest(limit + 1, status=status, job_id=job_id, before=place, owner=owner)
    last = found[limit - 1] if len(found) > limit else None
    return {
        "deliveries": [_view(one) for one in found[:limit]],
        "next_cursor": last and cursor_of((last.created_at, last.id)),
    }


@router.post(
    "/deliveries/{delivery_id}/redeliver",
    status_code=202,
    summary="Make a delivery again",
    response_model=DeliveryView,
    responses={
        404: {"model": ErrorView},
        409: {"model": ErrorView, "description": "Its job is being tried again and has nothing to tell yet."},
    },
)
@router.requires(Scope.ADMIN)
def redeliver(
    services: ServicesDep,
    delivery_id: Annotated[
        str, Path(description="Its id.", examples=["msg_6f9619ff-8b86-4d01-b42d-00cf4fc964ff"], max_length=128)
    ],
) -> dict[str, Any]:
    """At once, with all of its attempts anew, whatever became of it. Its id stays, by which a receiver knows it."""
    return _view(services.outbox.redeliver(delivery_id))


@router.post(
    "/test",
    summary="Try a receiver",
    response_model=TestedView,
    responses={400: {"model": ErrorView, "description": "That is no URL that could be called."}},
)
@router.requires(Scope.ADMIN)
async def test(services: ServicesDep, body: TestBody) -> dict[str, Any]:
    """Post `{"type": "test", "sent_at"}` there, signed and guarded as all webhooks are, once, and say what came back.

    The answer is 200 whatever the receiver did: `delivered` tells.
    """
    url = parse_http_url(body.url, "url")
    if url is None:
        raise BadParameter("url", "url must be an http:// or https:// URL")
    outcome = await services.webhooks.test(url)
    return {
        "delivered": outcome.failure is None,
        "status_code": outcome.status,
        "error": outcome.failure.error if outcome.failure else None,
        "duration_ms": round(outcome.duration_s * 1000),
    }


def _view(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "url": redacted(delivery.url),
        "kind": delivery.kind,
        "job_id": delivery.job_id,
        "status": delivery.status.value,
        "attempts": delivery.attempts,
        "next_attempt_at": utc(delivery.next_attempt_at) if delivery.status is DeliveryStatus.PENDING else None,
        "last_error": delivery.last_error,
        "last_status_code": delivery.last_status,
        "created_at": utc(delivery.created_at),
        "attempted_at": delivery.attempted_at and utc(delivery.attempted_at),
        "delivered_at": delivery.delivered_at and utc(delivery.delivered_at),
    }


def redacted(url: str) -> str:
    """Without what may be a secret: the password and the user, and what the query says."""
    parts = urlsplit(url)
    host = ("***@" if "@" in parts.netloc else "") + parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "***" if parts.query else "", ""))
