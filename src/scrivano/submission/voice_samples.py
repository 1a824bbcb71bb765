"""The voice in a sample: a job whose only speaker it is, and which is deleted as soon as the voice is known."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from anyio.to_thread import run_sync

from scrivano.auth.keys import Caller
from scrivano.domain.errors import JobFailed, RecordingRefused
from scrivano.domain.job import LONGEST_SAMPLE_S, VOICE_SAMPLE, JobOptions, Priority, Task
from scrivano.domain.recording import ChannelUse
from scrivano.domain.speakers import Speaker, likeness, mean_voice
from scrivano.store.jobs import JobStore
from scrivano.submission.job_request import JobRequest
from scrivano.submission.submissions import Submissions
from scrivano.submission.waiter import Waiter

__all__ = ["SampledVoice", "VoiceSamples", "voice_sample"]


# Two speakers of a sample are clearly two people if each speaks for so long, and the cosine of their voices is below
# this. One voice, of which half came through a telephone or noise, may be told apart from itself: then the cosine is
# 0.25 to 0.4, and that of different people mostly below 0.15 (docs/speakers.md).
LEAST_S = 1.5
OTHER_VOICE = 0.22


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledVoice:
    """`seconds` of the sample, and `speech_s` of them in which somebody speaks. `centre` None: nobody does.

    `several`: two voices or more were told apart, and are clearly those of different people."""

    seconds: float
    speech_s: float
    centre: bytes | None
    several: bool = False


def voice_sample(filename: str | None, model: str | None = None, *, one_voice: bool = False) -> JobRequest:
    """`model`: that of the job that it is for. Jobs start when their model is ready, though this one needs none.

    `one_voice`: all voices are taken for one; else they are told apart."""
    number = 1 if one_voice else None
    options = JobOptions(purpose=VOICE_SAMPLE, speakers=True, num_speakers=number, channels=ChannelUse.MIX.value)
    return JobRequest(
        task=Task.TRANSCRIBE,
        language=None,
        model=model,
        filename=filename,
        options=options,
        priority=Priority.INTERACTIVE,
        keep_audio=False,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceSamples:
    """`forget` deletes the job of a sample, with its recording and its vectors. If the server ends before that, the
    retention deletes them (`housekeeping.retention`)."""

    submissions: Submissions
    waiter: Waiter
    store: JobStore
    forget: Callable[[str], None]
    new_id: Callable[[], str]

    async def hear(self, audio: bytes, caller: Caller, model: str | None) -> SampledVoice:
        """The voice in a sample that is in memory, for a job with this model. Raises what a submission does, and what
        `voice_of` does."""

        async def whole() -> AsyncIterator[bytes]:
            yield audio

        sample = voice_sample(None, model, one_voice=True)
        job_id = await self.submissions.submit_file(whole(), sample, caller, idempotency_key=self.new_id())
        return await self.voice_of(job_id)

    async def voice_of(self, job_id: str) -> SampledVoice:
        """The voice in a sample that is a job already, which is then deleted.

        Raises `RecordingRefused`, and `JobFailed` if its voice could not be found for a reason of the server's.
        """
        try:
            await self.waiter.transcript(job_id)
            return await run_sync(self._read, job_id)
        except RecordingRefused as error:
            if error.code != "too_long":
                raise
            message = f"a sample of a voice has {LONGEST_SAMPLE_S:g} s at most"
            raise RecordingRefused(job_id, error.code, message) from error
        finally:
            await run_sync(self.forget, job_id)

    def _read(self, job_id: str) -> SampledVoice:
        job = self.store.get_job(job_id)
        if job.speakers is None:
            reason = next((one["message"] for one in job.warnings or () if one["code"] == "no_speakers"), "")
            raise JobFailed(job_id, "no_speakers", f"the voice in the sample could not be found; try again: {reason}")
        found = self.store.known_speakers(job_id)
        return SampledVoice(
            seconds=job.duration_secs or 0.0,
            speech_s=sum(speaker.seconds for speaker, _ in found),
            centre=mean_voice([(centre, speaker.seconds) for speaker, centre in found]) if found else None,
            several=_are_several(found),
        )


def _are_several(found: Sequence[tuple[Speaker, bytes]]) -> bool:
    heard = [centre for speaker, centre in found if speaker.seconds >= LEAST_S]
    return any(likeness(one, other) < OTHER_VOICE for one, other in combinations(heard, 2))
