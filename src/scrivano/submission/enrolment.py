"""Enrol a voice: from a sample of it to a name that later jobs can find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from anyio.to_thread import run_sync

from scrivano.auth.keys import Caller
from scrivano.domain.errors import BadParameter
from scrivano.domain.job import VOICE_SAMPLE, JobOptions, Priority, Task
from scrivano.domain.recording import ChannelUse
from scrivano.store.jobs import JobStore
from scrivano.store.voices import EnrolledVoice
from scrivano.submission.form_fields import FormFields
from scrivano.submission.job_request import LONGEST_NAME, JobRequest
from scrivano.submission.multipart import Form
from scrivano.submission.request_body import RequestBody
from scrivano.submission.submissions import AUDIO_FIELD, Submissions
from scrivano.submission.waiter import Waiter

__all__ = ["Enrolment"]

# With less speech a voice is not known well enough.
LEAST_SPEECH_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """A sample is a job, whose only speaker is the voice. `forget` deletes that job, its recording and its vectors."""

    submissions: Submissions
    waiter: Waiter
    store: JobStore
    forget: Callable[[str], None]
    new_id: Callable[[], str]

    async def enrol(self, body: RequestBody, caller: Caller) -> EnrolledVoice:
        """Take the form of `POST /voices`: `name`, and the sample as `audio`.

        Raises what a submission does, `RecordingRefused`, and `BadParameter` if the sample has too little of a voice.
        """
        forms: list[Form] = []

        def job_request_of(form: Form) -> JobRequest:
            forms.append(form)
            _name(form.fields)
            return _sample(form.filename)

        job_id = await self.submissions.submit_form(
            body, caller, AUDIO_FIELD, job_request_of, idempotency_key=self.new_id()
        )
        try:
            await self.waiter.transcript(job_id)
            return await run_sync(self._store, job_id, _name(forms[-1].fields), caller.owner)
        finally:
            await run_sync(self.forget, job_id)

    def _store(self, job_id: str, name: str, owner: str | None) -> EnrolledVoice:
        speakers = self.store.known_speakers(job_id)
        spoken = [centre for speaker, centre in speakers if speaker.seconds >= LEAST_SPEECH_S]
        if len(spoken) != 1:
            message = f"the sample has too little speech ({LEAST_SPEECH_S:g} s at least): send 5 to 30 s of one person"
            raise BadParameter(AUDIO_FIELD, message)
        return self.store.add_voice(self.new_id(), owner, name, spoken[0])


def _sample(filename: str | None) -> JobRequest:
    options = JobOptions(purpose=VOICE_SAMPLE, speakers=True, num_speakers=1, channels=ChannelUse.MIX.value)
    return JobRequest(
        task=Task.TRANSCRIBE,
        language=None,
        filename=filename,
        options=options,
        priority=Priority.INTERACTIVE,
        keep_audio=False,
    )


def _name(fields: FormFields) -> str:
    """Raises `BadParameter`."""
    name = " ".join("".join(char for char in fields.text("name") or "" if char.isprintable()).split())
    if not 1 <= len(name) <= LONGEST_NAME:
        raise BadParameter("name", f"name must have 1 to {LONGEST_NAME} characters: whose voice is it?")
    return name
