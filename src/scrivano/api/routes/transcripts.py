"""`/jobs/{id}/transcript`: a job's transcript as a file, in any format and shape, written anew at each call."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import Depends, Query, Response
from fastapi.responses import JSONResponse

from scrivano.api.routes.jobs import JobId
from scrivano.api.routing import Router
from scrivano.api.schemas import ErrorView
from scrivano.api.services import Services, ServicesDep
from scrivano.auth.keys import Scope
from scrivano.domain.errors import BadRequest, TranscriptNotReady
from scrivano.domain.job import Job, JobStatus
from scrivano.domain.transcript import Transcript, segment_from_dict
from scrivano.text.formats import FORMATS, render
from scrivano.text.shape import Shape, breaches, shape_of
from scrivano.text.subtitles import subtitles

__all__ = ["disposition", "router"]

router = Router(tag="jobs")

# Characters: in any script fewer than the 255 bytes that file systems allow.
LONGEST_NAME = 60

CHECKED = ("srt", "vtt", "lrc")


@dataclass(frozen=True, slots=True)
class _Limits:
    """The shape that a query asks for; a limit that it leaves out is the profile's."""

    profile: Annotated[
        Literal["netflix", "bbc", "youtube"] | None, Query(description="A set of limits; docs/formats.md lists them.")
    ] = None
    max_line_chars: Annotated[
        int | None, Query(ge=1, le=1000, description="42, or the profile's. A Chinese character counts as two.")
    ] = None
    max_lines: Annotated[int | None, Query(ge=1, le=10, description="2, or the profile's.")] = None
    max_cue_secs: Annotated[float | None, Query(gt=0, le=3600, description="7, or the profile's.")] = None
    min_cue_secs: Annotated[float | None, Query(ge=0, le=3600, description="1, or the profile's.")] = None
    max_chars_per_sec: Annotated[float | None, Query(ge=1, le=1000, description="17, or the profile's.")] = None

    def shape(self) -> Shape:
        limits = asdict(self)
        return shape_of(limits.pop("profile"), limits)


def _schema(media_type: str) -> dict[str, str]:
    return {"type": "object" if media_type == "application/json" else "string"}


@router.get(
    "/jobs/{job_id}/transcript",
    summary="A job's transcript as a file",
    response_class=Response,
    responses={
        200: {"content": {one.media_type: {"schema": _schema(one.media_type)} for one in FORMATS.values()}},
        400: {"model": ErrorView},
        404: {"model": ErrorView},
        409: {"model": ErrorView, "description": "The job is not done, or ended without a transcript."},
    },
)
@router.requires(Scope.READ)
def transcript(
    job_id: JobId,
    services: ServicesDep,
    limits: Annotated[_Limits, Depends()],
    format: Annotated[Literal["txt", "srt", "vtt", "tsv", "json", "verbose_json", "lrc"], Query()] = "txt",
    partial: Annotated[bool, Query(description="Of a job that is not done, what is known so far.")] = False,
    check: Annotated[bool, Query(description="Not the subtitles, but what in them breaks the limits.")] = False,
) -> Response:
    """Subtitles (`srt`, `vtt`, `lrc`) are shaped from the times of the words: cues that fit the limits, broken at
    sentences, then clauses, then words. The model is not needed."""
    shape = limits.shape()
    if check and format not in CHECKED:
        raise BadRequest(f"check=true is for format={', '.join(CHECKED)}")
    job, text = _transcript(services, job_id, partial)
    if check:
        return JSONResponse(_report(text, shape, limits.profile))
    return Response(
        render(text, format, shape),
        media_type=f"{FORMATS[format].media_type}; charset=utf-8",
        headers={
            "Content-Disposition": disposition(job.filename, job.id, FORMATS[format].extension),
            "X-Content-Type-Options": "nosniff",
        },
    )


def disposition(filename: str | None, fallback: str, extension: str) -> str:
    """A `Content-Disposition` that saves under the recording's name; `fallback` where that has nothing to show.

    No name leaves the folder, hides, or turns its letters around; RFC 6266 has both forms, for old and new clients.
    """
    name = _safe(PurePosixPath((filename or "").replace("\\", "/")).stem) or fallback
    plain = _safe(unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()) or fallback
    return f"attachment; filename=\"{plain}.{extension}\"; filename*=UTF-8''{quote(f'{name}.{extension}', safe='')}"


def _safe(name: str) -> str:
    """Without what a file system or a header may stumble over."""
    shown = "".join(char for char in name if unicodedata.category(char)[0] != "C")
    return re.sub(r'[<>:"/\\|?*%;\s]+', "_", shown)[:LONGEST_NAME].strip("._ ")


def _transcript(services: Services, job_id: str, partial: bool) -> tuple[Job, Transcript]:
    """Raises `TranscriptNotReady` where there is none (yet)."""
    # The chunks before the job: they go when it ends, and then there is its result.
    chunks = services.store.chunks(job_id) if partial else []
    job = services.store.get_job(job_id, owner=services.caller.sees)
    if job.status is JobStatus.DONE:
        segments = tuple(map(segment_from_dict, json.loads(services.store.get_result(job_id) or b"[]")))
    elif partial and not job.status.terminal:
        segments = services.runner.known_text(chunks, job.duration_secs or 0.0)
    else:
        raise TranscriptNotReady(job_id, job.status)
    return job, Transcript(
        language=job.language, duration=job.duration_secs or 0.0, segments=segments, task=job.task.value
    )


def _report(text: Transcript, shape: Shape, profile: str | None) -> dict[str, Any]:
    cues = subtitles(text.segments, shape)
    found = [asdict(breach) for breach in breaches(cues, shape)]
    return {"profile": profile, "limits": asdict(shape), "cues": len(cues), "breaches": found}
