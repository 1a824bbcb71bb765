"""`/stream-tokens`: tokens for URLs that a browser opens without headers."""

from __future__ import annotations

from anyio.to_thread import run_sync
from fastapi import Response
from pydantic import BaseModel, Field

from scrivano.api.documentation import errors
from scrivano.api.routing import Router
from scrivano.api.schemas import EXAMPLE_JOB_ID, StreamTokenResponse
from scrivano.api.services import CallerDep, StoreDep, StreamTokensDep
from scrivano.auth.keys import Scope
from scrivano.auth.stream_tokens import DEFAULT_LIFE_S, MAX_LIFE_S, MIN_LIFE_S

router = Router(tag="streams")


class StreamTokenBody(BaseModel):
    job_id: str | None = Field(
        default=None,
        description="The job that the token is for. Absent: the token is for the model's events.",
        examples=[EXAMPLE_JOB_ID],
    )
    expires_in_secs: int = Field(
        default=DEFAULT_LIFE_S, ge=MIN_LIFE_S, le=MAX_LIFE_S, description="How long it is accepted."
    )


@router.post(
    "/stream-tokens",
    status_code=201,
    summary="A token for the URL of a stream",
    response_model=StreamTokenResponse,
    responses=errors(404),
)
@router.requires(Scope.READ, Scope.SUBMIT)
async def create_token(
    store: StoreDep, tokens: StreamTokensDep, caller: CallerDep, body: StreamTokenBody | None = None
) -> Response:
    """Browsers' `EventSource`, `<audio>` and `<video>` send no headers, and an API key must not be in a URL. A token in
    the query (`?token=`) stands for the key: for `/jobs/{id}/stream` and `/jobs/{id}/audio` of one job, or for
    `/model/events`.

    It is checked when a response starts; a stream that is open stays open. It ends with its key, and with the server.
    """
    asked = body or StreamTokenBody()
    paths = "/model/events"
    if asked.job_id is not None:
        job = await run_sync(lambda: store.get_job(asked.job_id or "", owner=caller.sees))
        paths = f"/jobs/{job.id}/"
    token = tokens.issue(caller.owner or "", paths, asked.expires_in_secs)
    response = StreamTokenResponse(token=token.text, expires_at=token.expires_at)
    return response.response(201, {"Cache-Control": "no-store"})
