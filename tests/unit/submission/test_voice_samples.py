"""What is known of the voice in a sample."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import cast

import pytest

from scrivano.domain.job import Job, JobStatus, Task
from scrivano.domain.speakers import Speaker
from scrivano.store.jobs import JobStore
from scrivano.submission.submissions import Submissions
from scrivano.submission.voice_samples import SampledVoice, VoiceSamples
from scrivano.submission.waiter import Waiter


def voice(*values: float) -> bytes:
    return array("f", values).tobytes()


ADA, EVE = voice(1.0, 0.0), voice(0.1, 0.995)
ADA_BY_TELEPHONE = voice(0.3, 0.954)


@dataclass
class Store:
    """Has one sample: for each speaker the seconds, and the voice."""

    found: Sequence[tuple[float, bytes]]

    def get_job(self, job_id: str) -> Job:
        when = datetime(2030, 1, 1, tzinfo=UTC)
        done = Job(id=job_id, status=JobStatus.DONE, task=Task.TRANSCRIBE, created_at=when, speakers=[])
        return replace(done, duration_secs=9.0)

    def known_speakers(self, job_id: str) -> list[tuple[Speaker, bytes]]:
        return [
            (Speaker(id=f"S{number}", name="", seconds=seconds), centre)
            for number, (seconds, centre) in enumerate(self.found, 1)
        ]


class Ended:
    async def transcript(self, job_id: str) -> None:
        return None


def heard(*found: tuple[float, bytes]) -> SampledVoice:
    samples = VoiceSamples(
        submissions=cast(Submissions, None),
        waiter=cast(Waiter, Ended()),
        store=cast(JobStore, Store(found)),
        forget=lambda job_id: None,
        new_id=str,
    )
    return asyncio.run(samples.voice_of("a"))


@pytest.mark.parametrize(
    ("found", "several"),
    [
        ([], False),
        ([(8.0, ADA)], False),
        ([(4.0, ADA), (4.0, EVE)], True),
        ([(4.0, ADA), (4.0, ADA_BY_TELEPHONE)], False),
        ([(4.0, ADA), (4.0, ADA_BY_TELEPHONE), (2.0, EVE)], True),
        ([(8.0, ADA), (1.0, EVE)], False),
    ],
)
def test_several_voices_are_those_that_differ_clearly(found: list[tuple[float, bytes]], several: bool) -> None:
    assert heard(*found).several is several


def test_a_voice_that_was_told_apart_from_itself_is_the_mean_of_both() -> None:
    sample = heard((4.0, voice(1.0, 0.0)), (4.0, voice(0.6, 0.8)))

    assert (sample.seconds, sample.speech_s) == (9.0, 8.0)
    assert array("f", sample.centre or b"").tolist() == pytest.approx([0.894, 0.447], abs=1e-3)
