"""Which samples of a voice are enrolled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from scrivano.auth.keys import ANONYMOUS
from scrivano.domain.errors import BadParameter
from scrivano.store.jobs import JobStore
from scrivano.submission.enrolment import Enrolment
from scrivano.submission.form_fields import FormFields
from scrivano.submission.job_request import JobRequest
from scrivano.submission.multipart import Form
from scrivano.submission.request_body import RequestBody
from scrivano.submission.submissions import Submissions
from scrivano.submission.voice_samples import SampledVoice, VoiceSamples

GOOD = SampledVoice(seconds=9.0, speech_s=8.0, centre=b"centre")


@dataclass
class Parts:
    """What an enrolment asks other parts for."""

    voice: SampledVoice
    submitted: list[JobRequest] = field(default_factory=list)
    added: list[tuple[Any, ...]] = field(default_factory=list)

    async def submit_form(
        self, body: Any, caller: Any, field: str, parse: Callable[[Form], JobRequest], **options: Any
    ) -> str:
        form = Form(FormFields({"name": ["Ada"]}), has_file=True, file_bytes=1, filename="ada.wav")
        self.submitted.append(parse(form))
        return "a"

    async def voice_of(self, job_id: str) -> SampledVoice:
        return self.voice

    def add_voice(self, *voice: Any) -> None:
        self.added.append(voice)


def enrol(parts: Parts) -> None:
    enrolment = Enrolment(
        submissions=cast(Submissions, parts),
        samples=cast(VoiceSamples, parts),
        store=cast(JobStore, parts),
        new_id=lambda: "v",
    )
    asyncio.run(enrolment.enrol(cast(RequestBody, None), ANONYMOUS))


def test_a_voice_is_kept_with_its_name() -> None:
    parts = Parts(GOOD)

    enrol(parts)

    assert parts.added == [("v", None, "Ada", b"centre")]
    assert parts.submitted[0].options.num_speakers is None, "so that two voices are told apart"


@pytest.mark.parametrize(
    ("voice", "says"),
    [
        (SampledVoice(seconds=9.0, speech_s=0.0, centre=None), "too little speech"),
        (SampledVoice(seconds=9.0, speech_s=1.0, centre=b"centre"), "too little speech"),
        (SampledVoice(seconds=9.0, speech_s=8.0, centre=b"centre", several=True), "more than one person"),
    ],
)
def test_a_sample_without_one_voice_is_refused(voice: SampledVoice, says: str) -> None:
    parts = Parts(voice)

    with pytest.raises(BadParameter, match=says) as refused:
        enrol(parts)

    assert refused.value.param == "audio"
    assert parts.added == []
