"""What a caller asks for: the task, the language, the model and the options of a job. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scrivano.domain.errors import BadParameter, BadRequest, ModelNotFound
from scrivano.domain.job import DETECT_LANGUAGE, JobOptions, Priority, Task
from scrivano.domain.languages import parse_choice, parse_language
from scrivano.domain.quality import check_conditions
from scrivano.domain.recording import MOST_SIDES, ChannelUse
from scrivano.domain.speakers import NamedVoice
from scrivano.submission.form_fields import FormFields, parse_http_url
from scrivano.submission.model_names import ServedModels

__all__ = [
    "LONGEST_NAME",
    "MAX_SPEAKERS",
    "JobRequest",
    "channel_options",
    "check_speaker_counts",
    "language_detection",
    "parse_channels",
    "parse_job_request",
    "parse_speakers",
    "speaker_options",
]

# More cannot be told apart.
MAX_SPEAKERS = 50

# Characters of a name.
LONGEST_NAME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """`language` None: detect it. `model` None: the default model. `metadata` is returned unchanged with the job.
    `keep_audio`: whether the recording is kept when the job has ended; None: as the server is set. `known_voices`: of
    speakers who may be in the recording."""

    task: Task
    language: str | None
    model: str | None = None
    options: JobOptions = field(default_factory=JobOptions)
    webhook_url: str | None = None
    webhook_if: str | None = None
    filename: str | None = None
    priority: Priority = Priority.NORMAL
    metadata: Mapping[str, str] | None = None
    keep_audio: bool | None = None
    known_voices: Sequence[NamedVoice] = ()


def parse_job_request(fields: FormFields, filename: str | None, models: ServedModels) -> JobRequest:
    """The fields of `POST /jobs`; unknown fields are ignored.

    Raises `BadRequest`, which says what to send instead.
    """
    task = fields.text("task") or Task.TRANSCRIBE.value
    if task not in list(Task):
        raise BadRequest("task must be 'transcribe' or 'translate'")
    fields.flag("queue")  # not part of the job, but refused here with the other fields if it is no flag
    language, languages = parse_choice(fields.text("language"), fields.array("languages"))
    return JobRequest(
        task=Task(task),
        language=language,
        model=_model(fields.text("model"), models),
        options=JobOptions(
            prompt=fields.text("prompt"),
            hotwords=fields.text("hotwords"),
            word_timestamps=fields.flag("word_timestamps"),
            vad=fields.flag("vad"),
            beam_size=fields.beam_size(),
            temperature=fields.temperature(),
            languages=languages,
            multilingual=_multilingual(fields, language),
            audio_track=fields.text("audio_track"),
            **parse_channels(fields),
            **parse_speakers(fields),
        ),
        webhook_url=parse_http_url(fields.text("webhook_url"), "webhook_url"),
        webhook_if=_webhook_if(fields.text("webhook_if")),
        filename=filename,
        priority=_priority(fields.text("priority")),
        metadata=_metadata(fields.text("metadata")),
        keep_audio=fields.flag("keep_audio"),
    )


def language_detection(filename: str | None) -> JobRequest:
    """A job that is cancelled as soon as its language is known.

    Its `purpose` keeps it apart from a transcription of the same recording: a repeated request may share an earlier
    job, and a transcription must not be cancelled.
    """
    return JobRequest(
        task=Task.TRANSCRIBE,
        language=None,
        filename=filename,
        options=JobOptions(purpose=DETECT_LANGUAGE),
        priority=Priority.INTERACTIVE,
    )


def parse_speakers(fields: FormFields) -> dict[str, Any]:
    """The options about speakers. Who says how many there are wants them. Raises `BadParameter`."""
    exactly = fields.count("num_speakers", MAX_SPEAKERS)
    least, most = fields.count("min_speakers", MAX_SPEAKERS), fields.count("max_speakers", MAX_SPEAKERS)
    return speaker_options(fields.flag("speakers"), exactly, least, most, voices=fields.flag("voices"))


def speaker_options(
    wanted: bool | None, exactly: int | None, least: int | None, most: int | None, *, voices: bool | None = None
) -> dict[str, Any]:
    """The same from parsed values."""
    counts = {"num_speakers": exactly, "min_speakers": least, "max_speakers": most}
    check_speaker_counts(counts)
    asking = [name for name, value in {**counts, "voices": voices}.items() if value]
    if wanted is False and asking:
        raise BadParameter("speakers", f"speakers=false contradicts {' and '.join(asking)}: leave out one or the other")
    return {"speakers": True if wanted is None and asking else wanted, **counts, "voices": voices or None}


def check_speaker_counts(options: Mapping[str, Any]) -> None:
    """Raises `BadParameter` if the numbers of speakers in these options contradict each other."""
    exactly, least, most = (options.get(name) for name in ("num_speakers", "min_speakers", "max_speakers"))
    if least is not None and most is not None and least > most:
        raise BadParameter("min_speakers", "min_speakers must not be more than max_speakers")
    if exactly is not None and not (least or exactly) <= exactly <= (most or exactly):
        message = f"num_speakers={exactly} is not between min_speakers and max_speakers: leave these out"
        raise BadParameter("num_speakers", message)


def parse_channels(fields: FormFields) -> dict[str, Any]:
    """The options about channels. Raises `BadParameter`."""
    return channel_options(fields.text("channels"), fields.places("channel_names"))


def channel_options(use: str | None, names: Sequence[str]) -> dict[str, Any]:
    """The same from parsed values. A channel whose name is blank has none."""
    if use is not None and use.lower() not in list(ChannelUse):
        raise BadParameter("channels", f"channels must be 'auto', 'mix' or 'split', not '{use}'")
    if len(names) > MOST_SIDES or any(len(name) > LONGEST_NAME for name in names):
        message = f"channel_names can have {MOST_SIDES} names, separated by commas, of {LONGEST_NAME} characters"
        raise BadParameter("channel_names", message)
    return {"channels": use and use.lower(), "channel_names": tuple(names) if any(names) else None}


def _multilingual(fields: FormFields, language: str | None) -> bool | None:
    """None if the option makes no difference because only one language is possible."""
    requested = fields.flag("multilingual")
    if requested and parse_language(fields.last("language")):
        message = "multilingual=true finds the languages itself: leave out language, or name several in languages"
        raise BadParameter("multilingual", message)
    return True if requested and language is None else None


def _model(name: str | None, models: ServedModels) -> str | None:
    try:
        return models.find(name)
    except ModelNotFound as error:
        # On this route the model is a field of the form: a wrong one is a bad request (400), not a missing page (404).
        raise BadParameter("model", f"{error}; leave out 'model' for '{models[0]}'") from error


def _priority(text: str | None) -> Priority:
    try:
        return Priority((text or Priority.NORMAL).lower())
    except ValueError as error:
        raise BadParameter("priority", "priority must be 'interactive', 'normal' or 'bulk'") from error


def _webhook_if(text: str | None) -> str | None:
    try:
        return None if text is None else check_conditions(text)
    except ValueError as error:
        message = (
            f"webhook_if knows no condition '{error}': use coverage<0.98, word_probability<0.7, uncovered, doubtful, "
            "repaired or loops_cut, several separated by commas"
        )
        raise BadParameter("webhook_if", message) from error


def _metadata(text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    try:
        metadata = json.loads(text)
        json.dumps(metadata, ensure_ascii=False).encode()  # fails on half a surrogate pair, which UTF-8 cannot encode
    except (ValueError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise BadParameter("metadata", 'metadata must be a JSON object of strings, such as {"customer": "42"}')
    return metadata
