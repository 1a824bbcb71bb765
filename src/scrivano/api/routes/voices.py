"""`/voices`: voices that people have enrolled, so that speakers get their names."""

from __future__ import annotations

from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import Path, Response

from scrivano.api.documentation import VOICE_BODY, errors
from scrivano.api.request_body import BodyDep
from scrivano.api.routing import Router
from scrivano.api.schemas import ErrorResponse, VoiceListResponse, VoiceResponse
from scrivano.api.services import CallerDep, EnrolmentDep, StoreDep
from scrivano.auth.keys import Scope
from scrivano.domain.errors import VoicesOff
from scrivano.store.voices import EnrolledVoice

router = Router(tag="voices")

_REFUSED: dict[int | str, dict[str, Any]] = {
    403: {"model": ErrorResponse, "description": "The server keeps no voices (VOICES), or the key may not do this."},
    409: {"model": ErrorResponse, "description": "The key has too many voices."},
}


@router.post(
    "/voices",
    status_code=201,
    summary="Enrol a voice",
    response_model=VoiceResponse,
    responses={**errors(400, 413, 429, 503, 507), **_REFUSED},
    openapi_extra={"requestBody": VOICE_BODY},
)
@router.requires(Scope.SUBMIT, takes_recording=True)
async def enrol(body: BodyDep, enrolment: EnrolmentDep, caller: CallerDep) -> Response:
    """5 to 30 seconds of one person alone. Only a vector of the voice is kept, with the name, for the API key of the
    request; the sample is deleted. Jobs with `voices=true` give speakers who sound like it this name.

    A voice is biometric data: ask the person first."""
    if enrolment is None:
        raise VoicesOff
    return _shown(await enrolment.enrol(body, caller)).response(201)


@router.get("/voices", summary="List the enrolled voices", response_model=VoiceListResponse)
@router.requires(Scope.READ, Scope.SUBMIT)
async def list_voices(store: StoreDep, caller: CallerDep) -> Response:
    """Those of the API key of the request. An admin key sees those of all keys, also of keys that were revoked."""
    all_keys = caller.sees is None
    voices = await run_sync(store.all_voices) if all_keys else await run_sync(store.voices, caller.owner)
    return VoiceListResponse(voices=[_shown(voice) for voice in voices]).response()


@router.delete("/voices/{voice_id}", status_code=204, summary="Delete a voice", responses=errors(404, 507))
@router.requires(Scope.SUBMIT)
async def delete_voice(
    voice_id: Annotated[str, Path(max_length=64, description="The id of a voice.")], store: StoreDep, caller: CallerDep
) -> Response:
    """Its vector is deleted with it. Names that transcripts have got from it stay."""
    await run_sync(store.delete_voice, voice_id, caller.sees)
    return Response(status_code=204)


def _shown(voice: EnrolledVoice) -> VoiceResponse:
    return VoiceResponse(id=voice.id, name=voice.name, owner=voice.owner, created_at=voice.created_at)
