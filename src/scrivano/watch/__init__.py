"""Transcribe the recordings of a folder as they arrive, and write the transcripts beside them.

May import: domain, text.

Modules, each may import only those below it:

    watcher      looks at the folder again and again, submits recordings, writes what has become of them
    folder       the files of the folder: recordings, and sidecars beside them
    journal      what has become of each recording
    settling     which files have stopped growing (pure)
    transcriber  what the watcher needs of a server
    lock         one command at a time watches a folder
"""

__all__ = ["lock", "transcriber", "watcher"]
