"""What the runs of jobs ask of the speakers child, and its answers as messages to them."""

from __future__ import annotations

from scrivano.domain.job import Job
from scrivano.domain.speakers import RememberedSpeaker
from scrivano.files.prepared import PreparedFiles
from scrivano.processes import voice_messages
from scrivano.processes.voice_messages import KnownVoice, SpeakersNamed, VoiceRequest, VoicesFailed
from scrivano.running import speaker_run
from scrivano.running.speaker_run import SpeakerMessage
from scrivano.running.voice_process import VoiceOutcome, VoicePool, VoiceTask
from scrivano.speakers.spool import write_spool
from scrivano.store.jobs import JobStore

__all__ = ["VoiceRequests", "message_of"]


class VoiceRequests:
    """`enrolled`: whether voices can be enrolled, so that they are looked for."""

    def __init__(self, store: JobStore, prepared: PreparedFiles, pool: VoicePool, *, enrolled: bool) -> None:
        self._store = store
        self._prepared = prepared
        self._pool = pool
        self._enrolled = enrolled

    def find(self, job: Job, command: speaker_run.FindVoices) -> None:
        path = self._prepared.audio_path(job.id, job.attempt)
        request = voice_messages.FindVoices(id=0, path=str(path), start=command.start, end=command.end)
        self._add(job, request, index=command.index)

    def tell_apart(self, job: Job, command: speaker_run.NameSpeakers | speaker_run.GuessSpeakers) -> None:
        """Raises `OSError` if the voices cannot be written."""
        guess, count = isinstance(command, speaker_run.GuessSpeakers), command.count
        path = self._prepared.voices_path(job.id, job.attempt, guess=guess)
        write_spool(path, command.voices)
        request = voice_messages.NameSpeakers(
            id=0,
            path=str(path),
            exactly=count.exactly,
            least=count.least,
            most=count.most,
            known=self._known_speakers(job),
        )
        self._add(job, request, guess=guess)

    def merges(self, job: Job, *, sides: bool) -> dict[str, str]:
        """Which speakers people have merged in earlier versions; `sides`: where each side is a speaker."""
        return {one.id: one.now for one in self._remembered(job, sides=sides) if one.id != one.now}

    def _add(self, job: Job, request: VoiceRequest, *, index: int | None = None, guess: bool = False) -> None:
        self._pool.add(
            VoiceTask(
                job_id=job.id, attempt=job.attempt, priority=job.priority, index=index, request=request, guess=guess
            )
        )

    def _known_speakers(self, job: Job) -> tuple[KnownVoice, ...]:
        """The speakers of the job that this is a version of keep their ids and names, those who were merged each by
        the own voice. Voices that came with the job are looked for, and enrolled ones where that was asked for."""
        earlier = self._remembered(job, sides=False)
        sent = self._store.known_voices(job.recording_id) if job.decoding.known_speakers else []
        enrolled = self._store.voices(job.owner) if self._enrolled and job.decoding.voices else []
        return (
            *(KnownVoice(id=one.id, name=one.name, centre=one.centre) for one in earlier),
            *(KnownVoice(name=one.name, centre=one.centre) for one in sent),
            *(KnownVoice(name=one.name, centre=one.centre) for one in enrolled),
        )

    def _remembered(self, job: Job, *, sides: bool) -> list[RememberedSpeaker]:
        return [] if job.version_of is None else self._store.remembered_speakers(job.version_of, sides=sides)


def message_of(outcome: VoiceOutcome) -> SpeakerMessage:
    task = outcome.task
    if task.guess:
        if isinstance(outcome.answer, SpeakersNamed):
            return speaker_run.SpeakersGuessed(outcome.answer.speakers, outcome.answer.turns)
        return speaker_run.GuessLost()
    match outcome.answer, task.request:
        case voice_messages.VoicesFound(voices=voices), voice_messages.FindVoices(start=start, end=end):
            return speaker_run.VoicesFound(task.index or 0, start, end, voices)
        case SpeakersNamed(speakers=speakers, turns=turns), voice_messages.NameSpeakers():
            return speaker_run.SpeakersFound(speakers, turns)
        case VoicesFailed(message=message), _:
            return speaker_run.VoicesLost(task.index, message, outcome.killed)
    return speaker_run.VoicesLost(task.index, "the answer does not belong to the request", False)
