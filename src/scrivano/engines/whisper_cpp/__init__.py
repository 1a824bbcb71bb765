"""Whisper through whisper.cpp. This package imports pywhispercpp, which is an extra of ours.

Modules, each may import only those below it:

    adapter     the adapter: chunk after chunk
    model       what we use of pywhispercpp's bindings
    vocabulary  text to tokens and back
"""

__all__ = ["adapter"]
