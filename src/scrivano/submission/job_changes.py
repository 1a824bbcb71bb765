"""What a retry changes: the options of a job, of which the named ones are replaced. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any

from scrivano.domain.errors import BadParameter, ModelNotFound
from scrivano.domain.job import Job, Priority
from scrivano.submission.form_fields import FormFields
from scrivano.submission.job_request import JobRequest, check_speaker_counts, parse_job_request
from scrivano.submission.model_names import ServedModels

__all__ = ["CHANGEABLE", "parse_changes"]

# They exclude each other, so that one of them replaces all three.
_LANGUAGE_FIELDS = ("language", "languages", "multilingual")

_SPEAKER_BOUNDS = ("min_speakers", "max_speakers")
_ASK_FOR_SPEAKERS = ("num_speakers", *_SPEAKER_BOUNDS, "voices")

# For each other option: its stored value in a request.
_OPTIONS: Mapping[str, Callable[[JobRequest], Any]] = {
    "prompt": lambda request: request.options.prompt,
    "hotwords": lambda request: request.options.hotwords,
    "word_timestamps": lambda request: request.options.word_timestamps,
    "vad": lambda request: request.options.vad,
    "beam_size": lambda request: request.options.beam_size,
    "temperature": lambda request: request.options.temperature,
    "audio_track": lambda request: request.options.audio_track,
    "webhook_if": lambda request: request.webhook_if,
    "channels": lambda request: request.options.channels,
    "channel_names": lambda request: list(request.options.channel_names or ()) or None,
    "speakers": lambda request: request.options.speakers,
    "num_speakers": lambda request: request.options.num_speakers,
    "min_speakers": lambda request: request.options.min_speakers,
    "max_speakers": lambda request: request.options.max_speakers,
    "voices": lambda request: request.options.voices,
    "model": lambda request: request.model,
    "priority": lambda request: None if request.priority is Priority.NORMAL else request.priority.value,
    "metadata": lambda request: None if request.metadata is None else dict(request.metadata),
}

CHANGEABLE = (*_LANGUAGE_FIELDS, "task", *_OPTIONS, "webhook_url")


def parse_changes(fields: FormFields, job: Job, models: ServedModels) -> dict[str, Any]:
    """The columns of a job whose values a form names: `task`, `language`, `options`, `webhook_url`.

    An option that is not named stays as it is in `job`; a blank one becomes the server's default. Empty: the form names
    nothing that can be changed. Raises `BadRequest`.
    """
    named = {name.partition("[")[0] for name in fields.values} & {*CHANGEABLE}
    if not named:
        return {}
    _check_model(fields.text("model"), models)
    request = parse_job_request(fields, job.filename, models)
    options = {**job.options, **{name: value(request) for name, value in _OPTIONS.items() if name in named}}
    if named & {"speakers", *_ASK_FOR_SPEAKERS}:
        options.update(_speakers(options, named))
        check_speaker_counts(options)
    # What was detected is detected again.
    changes: dict[str, Any] = {"language": job.requested_language}
    if named & {*_LANGUAGE_FIELDS}:
        changes["language"] = options["requested_language"] = request.language
        options["languages"] = list(request.options.languages or ()) or None
        options["multilingual"] = request.options.multilingual
    if "task" in named:
        changes["task"] = request.task
    if "webhook_url" in named:
        changes["webhook_url"] = request.webhook_url
    return changes | {"options": {name: value for name, value in options.items() if value is not None}}


def _speakers(options: Mapping[str, Any], named: Set[str]) -> dict[str, Any]:
    """What the named options about speakers change in those that are not named and would contradict them."""
    asking = {name for name in _ASK_FOR_SPEAKERS if name in named and options[name]}
    if asking and "speakers" not in named:
        changed: dict[str, Any] = {"speakers": True}
    elif options.get("speakers") is False:
        return dict.fromkeys(_ASK_FOR_SPEAKERS)
    else:
        changed = {}
    if "num_speakers" in asking:
        changed |= {name: None for name in _SPEAKER_BOUNDS if name not in named}
    elif asking & {*_SPEAKER_BOUNDS} and "num_speakers" not in named:
        changed["num_speakers"] = None
    return changed


def _check_model(name: str | None, models: ServedModels) -> None:
    """Raises `BadParameter`, which names the choices."""
    try:
        models.find(name)
    except ModelNotFound as error:
        served = ", ".join(models.names)
        message = f"this server does not serve the model '{name}': choose one of {served}; the setting MODELS adds more"
        raise BadParameter("model", message) from error
