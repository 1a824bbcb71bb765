"""Word error rate. Normalizer: lower case, punctuation but the apostrophe to spaces."""

import re
from collections.abc import Sequence


def words(text: str) -> list[str]:
    return re.sub(r"[^\w' ]", " ", text.lower()).split()


def edits(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Levenshtein distance."""
    row = list(range(len(hypothesis) + 1))
    for i, wanted in enumerate(reference):
        diagonal, row[0] = row[0], i + 1
        for j, got in enumerate(hypothesis):
            best = min(row[j + 1] + 1, row[j] + 1, diagonal + (wanted != got))
            diagonal, row[j + 1] = row[j + 1], best
    return row[-1]


class WordErrors:
    """Errors summed over texts, so long texts weigh more."""

    def __init__(self) -> None:
        self.errors = self.words = self.texts = self.exact = 0

    def add(self, reference: str, hypothesis: str) -> None:
        wanted = words(reference)
        wrong = edits(wanted, words(hypothesis))
        self.errors += wrong
        self.words += len(wanted)
        self.texts += 1
        self.exact += wrong == 0

    @property
    def percent(self) -> float:
        return round(100 * self.errors / max(1, self.words), 2)
