"""`/webhooks`: list deliveries, repeat one, test a receiver."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

from fastapi import Path, Query, Response
from pydantic import BaseModel, Field

from scrivano.api.cursors import cut_page, parse_cursor
from scrivano.api.routing import Router
from scrivano.api.schemas import (
    EXAMPLE_JOB_ID,
    DeliveryListResponse,
    DeliveryResponse,
    ErrorResponse,
    WebhookTestResponse,
)
from scrivano.api.services import CallerDep, OutboxDep, WebhooksDep
from scrivano.auth.keys import Scope
from scrivano.domain.errors import BadParameter
from scrivano.store.outbox import Delivery, DeliveryStatus
from scrivano.submission.form_fields import parse_http_url

router = Router(tag="webhooks", prefix="/webhooks")

MAX_PAGE = 200


class TestBody(BaseModel):
    url: str = Field(
        max_length=8192, description="An http:// or https:// URL.", examples=["https://example.com/hooks/scrivano"]
    )


@router.get(
    "/deliveries",
    summary="Webhook deliveries, newest first",
    response_model=DeliveryListResponse,
    responses={400: {"model": ErrorResponse}},
)
@router.requires(Scope.READ)
def list_deliveries(
    outbox: OutboxDep,
    caller: CallerDep,
    status: Annotated[DeliveryStatus | None, Query(description="Only deliveries with this status.")] = None,
    job_id: Annotated[str | None, Query(description="Only deliveries of this job.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="The largest number of deliveries to return.")] = 50,
    cursor: Annotated[str | None, Query(description="Continue after the page with this `next_cursor`.")] = None,
) -> Response:
    """Where each was sent, how often it was tried, and when it is tried next."""
    before = parse_cursor(cursor)
    found = outbox.newest(limit + 1, status=status, job_id=job_id, before=before, owner=caller.sees)
    page, next_cursor = cut_page(found, limit)
    deliveries = [_delivery_response(delivery) for delivery in page]
    return DeliveryListResponse(deliveries=deliveries, next_cursor=next_cursor).response()


@router.post(
    "/deliveries/{delivery_id}/redeliver",
    status_code=202,
    summary="Make a delivery again",
    response_model=DeliveryResponse,
    responses={
        404: {"model": ErrorResponse},
        409: {"model": ErrorResponse, "description": "Its job is being tried again and has no result to send yet."},
    },
)
@router.requires(Scope.ADMIN)
def redeliver(
    outbox: OutboxDep,
    delivery_id: Annotated[str, Path(description="Its id.", examples=[f"msg_{EXAMPLE_JOB_ID}"], max_length=128)],
) -> Response:
    """At once, in any state, with all attempts again. It has the same id, by which a receiver recognises it."""
    return _delivery_response(outbox.redeliver(delivery_id)).response(202)


@router.post(
    "/test",
    summary="Test a receiver",
    response_model=WebhookTestResponse,
    responses={400: {"model": ErrorResponse, "description": "This is not a URL that can be called."}},
)
@router.requires(Scope.ADMIN)
async def test(webhooks: WebhooksDep, body: TestBody) -> Response:
    """Post `{"type": "test", "sent_at"}` to the URL once, signed and guarded like all webhooks, and return the outcome.

    The response is 200 whatever the receiver did; `delivered` says whether it worked.
    """
    url = parse_http_url(body.url, "url")
    if url is None:
        raise BadParameter("url", "url must be an http:// or https:// URL")
    outcome = await webhooks.test(url)
    return WebhookTestResponse(
        delivered=outcome.failure is None,
        status_code=outcome.status,
        error=outcome.failure.error if outcome.failure else None,
        duration_ms=round(outcome.duration_s * 1000),
    ).response()


def _delivery_response(delivery: Delivery) -> DeliveryResponse:
    return DeliveryResponse(
        id=delivery.id,
        url=redacted(delivery.url),
        kind=delivery.kind,
        job_id=delivery.job_id,
        status=delivery.status.value,
        attempts=delivery.attempts,
        next_attempt_at=delivery.next_attempt_at if delivery.status is DeliveryStatus.PENDING else None,
        last_error=delivery.last_error,
        last_status_code=delivery.last_status,
        created_at=delivery.created_at,
        attempted_at=delivery.attempted_at,
        delivered_at=delivery.delivered_at,
    )


def redacted(url: str) -> str:
    """The URL without the parts that may be secret: user, password and query."""
    parts = urlsplit(url)
    host = ("***@" if "@" in parts.netloc else "") + parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "***" if parts.query else "", ""))
