"""What a retry changes, and what stays."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from scrivano.domain.errors import BadRequest
from scrivano.domain.job import Job, JobStatus, Task
from scrivano.submission.form_fields import FormFields
from scrivano.submission.job_changes import parse_changes
from scrivano.submission.model_names import ServedModels

MODELS = ServedModels(("base", "small"))


def job(language: str | None = "de", **options: Any) -> Job:
    when = datetime(2030, 1, 1, tzinfo=UTC)
    return Job(id="a", status=JobStatus.DONE, task=Task.TRANSCRIBE, created_at=when, language=language, options=options)


def changes(of: Job, **fields: str) -> dict[str, Any]:
    return parse_changes(FormFields({name: [value] for name, value in fields.items()}), of, MODELS)


def test_a_form_that_names_nothing_changes_nothing() -> None:
    assert changes(job(beam_size=2)) == {}
    assert changes(job(), unknown="1") == {}


def test_named_options_are_replaced_and_the_others_stay() -> None:
    before = job(beam_size=2, prompt="P", metadata={"a": "b"}, priority="bulk")

    found = changes(before, model="small", beam_size="1")

    options = {"beam_size": 1, "prompt": "P", "metadata": {"a": "b"}, "priority": "bulk", "model": "small"}
    assert found == {"language": None, "options": options}


def test_a_blank_field_returns_to_the_servers_setting() -> None:
    assert changes(job(beam_size=2, model="small"), beam_size="", model="")["options"] == {}
    assert changes(job(model="small"), model="base")["options"] == {}


def test_a_requested_language_stays_and_a_detected_one_is_detected_again() -> None:
    assert changes(job(requested_language="de"), beam_size="1")["language"] == "de"
    assert changes(job(), beam_size="1")["language"] is None


@pytest.mark.parametrize(
    ("fields", "language", "options"),
    [
        ({"language": "en"}, "en", {"requested_language": "en"}),
        ({"language": ""}, None, {}),
        ({"languages": "de,en"}, None, {"languages": ["de", "en"]}),
        ({"languages[]": "de,en"}, None, {"languages": ["de", "en"]}),
        ({"multilingual": "true"}, None, {"multilingual": True}),
    ],
)
def test_the_fields_of_the_language_replace_each_other(
    fields: dict[str, str], language: str | None, options: dict[str, Any]
) -> None:
    before = job(requested_language="it", languages=["it", "de"], multilingual=True)

    assert changes(before, **fields) == {"language": language, "options": options}


@pytest.mark.parametrize(
    ("before", "fields", "after"),
    [
        ({"speakers": True, "num_speakers": 2, "voices": True}, {"speakers": "false"}, {"speakers": False}),
        ({"speakers": False}, {"num_speakers": "2"}, {"speakers": True, "num_speakers": 2}),
        ({"speakers": False}, {"voices": "false"}, {"speakers": False}),
        ({"speakers": True, "num_speakers": 2}, {"max_speakers": "4"}, {"speakers": True, "max_speakers": 4}),
        ({"speakers": True, "min_speakers": 3}, {"num_speakers": "2"}, {"speakers": True, "num_speakers": 2}),
        ({"speakers": True, "num_speakers": 2}, {"num_speakers": ""}, {"speakers": True}),
        ({"speakers": True, "num_speakers": 2}, {"beam_size": ""}, {"speakers": True, "num_speakers": 2}),
    ],
)
def test_what_is_named_of_speakers_holds(before: dict[str, Any], fields: dict[str, str], after: dict[str, Any]) -> None:
    assert changes(job(**before), **fields)["options"] == after


def test_bounds_of_speakers_that_contradict_what_stays_are_refused() -> None:
    with pytest.raises(BadRequest, match="min_speakers must not be more"):
        changes(job(speakers=True, max_speakers=2), min_speakers="3")


def test_task_and_webhook_are_columns_of_their_own() -> None:
    found = changes(job(), task="translate", webhook_url="http://x.test/")

    assert (found["task"], found["webhook_url"]) == (Task.TRANSLATE, "http://x.test/")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"model": "large"},
            "does not serve the model 'large': choose one of base, small; the setting MODELS adds more",
        ),
        ({"beam_size": "0"}, "beam_size"),
        ({"task": "sing"}, "task must be"),
        ({"language": "xx"}, "language"),
    ],
)
def test_what_cannot_be_says_what_to_send(fields: dict[str, str], message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        changes(job(), **fields)
