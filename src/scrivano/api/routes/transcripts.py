"""`/jobs/{id}/transcript`: a job's transcript as a file. It is rendered at each request, so the model is not needed."""

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
from scrivano.api.schemas import ErrorResponse
from scrivano.api.services import CallerDep, StoreDep
from scrivano.auth.keys import Caller, Scope
from scrivano.domain.errors import BadRequest, TranscriptNotReady
from scrivano.domain.job import Job, JobStatus
from scrivano.domain.transcript import Transcript, segment_from_dict
from scrivano.running.stored_text import known_text
from scrivano.store.jobs import JobStore
from scrivano.text.formats import FORMATS, render
from scrivano.text.shape import Shape, breaches, shape_of
from scrivano.text.subtitles import subtitles

__all__ = [
    "RESPONSES",
    "CheckParameter",
    "FormatParameter",
    "Limits",
    "PartialParameter",
    "disposition",
    "router",
    "transcript",
]

router = Router(tag="jobs")

# Characters of a file name. File systems allow 255 bytes, and a character has up to four.
MAX_NAME_CHARS = 60

CHECKABLE_FORMATS = ("srt", "vtt", "lrc")


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of subtitles in the query. A limit that is absent is that of the profile."""

    profile: Annotated[
        Literal["netflix", "bbc", "youtube"] | None,
        Query(description="Limits of subtitles: a publisher's, not 42 characters a line."),
    ] = None
    max_line_chars: Annotated[
        int | None,
        Query(ge=1, le=1000, description="Default: 42, or the profile's. A Chinese character counts as two."),
    ] = None
    max_lines: Annotated[int | None, Query(ge=1, le=10, description="Default: 2, or the profile's.")] = None
    max_cue_secs: Annotated[float | None, Query(gt=0, le=3600, description="Default: 7, or the profile's.")] = None
    min_cue_secs: Annotated[float | None, Query(ge=0, le=3600, description="Default: 1, or the profile's.")] = None
    max_chars_per_sec: Annotated[float | None, Query(ge=1, le=1000, description="Default: 17, or the profile's.")] = (
        None
    )

    def shape(self) -> Shape:
        limits = asdict(self)
        return shape_of(limits.pop("profile"), limits)


def _schema(media_type: str) -> dict[str, str]:
    return {"type": "object" if media_type == "application/json" else "string"}


RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {format.media_type: {"schema": _schema(format.media_type)} for format in FORMATS.values()}},
    400: {"model": ErrorResponse},
    404: {"model": ErrorResponse},
    409: {"model": ErrorResponse, "description": "The job is not done, or has ended without a transcript."},
}

FormatParameter = Annotated[Literal["txt", "srt", "vtt", "tsv", "json", "verbose_json", "lrc", "rttm"], Query()]
PartialParameter = Annotated[bool, Query(description="If the job is not done: the text so far.")]
CheckParameter = Annotated[
    bool, Query(description="Return a report of the subtitles that break the limits, instead of the subtitles.")
]


@router.head("/jobs/{job_id}/transcript", include_in_schema=False)
@router.get(
    "/jobs/{job_id}/transcript",
    summary="A job's transcript as a file",
    response_class=Response,
    responses=RESPONSES,
)
@router.requires(Scope.READ)
def transcript(
    job_id: JobId,
    store: StoreDep,
    caller: CallerDep,
    limits: Annotated[Limits, Depends()],
    format: FormatParameter = "txt",
    partial: PartialParameter = False,
    check: CheckParameter = False,
) -> Response:
    """Subtitles (`srt`, `vtt`, `lrc`) are made from the times of the words: cues within the limits, divided at
    sentences, then clauses, then words."""
    shape = limits.shape()
    if check and format not in CHECKABLE_FORMATS:
        raise BadRequest(f"check=true is for format={', '.join(CHECKABLE_FORMATS)}")
    job, text = _transcript(store, caller, job_id, partial=partial)
    if check:
        return JSONResponse(_report(text, shape, limits.profile, labelled=format != "vtt"))
    return Response(
        render(text, format, shape),
        media_type=f"{FORMATS[format].media_type}; charset=utf-8",
        headers={
            "Content-Disposition": disposition(job.filename, job.id, FORMATS[format].extension),
            "X-Content-Type-Options": "nosniff",
        },
    )


def disposition(filename: str | None, fallback: str, extension: str) -> str:
    """A `Content-Disposition` with the recording's name; `fallback` if no character of the name can be used.

    The name cannot leave the download folder, be hidden, or reverse the order of its letters. It is given twice: in
    ASCII for old clients, and as RFC 6266 specifies.
    """
    name = _safe(PurePosixPath((filename or "").replace("\\", "/")).stem) or fallback
    plain = _safe(unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()) or fallback
    return f"attachment; filename=\"{plain}.{extension}\"; filename*=UTF-8''{quote(f'{name}.{extension}', safe='')}"


def _safe(name: str) -> str:
    """Without characters that are special in file systems or headers."""
    printable = "".join(char for char in name if unicodedata.category(char)[0] != "C")
    return re.sub(r'[<>:"/\\|?*%;\s]+', "_", printable)[:MAX_NAME_CHARS].strip("._ ")


def _transcript(store: JobStore, caller: Caller, job_id: str, *, partial: bool) -> tuple[Job, Transcript]:
    """Raises `JobNotFound`, `TranscriptNotReady`."""
    # The chunks are read before the job: they are deleted when it ends, and then it has a result.
    chunks = store.chunks(job_id) if partial else []
    job, turns = store.get_job(job_id, owner=caller.sees), store.turns(job_id)
    if job.status is JobStatus.DONE:
        segments = tuple(map(segment_from_dict, json.loads(store.get_result(job_id) or b"[]")))
    elif partial and not job.status.terminal:
        segments = known_text(chunks, job.duration_secs or 0.0, turns)
    else:
        raise TranscriptNotReady(job_id, job.status)
    return job, job.transcript(segments, turns)


def _report(text: Transcript, shape: Shape, profile: str | None, *, labelled: bool) -> dict[str, Any]:
    """`labelled`: the names of speakers are part of the text."""
    cues = subtitles(text.segments, shape, text.duration, text.name_of if labelled else None)
    found = [asdict(breach) for breach in breaches(cues, shape)]
    return {"profile": profile, "limits": asdict(shape), "cues": len(cues), "breaches": found}
