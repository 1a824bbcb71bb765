"""A self-hosted speech-transcription server.

Packages, each may import only those below it:

    cli           the commands: serve, transcribe, keys, models, backup, watch, service, evaluate, doctor, demo
    backup        a data folder as one file and back again, and the jobs of an earlier server
    evaluation    how good transcripts are, measured against references
    server        the composition root: settings, sockets, and every part built in order
    api           HTTP: routes, errors, authorization
    wyoming       the same calls over TCP, for Home Assistant
    submission    from bytes to a stored job, and waiting for its end
    cluster       children on other machines, through Ray
    running       from a stored job to a published transcript
    media         any recording to 16 kHz mono, speech and chunks; a child process
    engines       speech models; a child process
    speakers      who spoke when; a child process
    processes     child processes and the typed messages that they exchange
    watch         a folder whose recordings are transcribed as they arrive
    text          chunk results to clean segments, subtitles and file formats
    comparison    two texts of one recording, word by word
    webhooks      sign and deliver webhook calls, and retry them
    housekeeping  work that is due because time has passed: retention, jumps of the clock
    store         the database: the only SQL
    files         recordings, free space and the lock of the data folder
    auth          API keys, their scopes and limits
    net           calls to addresses that a client named
    telemetry     events, log, metrics, traces
    client        the Python client; needs nothing that only a server needs
    domain        jobs, chunks, transcripts, languages, errors: values without I/O
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
