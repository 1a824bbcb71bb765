"""Enrol a voice: from a sample of it to a name that later jobs can find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from anyio.to_thread import run_sync

from scrivano.auth.keys import Caller
from scrivano.domain.errors import BadParameter
from scrivano.domain.speakers import clean_name
from scrivano.store.jobs import JobStore
from scrivano.store.voices import EnrolledVoice
from scrivano.submission.form_fields import FormFields
from scrivano.submission.job_request import LONGEST_NAME, JobRequest
from scrivano.submission.multipart import Form
from scrivano.submission.request_body import RequestBody
from scrivano.submission.submissions import AUDIO_FIELD, Submissions
from scrivano.submission.voice_samples import VoiceSamples, voice_sample

__all__ = ["Enrolment"]

# With less speech a voice is not known well enough.
LEAST_SPEECH_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    submissions: Submissions
    samples: VoiceSamples
    store: JobStore
    new_id: Callable[[], str]

    async def enrol(self, body: RequestBody, caller: Caller) -> EnrolledVoice:
        """Take the form of `POST /voices`: `name`, and the sample as `audio`.

        Raises what a submission and `VoiceSamples` do, and `BadParameter` if the sample has too little of a
        voice, or several voices.
        """
        forms: list[Form] = []

        def job_request_of(form: Form) -> JobRequest:
            forms.append(form)
            _name(form.fields)
            return voice_sample(form.filename)

        job_id = await self.submissions.submit_form(
            body, caller, AUDIO_FIELD, job_request_of, idempotency_key=self.new_id()
        )
        voice = await self.samples.voice_of(job_id)
        if voice.centre is None or voice.speech_s < LEAST_SPEECH_S:
            message = f"the sample has too little speech ({LEAST_SPEECH_S:g} s at least): send 5 to 30 s of one person"
            raise BadParameter(AUDIO_FIELD, message)
        if voice.several:
            message = "more than one person speaks in the sample: send 5 to 30 s of one person alone"
            raise BadParameter(AUDIO_FIELD, message)
        name = _name(forms[-1].fields)
        return await run_sync(self.store.add_voice, self.new_id(), caller.owner, name, voice.centre)


def _name(fields: FormFields) -> str:
    """Raises `BadParameter`."""
    name = clean_name(fields.text("name"))
    if not 1 <= len(name) <= LONGEST_NAME:
        raise BadParameter("name", f"name must have 1 to {LONGEST_NAME} characters: whose voice is it?")
    return name
