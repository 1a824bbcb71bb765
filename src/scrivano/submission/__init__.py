"""From received bytes to a stored job, and waiting for the job's result. Every protocol submits through this package.

May import: auth, domain, files, net, running, store, telemetry, watch, webhooks.

Modules, each may import only those below it:

    folder_transcriber  this server, as the watcher of a folder uses it
    enrolment          from a sample of a voice to a name for it
    voice_samples      the voice in a sample
    waiter             wait for a job to end, or for a model to load
    submissions        submit a recording in one request
    retries            transcribe a stored recording again
    resumable_jobs     submit a recording in several requests
    job_intake         store a received recording and its job
    admission          refuse a job that cannot be accepted now
    early_load         when to load the model for an upload that is still arriving
    fetch              download a recording from a URL
    resumable_uploads  the files of uploads in several requests
    recording          the file of an upload in one request
    disk_sink          write a file to disk while more of it arrives
    small_form         read a form without a recording
    multipart          parse a multipart form
    tus_headers        parse the headers of the tus protocol
    job_changes        what a retry changes
    job_request        what a caller asks for
    model_names        the names by which a model can be requested
    file_names         the name of an uploaded file, decoded
    form_fields        parse the text fields of a form
    request_body       a request's body, independent of HTTP
    wav_header         a WAV header for bare PCM audio
"""

__all__ = [
    "admission",
    "enrolment",
    "fetch",
    "folder_transcriber",
    "form_fields",
    "job_changes",
    "job_intake",
    "job_request",
    "model_names",
    "multipart",
    "request_body",
    "resumable_jobs",
    "resumable_uploads",
    "retries",
    "small_form",
    "submissions",
    "tus_headers",
    "voice_samples",
    "waiter",
    "wav_header",
]
