"""Whisper through faster-whisper and CTranslate2. This package imports both.

Modules, each may import only those below it:

    adapter     the adapter: windows of any jobs in one batch
    model       CTranslate2's model, shared by two threads
    model_lock  who may use the model, and who may replace it
    processor   what we use of faster-whisper: features, tokens, loading
"""

__all__ = ["adapter", "model"]
