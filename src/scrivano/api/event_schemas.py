"""What the server sends by itself: events of streams and payloads of webhooks, as models for the OpenAPI document.

OpenAPI 3.1 has no place for the events of a stream. Their models are among its components, and the streams name them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, RootModel
from pydantic.json_schema import models_json_schema

from scrivano.api.schemas import JobResponse, JobSegment, JobSpeaker, UtcTime, WaitingFor

__all__ = ["JobEvent", "ModelEvent", "add_events"]

_REF = "#/components/schemas/{model}"


class JobProgressEvent(BaseModel):
    type: Literal["progress"]
    percent: int = Field(description="0 to 100.")
    chunk: int = Field(description="Chunks that are decoded.")
    chunks_total: int


class JobLanguageEvent(BaseModel):
    type: Literal["language"]
    language: str
    probability: float = Field(description="0 to 1.")
    probabilities: dict[str, float] = Field(description="Of the likeliest languages.")


class JobWaitingEvent(WaitingFor):
    """Why the job waits for its model; `state` is `ready` when it does so no longer. It has no id."""

    type: Literal["waiting_for"]


class JobSegmentEvent(JobSegment):
    type: Literal["segment"]


class JobSpeakersEvent(BaseModel):
    """Who speaks, as far as it is known. It may change until the job is done: each of these events replaces the one
    before."""

    type: Literal["speakers"]
    speakers: list[JobSpeaker]
    segments: list[str | None] = Field(
        description="The id of the speaker of each segment that was sent, by its index; null: not known yet."
    )


class JobRetryEvent(BaseModel):
    """The job is tried again, or its recording is cut otherwise: its segments so far are void."""

    type: Literal["retry"]


class JobDoneEvent(BaseModel):
    """The last event of a job that has ended; `status` of `job` says how."""

    type: Literal["done"]
    job: JobResponse


class JobErrorEvent(BaseModel):
    """The last event of a job that fails."""

    type: Literal["error"]
    message: str
    code: str | None = None


class JobEvent(
    RootModel[
        Annotated[
            JobProgressEvent
            | JobLanguageEvent
            | JobSegmentEvent
            | JobSpeakersEvent
            | JobRetryEvent
            | JobWaitingEvent
            | JobDoneEvent
            | JobErrorEvent,
            Field(discriminator="type"),
        ]
    ]
):
    """An event of `/jobs/{id}/stream`."""


class ModelLoadingEvent(BaseModel):
    type: Literal["model_loading"]


class ModelReadyEvent(BaseModel):
    type: Literal["model_ready"]
    loaded_at: UtcTime


class ModelUnloadedEvent(BaseModel):
    type: Literal["model_unloaded"]


class ModelWaitingForGpuEvent(BaseModel):
    type: Literal["model_waiting_for_gpu"]
    missing: str | None = None
    vram_needed_mb: int
    vram_free_mb: int
    retry_in_secs: int


class ModelEvent(
    RootModel[
        Annotated[
            ModelLoadingEvent | ModelReadyEvent | ModelUnloadedEvent | ModelWaitingForGpuEvent,
            Field(discriminator="type"),
        ]
    ]
):
    """An event of `/model/events`."""


class ModelPayload(RootModel[Annotated[ModelReadyEvent | ModelUnloadedEvent, Field(discriminator="type")]]):
    """A webhook about the model."""


_STREAMS: dict[str, type[BaseModel]] = {"/jobs/{job_id}/stream": JobEvent, "/model/events": ModelEvent}
_WEBHOOKS: dict[str, tuple[type[BaseModel], str]] = {
    "job": (JobResponse, "A job has ended"),
    "model": (ModelPayload, "The model was loaded or unloaded"),
}


def add_events(document: dict[str, Any]) -> None:
    """Add the events and the webhooks to an OpenAPI document, in place."""
    models = [*_STREAMS.values(), *(model for model, _ in _WEBHOOKS.values())]
    _, schemas = models_json_schema([(model, "serialization") for model in models], ref_template=_REF)
    for name, schema in schemas["$defs"].items():
        document["components"]["schemas"].setdefault(name, schema)
    for path, model in _STREAMS.items():
        content = document["paths"][path]["get"]["responses"]["200"]["content"]["text/event-stream"]
        content["schema"] = {"type": "string", "x-event": {"$ref": _REF.format(model=model.__name__)}}
    document["webhooks"] = {name: {"post": _webhook(model, title)} for name, (model, title) in _WEBHOOKS.items()}


def _webhook(model: type[BaseModel], title: str) -> dict[str, Any]:
    body = {"application/json": {"schema": {"$ref": _REF.format(model=model.__name__)}}}
    return {
        "summary": title,
        "tags": ["webhooks"],
        "requestBody": {"required": True, "content": body},
        "responses": {"2XX": {"description": "Received. After any other response, the call is made again."}},
    }
