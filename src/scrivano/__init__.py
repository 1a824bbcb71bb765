"""Scrivano: a self-hosted speech-transcription server."""

__all__ = ["__version__"]

__version__ = "0.1.0"
