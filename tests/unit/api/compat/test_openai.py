"""What the routes of OpenAI's API do when a part of the server fails."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

import pytest

from scrivano.api.compat.known_speakers import KnownSpeaker
from scrivano.api.compat.openai import known_voices
from scrivano.auth.keys import Caller
from scrivano.domain.errors import BadParameter, JobFailed, RecordingRefused
from scrivano.domain.speakers import NamedVoice
from scrivano.submission.voice_samples import SampledVoice, VoiceSamples

KNOWN = (KnownSpeaker("Ada", b"ada"), KnownSpeaker("Eve", b"eve"))


@dataclass
class Samples:
    """Finds the voice of Eve alone."""

    error: Exception

    async def hear(self, audio: bytes, caller: Caller, model: str | None) -> SampledVoice:
        if audio == b"ada":
            raise self.error
        return SampledVoice(seconds=4.0, speech_s=3.0, centre=b"centre")


def heard(error: Exception) -> list[NamedVoice]:
    return asyncio.run(known_voices(cast(VoiceSamples, Samples(error)), KNOWN, cast(Caller, None), None))


def test_a_failure_of_the_server_costs_a_name_and_no_transcript() -> None:
    assert heard(JobFailed("a", "no_speakers", "it broke")) == [NamedVoice(name="Eve", centre=b"centre")]


def test_a_sample_that_is_no_recording_is_refused() -> None:
    with pytest.raises(BadParameter, match="the sample of Ada cannot be used"):
        heard(RecordingRefused("a", "not_media", "this is no recording"))
