"""From bytes to a stored job, and waiting for its end. Every interface submits through this package.

May import: api, domain, files, net, running, store, telemetry.

Modules, each may import only those below it:

    synchronous  calls that wait for the end of their job
    request      what a submission asks for, and how it becomes a job
    resumable    uploads that come in several requests
    audio_url    recordings that are fetched from a URL
    download     fetch a URL piece by piece
    multipart    a form as it arrives: the file goes to disk, the fields are kept
"""

__all__ = ["audio_url", "download", "multipart", "request", "resumable", "synchronous"]
