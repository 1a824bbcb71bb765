"""Whisper through faster-whisper and CTranslate2.

Modules, each may import only those below it:

    engine  windows of any jobs in one batch
    model   CTranslate2's model, shared by threads
"""

__all__ = ["engine", "model"]
