"""Scrivano's own interface, one file for each resource.

Modules, each may import only those below it:

    page           `/`: the page for people
    docs           `/docs`: Swagger UI and the OpenAPI document
    uploads        `/uploads`: resumable uploads (tus)
    events         `/jobs/{id}/stream`: follow a job
    audio          `/jobs/{id}/audio`: the recording
    stream_tokens  `/stream-tokens`: tokens for URLs that a browser opens without headers
    versions       `/jobs/{id}/versions`: versions of a job, and their differences
    segments       `/jobs/{id}/segments/{index}/correction`: a person's text in place of the model's
    waveforms      `/jobs/{id}/waveform`: the outline of the recording, to be drawn
    voices         `/voices`: enrolled voices
    speakers       `/jobs/{id}/speakers`: name and merge the speakers of a job
    transcripts    `/jobs/{id}/transcript`: the transcript as a file
    jobs           `/jobs`: submit, read, cancel, retry and delete jobs
    models         `/model`: state, load, unload, events
    webhooks       `/webhooks`: deliveries, redelivery, test
    history        `/history`: the last hour, to be drawn
    health         `/health`, probes and metrics
"""

__all__ = [
    "audio",
    "docs",
    "events",
    "health",
    "history",
    "jobs",
    "models",
    "page",
    "segments",
    "speakers",
    "stream_tokens",
    "transcripts",
    "uploads",
    "versions",
    "voices",
    "waveforms",
    "webhooks",
]
