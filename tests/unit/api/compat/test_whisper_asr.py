"""What clients of whisper-asr-webservice ask for."""

from __future__ import annotations

from scrivano.api.compat.whisper_asr import AsrQuery, job_request
from scrivano.domain.job import JobOptions


def test_numbers_of_speakers_mean_nothing_to_who_wants_none() -> None:
    refusal = {"diarize": False, "enable_diarization": False, "min_speakers": 2, "max_speakers": 4}
    unwanted = job_request(AsrQuery.model_validate(refusal), "a.wav")
    wanted = job_request(AsrQuery.model_validate({"min_speakers": 2}), "a.wav")

    assert unwanted.options == JobOptions(speakers=False)
    assert wanted.options == JobOptions(speakers=True, min_speakers=2)
