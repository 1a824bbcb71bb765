"""Whisper through whisper.cpp (pywhispercpp).

Modules, each may import only those below it:

    engine      chunk after chunk
    ggml        is a file a whole GGML model?
    vocabulary  text to tokens and back
"""

__all__ = ["engine"]
