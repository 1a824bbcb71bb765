"""Whisper's normalizers, so that error rates are comparable with those that others publish."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from scrivano.comparison.tokens import UNSPACED_LANGUAGES
from scrivano.domain.errors import StartError

__all__ = ["Normalize", "Normalizers", "load_normalizers"]

INSTALL = "pip install 'scrivano[evaluate]'"

Normalize = Callable[[str], str]


class Normalizers:
    """`english` and `other`: what Whisper uses for English, and for all other languages."""

    def __init__(self, english: Normalize, other: Normalize) -> None:
        self._english = english
        self._other = other

    def of(self, language: str | None) -> Normalize:
        return partial(_stripped, self._english if language == "en" else self._other)

    def by_characters(self, language: str | None) -> bool:
        """Whether errors are counted in characters, because the language has no spaces between words."""
        return language in UNSPACED_LANGUAGES


def load_normalizers() -> Normalizers:
    """Raises `StartError` with the command that installs what is missing."""
    try:
        import jiwer  # noqa: F401  used by `scoring`; all that is missing is said at once
        from whisper_normalizer.basic import BasicTextNormalizer
        from whisper_normalizer.english import EnglishTextNormalizer
    except ImportError as error:
        raise StartError(f"`scrivano evaluate` needs the packages jiwer and whisper-normalizer: {INSTALL}") from error
    # As in Whisper, but the vowel signs of Hindi, Thai and others stay: without them words are torn apart.
    return Normalizers(EnglishTextNormalizer(), BasicTextNormalizer(preserve_marks=True))


def _stripped(normalize: Normalize, text: str) -> str:
    return " ".join(normalize(text).split())
