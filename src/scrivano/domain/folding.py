"""Text as it is searched: letters in lower case and without accents. Pure."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["composed", "fold", "search_terms"]

# A search has at most so many words: each is looked for in every transcript.
MOST_TERMS = 16


class _Folding(dict[int, str]):
    """What each character is folded to, filled as they occur."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        plain = unicodedata.normalize("NFKD", letter)[0].casefold()
        # One character stays one character, so that a place in the folded text is the same place in the text.
        self[code] = folded = plain if len(plain) == 1 else letter
        return folded


_FOLDING = _Folding()


def composed(text: str) -> str:
    """Each accented letter as one character, and all white space as single spaces: the text that `fold` is for."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def fold(text: str) -> str:
    """As long as `text`, character by character."""
    return text.translate(_FOLDING)


def search_terms(query: str) -> list[str]:
    """The folded words of a search, and the phrases that stand in quotation marks in it; at most `MOST_TERMS`."""
    found = re.findall(r'"([^"]*)"|([^\s"]+)', composed(query))
    terms = (fold((phrase or word).strip()) for phrase, word in found)
    return [term for term in terms if term][:MOST_TERMS]
