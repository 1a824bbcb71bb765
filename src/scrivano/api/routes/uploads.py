"""`/uploads`: resumable uploads by the protocol tus 1.0 (https://tus.io). Each becomes a job."""

from __future__ import annotations

from email.utils import format_datetime
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Request, Response

from scrivano.api.errors import JOB_ID_HEADER, TUS_HEADERS, TUS_VERSION
from scrivano.api.request_body import BodyDep
from scrivano.api.routing import ErrorFormat, Router
from scrivano.api.schemas import EXAMPLE_JOB_ID, ErrorResponse, UploadResponse
from scrivano.api.services import CallerDep, ResumableJobsDep
from scrivano.auth.keys import Scope
from scrivano.domain.errors import BadRequest, WrongContentType, WrongTusVersion
from scrivano.store.uploads import PartialUpload
from scrivano.submission.request_body import RequestBody
from scrivano.submission.tus_headers import ALGORITHMS, parse_checksum, parse_number

EXTENSIONS = ("creation", "creation-with-upload", "checksum", "expiration", "termination")
CONTENT_TYPE = "application/offset+octet-stream"


async def _require_version(
    tus_resumable: Annotated[
        str, Header(description="The protocol's version.", json_schema_extra={"enum": [TUS_VERSION]})
    ] = "",
) -> None:
    if tus_resumable != TUS_VERSION:
        raise WrongTusVersion(f"send the header 'Tus-Resumable: {TUS_VERSION}'; this server supports no other version")


_VERSION = Depends(_require_version)

UploadId = Annotated[str, Path(description="The last part of its Location.", examples=[EXAMPLE_JOB_ID])]
UploadOffset = Annotated[
    str, Header(description="Position of these bytes: the number of bytes that are stored already.", examples=["0"])
]
UploadChecksum = Annotated[
    str | None,
    Header(
        description=f"Checksum of this request's body: {', '.join(ALGORITHMS)}, then the digest in base64.",
        examples=["sha256 n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="],
    ),
]


_EXAMPLES = {
    "Tus-Resumable": TUS_VERSION,
    "Tus-Version": TUS_VERSION,
    "Tus-Extension": ",".join(EXTENSIONS),
    "Tus-Max-Size": "1073741824",
    "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    "Location": f"uploads/{EXAMPLE_JOB_ID}",
    "Upload-Offset": "524288",
    "Upload-Length": "1048576",
    "Upload-Metadata": "filename bWVldGluZy5tcDM=,language ZW4=",
    "Upload-Expires": "Sun, 01 Feb 2026 12:00:00 GMT",
    JOB_ID_HEADER: EXAMPLE_JOB_ID,
}


def _headers(**descriptions: str) -> dict[str, Any]:
    """For a route's `responses`."""
    described = {"Tus_Resumable": "The protocol's version."} | descriptions
    return {
        (header := name.replace("_", "-")): {
            "description": text,
            "schema": {"type": "string"},
            "example": _EXAMPLES[header],
        }
        for name, text in described.items()
    }


_EXPIRES = "When the upload is deleted, unless more bytes arrive; absent once it is a job."
_JOB = "The job, once the upload is complete."


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorResponse, "description": _ERROR_DESCRIPTIONS[status]} for status in statuses}


_ERROR_DESCRIPTIONS = {
    400: "A header or a parameter of the job is invalid.",
    404: "There is no such upload, or it was deleted.",
    409: "The upload continues at another offset; HEAD returns it.",
    412: "The header Tus-Resumable names another version than this server's.",
    413: "Larger than MAX_UPLOAD_BYTES or Upload-Length.",
    415: f"The body is not {CONTENT_TYPE}.",
    421: "The bytes of the upload are at another server.",
    423: "A later request has taken over this upload.",
    429: "MAX_QUEUE jobs are waiting.",
    460: "The body does not match Upload-Checksum and was discarded.",
    500: "The worker has ended; restart the server.",
    507: "The disk is full.",
}

router = Router(tag="uploads", prefix="/uploads", errors=ErrorFormat.TUS)


@router.options("/", include_in_schema=False)
@router.options(
    "",
    status_code=204,
    summary="Supported parts of tus",
    response_class=Response,
    responses={
        204: {
            "headers": _headers(
                Tus_Version="The supported versions.",
                Tus_Extension="The supported extensions.",
                Tus_Max_Size="MAX_UPLOAD_BYTES; absent if it is not set.",
                Tus_Checksum_Algorithm="The algorithms for Upload-Checksum.",
            )
        }
    },
)
@router.requires(Scope.SUBMIT)
async def options(resumable_jobs: ResumableJobsDep) -> Response:
    """For clients, before they start an upload."""
    headers = {
        **TUS_HEADERS,
        "Tus-Version": TUS_VERSION,
        "Tus-Extension": ",".join(EXTENSIONS),
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    }
    if resumable_jobs.max_upload_bytes is not None:
        headers["Tus-Max-Size"] = str(resumable_jobs.max_upload_bytes)
    return Response(status_code=204, headers=headers)


# Without a redirect: clients resolve `Location` against the URL that they were configured with.
@router.post("/", status_code=201, include_in_schema=False, dependencies=[_VERSION])
@router.post(
    "",
    status_code=201,
    summary="Start an upload",
    response_class=Response,
    dependencies=[_VERSION],
    responses={
        201: {
            "headers": _headers(
                Location="The upload, relative to the URL of this request.",
                Upload_Offset="Bytes that are stored; only if the request had a body.",
                Upload_Expires=_EXPIRES,
                X_Job_Id=_JOB,
            )
        },
        **_errors(400, 404, 409, 412, 413, 415, 421, 423, 429, 460, 500, 507),
    },
    openapi_extra={"requestBody": {"content": {CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}}}},
)
@router.requires(Scope.SUBMIT, takes_recording=True)
async def create(
    request: Request,
    body: BodyDep,
    resumable_jobs: ResumableJobsDep,
    caller: CallerDep,
    upload_length: Annotated[str, Header(description="Size of the whole file in bytes.", examples=["1048576"])] = "",
    upload_metadata: Annotated[
        str,
        Header(
            description="The fields of `POST /jobs`, and `filename`, each with its value in base64.",
            examples=["filename bWVldGluZy5tcDM=,language ZW4="],
        ),
    ] = "",
    upload_defer_length: Annotated[str, Header(description="Not supported: the length must be known.")] = "",
    upload_checksum: UploadChecksum = None,
) -> Response:
    """The fields of the job are in `Upload-Metadata` and are checked here, before any byte is sent. The body may
    contain the first bytes of the file, or all of them.

    The model may be in any state: the job waits for it.
    """
    if upload_defer_length:
        raise BadRequest(
            "Upload-Defer-Length is not supported: send Upload-Length, the size of the whole file in bytes"
        )
    size_bytes = parse_number(upload_length, "Upload-Length")
    if not size_bytes:
        raise BadRequest("the upload is empty: Upload-Length must be the size of the whole file in bytes")
    checksum = parse_checksum(upload_checksum)
    has_body = body.size_bytes != 0
    if has_body:
        _check_type(body)
    upload = await resumable_jobs.start(size_bytes, upload_metadata, caller, body_bytes=body.size_bytes or 0)
    headers = {"Location": _location(request, upload.id)}
    if has_body:
        upload = await resumable_jobs.receive(upload, 0, body, checksum, caller)
        headers["Upload-Offset"] = str(upload.offset_bytes)
    return Response(status_code=201, headers=headers | _upload_headers(upload))


def _location(request: Request, upload_id: str) -> str:
    """A path that clients resolve against the URL of their request, whatever prefix a proxy has removed from it.

    A whole path if the proxy has sent the prefix (`X-Forwarded-Prefix`).
    """
    if prefix := request.scope.get("root_path"):
        return f"{prefix}/uploads/{upload_id}"
    return upload_id if request.url.path.endswith("/") else f"uploads/{upload_id}"


_UPLOAD_HEADERS = _headers(
    Upload_Offset="Bytes that are stored.",
    Upload_Length="Size of the whole file in bytes.",
    Upload_Metadata="As it was sent; absent if it was not.",
    Upload_Expires=_EXPIRES,
    X_Job_Id=_JOB,
)


@router.head(
    "/{upload_id}",
    summary="The offset of an upload",
    response_class=Response,
    dependencies=[_VERSION],
    responses={200: {"headers": _UPLOAD_HEADERS}, **_errors(400, 404, 412, 421, 429, 500, 507)},
)
@router.requires(Scope.SUBMIT)
async def look(upload_id: UploadId, resumable_jobs: ResumableJobsDep, caller: CallerDep) -> Response:
    """Where to continue after a lost connection. An upload that is complete and not a job yet becomes one now."""
    upload = await resumable_jobs.get_finished(upload_id, caller)
    headers = _upload_headers(upload) | {
        "Upload-Offset": str(upload.offset_bytes),
        "Upload-Length": str(upload.size_bytes),
        "Cache-Control": "no-store",
    }
    if upload.metadata:
        headers["Upload-Metadata"] = upload.metadata
    return Response(headers=headers)


@router.get(
    "/{upload_id}",
    summary="An upload, as JSON",
    response_model=UploadResponse,
    responses=_errors(400, 404, 421, 429, 500, 507),
)
@router.requires(Scope.SUBMIT)
async def show(upload_id: UploadId, resumable_jobs: ResumableJobsDep, caller: CallerDep) -> Response:
    """For people and scripts; tus clients use HEAD."""
    upload = await resumable_jobs.get_finished(upload_id, caller)
    body = UploadResponse(
        id=upload.id,
        size_bytes=upload.size_bytes,
        offset_bytes=upload.offset_bytes,
        created_at=upload.created_at,
        expires_at=upload.expires_at,
        job_id=upload.job_id,
    )
    return body.response(headers={**TUS_HEADERS, "Cache-Control": "no-store"})


_PATCH_RESPONSES: dict[int | str, dict[str, Any]] = {
    204: {"headers": _headers(Upload_Offset="Bytes that are stored now.", Upload_Expires=_EXPIRES, X_Job_Id=_JOB)},
    **_errors(400, 404, 409, 412, 413, 415, 421, 423, 429, 460, 500, 507),
}


@router.patch(
    "/{upload_id}",
    status_code=204,
    summary="Continue an upload",
    response_class=Response,
    dependencies=[_VERSION],
    responses=_PATCH_RESPONSES,
    openapi_extra={"requestBody": {"content": {CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}}}},
)
@router.requires(Scope.SUBMIT, takes_recording=True)
async def append(
    body: BodyDep,
    upload_id: UploadId,
    resumable_jobs: ResumableJobsDep,
    caller: CallerDep,
    upload_offset: UploadOffset = "",
    upload_checksum: UploadChecksum = None,
) -> Response:
    """The response to the last bytes has the id of the job in `X-Job-Id`. If a connection is lost, the bytes that have
    arrived are stored; with a checksum, all bytes of a request or none. A newer request to the same upload ends an
    older one."""
    _check_type(body)
    offset_bytes = parse_number(upload_offset, "Upload-Offset")
    checksum = parse_checksum(upload_checksum)
    upload = await resumable_jobs.get(upload_id, caller)
    upload = await resumable_jobs.receive(upload, offset_bytes, body, checksum, caller)
    return Response(status_code=204, headers=_upload_headers(upload) | {"Upload-Offset": str(upload.offset_bytes)})


@router.delete(
    "/{upload_id}",
    status_code=204,
    summary="Delete an upload",
    response_class=Response,
    dependencies=[_VERSION],
    responses={204: {"headers": _headers()}, **_errors(404, 412)},
)
@router.requires(Scope.SUBMIT)
async def terminate(upload_id: UploadId, resumable_jobs: ResumableJobsDep, caller: CallerDep) -> Response:
    """Deletes the bytes that have arrived. A job that the upload has become stays: cancel it at `/jobs/{id}`."""
    await resumable_jobs.delete(upload_id, caller)
    return Response(status_code=204, headers=TUS_HEADERS)


@router.post(
    "/{upload_id}",
    status_code=204,
    summary="PATCH, DELETE or HEAD, for clients that can only POST",
    response_class=Response,
    dependencies=[_VERSION],
    responses={200: {"headers": _UPLOAD_HEADERS, "description": "As with HEAD."}, **_PATCH_RESPONSES},
    openapi_extra={"requestBody": {"content": {CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}}}},
)
@router.requires(Scope.SUBMIT, takes_recording=True)
async def override(
    body: BodyDep,
    upload_id: UploadId,
    resumable_jobs: ResumableJobsDep,
    caller: CallerDep,
    x_http_method_override: Annotated[
        str, Header(description="The intended method.", json_schema_extra={"enum": ["PATCH", "DELETE", "HEAD"]})
    ] = "",
    upload_offset: UploadOffset = "",
    upload_checksum: UploadChecksum = None,
) -> Response:
    """For networks that block other methods."""
    match x_http_method_override:
        case "PATCH":
            return await append(body, upload_id, resumable_jobs, caller, upload_offset, upload_checksum)
        case "DELETE":
            return await terminate(upload_id, resumable_jobs, caller)
        case "HEAD":
            return await look(upload_id, resumable_jobs, caller)
    raise BadRequest("X-HTTP-Method-Override must be PATCH, DELETE or HEAD")


def _check_type(body: RequestBody) -> None:
    """Raises `WrongContentType`."""
    if body.content_type.partition(";")[0].strip().lower() != CONTENT_TYPE:
        raise WrongContentType(f"send the bytes with 'Content-Type: {CONTENT_TYPE}'")


def _upload_headers(upload: PartialUpload) -> dict[str, str]:
    """Headers that are in every response about this upload."""
    if upload.job_id is not None:
        return {**TUS_HEADERS, JOB_ID_HEADER: upload.job_id}
    return {**TUS_HEADERS, "Upload-Expires": format_datetime(upload.expires_at, usegmt=True)}
