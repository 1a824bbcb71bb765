"""`/uploads`: resumable uploads as tus 1.0 has them (https://tus.io), each of which ends in a job."""

from __future__ import annotations

from email.utils import format_datetime
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Request, Response
from fastapi.responses import JSONResponse

from scrivano.api.errors import JOB_ID_HEADER, TUS_HEADERS, TUS_VERSION
from scrivano.api.request_body import BodyDep
from scrivano.api.routing import ErrorFormat, Router
from scrivano.api.schemas import ErrorView, UploadView
from scrivano.api.services import ServicesDep
from scrivano.auth.keys import Scope
from scrivano.domain.errors import BadRequest, WrongContentType, WrongTusVersion
from scrivano.domain.job import utc
from scrivano.store.uploads import PartialUpload
from scrivano.submission.request_body import RequestBody
from scrivano.submission.tus_headers import ALGORITHMS, parse_checksum, parse_number

EXTENSIONS = ("creation", "creation-with-upload", "checksum", "expiration", "termination")
CONTENT_TYPE = "application/offset+octet-stream"


async def _check_version(
    tus_resumable: Annotated[
        str, Header(description="The protocol's version.", json_schema_extra={"enum": [TUS_VERSION]})
    ] = "",
) -> None:
    if tus_resumable != TUS_VERSION:
        raise WrongTusVersion(f"send the header 'Tus-Resumable: {TUS_VERSION}'; this server knows no other version")


_VERSION = Depends(_check_version)

UploadId = Annotated[
    str, Path(description="The last part of its Location.", examples=["6f9619ff-8b86-4d01-b42d-00cf4fc964ff"])
]
UploadOffset = Annotated[str, Header(description="Where these bytes go: so many are there already.", examples=["0"])]
UploadChecksum = Annotated[
    str | None,
    Header(
        description=f"Of this request's body: {', '.join(ALGORITHMS)}, and the digest in base64.",
        examples=["sha256 n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="],
    ),
]


_EXAMPLES = {
    "Tus-Resumable": TUS_VERSION,
    "Tus-Version": TUS_VERSION,
    "Tus-Extension": ",".join(EXTENSIONS),
    "Tus-Max-Size": "1073741824",
    "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    "Location": "/uploads/6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
    "Upload-Offset": "524288",
    "Upload-Length": "1048576",
    "Upload-Metadata": "filename bWVldGluZy5tcDM=,language ZW4=",
    "Upload-Expires": "Sun, 01 Feb 2026 12:00:00 GMT",
    JOB_ID_HEADER: "6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
}


def _headers(**descriptions: str) -> dict[str, Any]:
    """For a route's `responses`."""
    told = {"Tus_Resumable": "The protocol's version."} | descriptions
    return {
        (header := name.replace("_", "-")): {
            "description": text,
            "schema": {"type": "string"},
            "example": _EXAMPLES[header],
        }
        for name, text in told.items()
    }


_EXPIRES = "When it is deleted, unless more comes; missing once it is a job."
_JOB = "The job, once it is whole."


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorView, "description": _WHY[status]} for status in statuses}


_WHY = {
    400: "A header cannot be used, or what the job is to be.",
    404: "There is no such upload, or none any more.",
    409: "It goes on at another offset; ask with HEAD.",
    412: "The header Tus-Resumable is not this server's version.",
    413: "Larger than MAX_UPLOAD_BYTES, or than Upload-Length said.",
    415: f"The body is not {CONTENT_TYPE}.",
    423: "A later request goes on with this upload.",
    429: "MAX_QUEUE jobs wait already.",
    460: "The body does not match Upload-Checksum, and was thrown away.",
    500: "The worker is gone for good; restart the server.",
    507: "The disk is full.",
}

router = Router(tag="uploads", prefix="/uploads", errors=ErrorFormat.TUS)


@router.options(
    "",
    status_code=204,
    summary="What is understood of tus",
    response_class=Response,
    responses={
        204: {
            "headers": _headers(
                Tus_Version="The versions that are understood.",
                Tus_Extension="The extensions.",
                Tus_Max_Size="MAX_UPLOAD_BYTES; missing where there is none.",
                Tus_Checksum_Algorithm="For Upload-Checksum.",
            )
        }
    },
)
@router.requires(Scope.SUBMIT)
def options(services: ServicesDep) -> Response:
    """Clients ask this before they begin."""
    headers = {
        **TUS_HEADERS,
        "Tus-Version": TUS_VERSION,
        "Tus-Extension": ",".join(EXTENSIONS),
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    }
    if services.resumable_jobs.max_upload_bytes is not None:
        headers["Tus-Max-Size"] = str(services.resumable_jobs.max_upload_bytes)
    return Response(status_code=204, headers=headers)


@router.post(
    "",
    status_code=201,
    summary="Begin an upload",
    response_class=Response,
    dependencies=[_VERSION],
    responses={
        201: {
            "headers": _headers(
                Location="The upload.",
                Upload_Offset="Only where there was a body: so many bytes of it are there.",
                Upload_Expires=_EXPIRES,
                X_Job_Id=_JOB,
            )
        },
        **_errors(400, 404, 409, 412, 413, 415, 423, 429, 460, 500, 507),
    },
    openapi_extra={"requestBody": {"content": {CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}}}},
)
@router.requires(Scope.SUBMIT, takes_recording=True)
async def create(
    request: Request,
    body: BodyDep,
    services: ServicesDep,
    upload_length: Annotated[str, Header(description="Bytes of the whole file.", examples=["1048576"])] = "",
    upload_metadata: Annotated[
        str,
        Header(
            description="The fields of `POST /jobs` and `filename`, each with its value in base64.",
            examples=["filename bWVldGluZy5tcDM=,language ZW4="],
        ),
    ] = "",
    upload_defer_length: Annotated[str, Header(description="Not supported: the length must be known.")] = "",
    upload_checksum: UploadChecksum = None,
) -> Response:
    """The fields of the job to be come in `Upload-Metadata` and are checked here, before a byte is sent. A body may
    bring the first bytes, or all of them.

    The model's state does not matter: the job waits for it.
    """
    if upload_defer_length:
        raise BadRequest("Upload-Defer-Length is not supported: send Upload-Length, the bytes of the whole file")
    size_bytes = parse_number(upload_length, "Upload-Length")
    if not size_bytes:
        raise BadRequest("the upload is empty: Upload-Length must be the bytes of the whole file")
    checksum = parse_checksum(upload_checksum)
    has_body = body.size_bytes != 0
    if has_body:
        _check_type(body)
    upload = await services.resumable_jobs.start(
        size_bytes, upload_metadata, services.caller, body_bytes=body.size_bytes or 0
    )
    headers = {"Location": f"{request.scope.get('root_path', '')}/uploads/{upload.id}"}
    if has_body:
        upload = await services.resumable_jobs.receive(upload, 0, body, checksum, services.caller)
        headers["Upload-Offset"] = str(upload.offset_bytes)
    return Response(status_code=201, headers=headers | _state(upload))


_SHOWN = _headers(
    Upload_Offset="So many bytes are here.",
    Upload_Length="Of so many.",
    Upload_Metadata="As it was given; missing where there was none.",
    Upload_Expires=_EXPIRES,
    X_Job_Id=_JOB,
)


@router.head(
    "/{upload_id}",
    summary="How far an upload is",
    response_class=Response,
    dependencies=[_VERSION],
    responses={200: {"headers": _SHOWN}, **_errors(400, 404, 412, 429, 500, 507)},
)
@router.requires(Scope.SUBMIT)
async def look(upload_id: UploadId, services: ServicesDep) -> Response:
    """Where to go on after a cut connection. Of an upload that is whole and not a job yet, the job is made now."""
    upload = await services.resumable_jobs.get_finished(upload_id, services.caller)
    headers = _state(upload) | {
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
    response_model=UploadView,
    responses=_errors(400, 404, 429, 500, 507),
)
@router.requires(Scope.SUBMIT)
async def show(upload_id: UploadId, services: ServicesDep) -> Response:
    """For people and scripts: tus clients ask with HEAD."""
    upload = await services.resumable_jobs.get_finished(upload_id, services.caller)
    body = {
        "id": upload.id,
        "size_bytes": upload.size_bytes,
        "offset_bytes": upload.offset_bytes,
        "created_at": utc(upload.created_at),
        "expires_at": utc(upload.expires_at),
        "job_id": upload.job_id,
    }
    return JSONResponse(body, headers={**TUS_HEADERS, "Cache-Control": "no-store"})


_PATCHED: dict[int | str, dict[str, Any]] = {
    204: {"headers": _headers(Upload_Offset="So many bytes are here now.", Upload_Expires=_EXPIRES, X_Job_Id=_JOB)},
    **_errors(400, 404, 409, 412, 413, 415, 423, 429, 460, 500, 507),
}


@router.patch(
    "/{upload_id}",
    status_code=204,
    summary="Send more of an upload",
    response_class=Response,
    dependencies=[_VERSION],
    responses=_PATCHED,
    openapi_extra={"requestBody": {"content": {CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}}}},
)
@router.requires(Scope.SUBMIT, takes_recording=True)
async def append(
    body: BodyDep,
    upload_id: UploadId,
    services: ServicesDep,
    upload_offset: UploadOffset = "",
    upload_checksum: UploadChecksum = None,
) -> Response:
    """The answer to the last bytes has the job in `X-Job-Id`. What came before a connection was cut counts; with a
    checksum, all of a request or nothing. A request that is still sending to this upload gives way to a newer one."""
    _check_type(body)
    offset_bytes = parse_number(upload_offset, "Upload-Offset")
    checksum = parse_checksum(upload_checksum)
    upload = await services.resumable_jobs.get(upload_id, services.caller)
    upload = await services.resumable_jobs.receive(upload, offset_bytes, body, checksum, services.caller)
    return Response(status_code=204, headers=_state(upload) | {"Upload-Offset": str(upload.offset_bytes)})


@router.delete(
    "/{upload_id}",
    status_code=204,
    summary="Give an upload up",
    response_class=Response,
    dependencies=[_VERSION],
    responses={204: {"headers": _headers()}, **_errors(404, 412)},
)
@router.requires(Scope.SUBMIT)
async def terminate(upload_id: UploadId, services: ServicesDep) -> Response:
    """What has come is deleted. A job that it has become stays: cancel that at `/jobs/{id}`."""
    await services.resumable_jobs.delete(upload_id, services.caller)
    return Response(status_code=204, headers=TUS_HEADERS)


@router.post(
    "/{upload_id}",
    status_code=204,
    summary="PATCH, DELETE or HEAD, for clients that can only POST",
    response_class=Response,
    dependencies=[_VERSION],
    responses={200: {"headers": _SHOWN, "description": "As HEAD has it."}, **_PATCHED},
    openapi_extra={"requestBody": {"content": {CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}}}},
)
@router.requires(Scope.SUBMIT, takes_recording=True)
async def override(
    body: BodyDep,
    upload_id: UploadId,
    services: ServicesDep,
    x_http_method_override: Annotated[
        str, Header(description="What is meant.", json_schema_extra={"enum": ["PATCH", "DELETE", "HEAD"]})
    ] = "",
    upload_offset: UploadOffset = "",
    upload_checksum: UploadChecksum = None,
) -> Response:
    """Some networks let no other method through."""
    match x_http_method_override:
        case "PATCH":
            return await append(body, upload_id, services, upload_offset, upload_checksum)
        case "DELETE":
            return await terminate(upload_id, services)
        case "HEAD":
            return await look(upload_id, services)
    raise BadRequest("X-HTTP-Method-Override must be PATCH, DELETE or HEAD")


def _check_type(body: RequestBody) -> None:
    """Raises `WrongContentType`."""
    if body.content_type.partition(";")[0].strip().lower() != CONTENT_TYPE:
        raise WrongContentType(f"send the bytes with 'Content-Type: {CONTENT_TYPE}'")


def _state(upload: PartialUpload) -> dict[str, str]:
    """The headers of every answer about it."""
    if upload.job_id is not None:
        return {**TUS_HEADERS, JOB_ID_HEADER: upload.job_id}
    return {**TUS_HEADERS, "Upload-Expires": format_datetime(upload.expires_at, usegmt=True)}
