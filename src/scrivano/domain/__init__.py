"""Values without I/O: jobs, chunks, transcripts, languages, errors.

May import: nothing of the other packages.

Modules, each may import only those below it:

    job         a job, its options, and which status may follow which
    job_event   an entry in the log of a job
    recording   what was found out about a recording while it was read
    chunk       a piece of audio cut in silence: the unit of work
    decoding    how a chunk is decoded, and what an engine returns for it
    quality     how far a transcript can be trusted
    coverage    which speech has words, and which has none
    transcript  words, segments, transcripts
    folding     text as it is searched
    speakers    who speaks in a recording, and when
    languages   the languages that Whisper knows
    addresses   where servers listen, as it is shown and called
    errors      every exception of the server
    file_endings  the endings of recordings
    file_names    the names of files as text
    wording     numbers of things in messages, and names that were meant
"""

__all__ = [
    "addresses",
    "chunk",
    "coverage",
    "decoding",
    "errors",
    "file_endings",
    "file_names",
    "folding",
    "job",
    "job_event",
    "languages",
    "quality",
    "recording",
    "speakers",
    "transcript",
    "wording",
]
