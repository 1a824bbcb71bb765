"""`/jobs/{id}/audio`: the recording as it was sent, as long as it is kept."""

from __future__ import annotations

import mimetypes
import os
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import Header
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send

from scrivano.api.routes.jobs import JobId
from scrivano.api.routes.transcripts import disposition
from scrivano.api.routing import Router
from scrivano.api.schemas import ErrorView
from scrivano.api.services import Services, ServicesDep
from scrivano.auth.keys import Scope as KeyScope
from scrivano.domain.errors import AudioGone
from scrivano.domain.job import Job

router = Router(tag="jobs")


@router.head("/jobs/{job_id}/audio", include_in_schema=False)
@router.get(
    "/jobs/{job_id}/audio",
    summary="A job's recording",
    response_class=Response,
    responses={
        200: {"content": {"audio/*": {}, "video/*": {}, "application/octet-stream": {}}},
        206: {"description": "The part that the header `Range` asked for."},
        404: {"model": ErrorView, "description": "No such job, or its recording is not kept."},
        416: {"model": ErrorView, "description": "The recording has no such part."},
    },
)
@router.requires(KeyScope.READ)
async def audio(
    job_id: JobId,
    services: ServicesDep,
    asked: Annotated[
        str | None, Header(alias="Range", description="Only these bytes.", examples=["bytes=0-999"])
    ] = None,
) -> Response:
    """While the job is not done; afterwards with `KEEP_AUDIO=true`, and of failed jobs. Players may seek in it."""
    job, file = await run_sync(_kept, services, job_id)
    size_bytes = os.fstat(file).st_size
    if asked is not None and not _has(asked, size_bytes):
        os.close(file)
        message = f"the recording has {size_bytes} bytes; ask for a part of it, as 'Range: bytes=0-999' does"
        return JSONResponse({"error": message}, 416, {"Content-Range": f"bytes */{size_bytes}"})
    path = PurePosixPath(job.filename or "")
    return OpenFileResponse(
        file,
        media_type=_media_type(path.name),
        headers={
            "Content-Disposition": disposition(job.filename, job.id, _extension(path)),
            "X-Content-Type-Options": "nosniff",
        },
    )


class OpenFileResponse(FileResponse):
    """Serves, and closes, a file that is open already: it may be deleted meanwhile, and is sent whole all the same."""

    def __init__(self, file: int, *, media_type: str, headers: Mapping[str, str]) -> None:
        super().__init__(f"/dev/fd/{file}", stat_result=os.fstat(file), media_type=media_type, headers=headers)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            os.close(self._file)


def _kept(services: Services, job_id: str) -> tuple[Job, int]:
    """The job and its open recording. Raises `JobNotFound`, `AudioGone`."""
    job = services.store.get_job(job_id, owner=services.caller.sees)
    try:
        return job, os.open(services.blobs.path(job_id), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise AudioGone(job_id) from error


def _has(asked: str, size_bytes: int) -> bool:
    """Whether all parts that a `Range` header asks for are there; `FileResponse` refuses others in plain text."""
    parts = [_PART.fullmatch(part.strip()) for part in asked.removeprefix("bytes=").split(",")]
    return asked.startswith("bytes=") and all(part and _is_there(part[1], part[2], size_bytes) for part in parts)


def _is_there(first: str, last: str, size_bytes: int) -> bool:
    """`first` empty: the last so many bytes. `last` empty: to the end."""
    if not first:
        return bool(last) and int(last) > 0
    return int(first) < size_bytes and (not last or int(first) <= int(last))


_PART = re.compile(r"(\d{0,18})-(\d{0,18})", re.ASCII)


def _media_type(name: str) -> str:
    """By the name's extension, but never one that a browser would run."""
    guessed = mimetypes.guess_type(name)[0] or ""
    return guessed if guessed.startswith(("audio/", "video/")) else "application/octet-stream"


def _extension(path: PurePosixPath) -> str:
    given = path.suffix[1:]
    return given.lower() if given.isascii() and given.isalnum() and len(given) <= 8 else "bin"
