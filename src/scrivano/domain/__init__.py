"""Values without I/O: jobs, chunks, transcripts, languages, errors.

May import: nothing of the other packages.

Modules, each may import only those below it:

    job         a job, its chunks and events, and which status may follow which
    transcript  words, segments, transcripts
    languages   the languages that Whisper knows
    errors      every exception
"""

__all__ = ["errors", "job", "languages", "transcript"]
