"""The words of a transcript that are compared; for languages without spaces its characters."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from scrivano.domain.transcript import Segment

__all__ = ["UNSPACED_LANGUAGES", "Token", "plain", "tokens_of"]

# Whisper's own list of languages that are written without spaces between words, with Khmer and Tibetan.
UNSPACED_LANGUAGES = frozenset({"zh", "ja", "th", "lo", "my", "yue", "km", "bo"})


@dataclass(frozen=True, slots=True)
class Token:
    """A word or a character.

    `form` is what is compared; `text` is what is shown. `start` and `end` are seconds in the recording, None if they
    are not known. `exact` False: the times are estimated from those of a whole segment.
    """

    form: str
    text: str
    start: float | None = None
    end: float | None = None
    exact: bool = False


def plain(text: str) -> str:
    """Lower case, one form of each character, no punctuation except the apostrophe; words separated by one space."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")
    letters = "".join(char if char == "'" or unicodedata.category(char)[0] in "LMN" else " " for char in folded)
    return " ".join(filter(None, (word.strip("'") for word in letters.split())))


def tokens_of(
    segments: Iterable[Segment], *, characters: bool = False, normalize: Callable[[str], str] = plain
) -> list[Token]:
    """The tokens of a transcript, in order. `characters`: one token for each character.

    `normalize` returns the forms of one word, separated by spaces; there may be several, or none.
    """
    words = (word for segment in segments for word in _words(segment, characters))
    tokens = [token for word in words for token in _forms(word, normalize)]
    return [part for token in tokens for part in _characters(token)] if characters else tokens


def _words(segment: Segment, characters: bool) -> Iterator[Token]:
    """The words of a segment; if it has none, its text divided at spaces, with estimated times."""
    if not segment.words:
        yield from _divide(Token("", segment.text, segment.start, segment.end), segment.text.split())
        return
    token: Token | None = None
    for word in segment.words:
        if token is not None and not characters and not word.text[:1].isspace():
            # Without a space before it, it continues a written word, as "esame" does in "l'esame".
            token = replace(token, text=token.text + word.text.rstrip(), end=word.end)
            continue
        if token is not None:
            yield token
        token = Token("", word.text.strip(), word.start, word.end, exact=True)
    if token is not None:
        yield token


def _forms(word: Token, normalize: Callable[[str], str]) -> Iterator[Token]:
    forms = normalize(word.text).split()
    if len(forms) == 1:
        yield replace(word, form=forms[0])
        return
    for number, form in enumerate(forms):
        # The word is shown once. The times of its parts are not known, except where it starts and ends.
        yield replace(word, form=form, text=word.text if number == 0 else "", exact=False)


def _characters(token: Token) -> Iterator[Token]:
    if len(token.form) == 1:
        yield token
        return
    for part in _divide(token, list(token.form)):
        yield replace(part, form=part.text)


def _divide(token: Token, parts: Sequence[str]) -> Iterator[Token]:
    """The parts of a token, each with a share of its time by its length."""
    total, at = max(1, sum(map(len, parts))), 0
    for part in parts:
        begin, at = at, at + len(part)
        start = end = None
        if token.start is not None and token.end is not None:
            seconds = token.end - token.start
            start, end = token.start + seconds * begin / total, token.start + seconds * at / total
        yield Token("", part, start, end)
