"""The text of transcripts, as it is searched.

The functions run within a transaction of `store.jobs`. The search is a plain comparison of folded text, which every
database has, and which finds words in every script: languages without spaces, too.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select

from scrivano.domain.folding import composed, fold
from scrivano.store.tables import jobs, texts

__all__ = ["excerpts", "matches", "store_text"]

# Characters of an excerpt before what was found, and in all.
BEFORE, EXCERPT = 40, 160


def store_text(db: Connection, job_id: str, text: str) -> None:
    """Make a transcript searchable, in place of an earlier text of the job."""
    text = composed(text)
    db.execute(delete(texts).where(texts.c.job_id == job_id))
    db.execute(insert(texts), {"job_id": job_id, "text": text, "folded": fold(text)})


def matches(terms: Sequence[str]) -> ColumnElement[bool]:
    """The jobs whose transcript, or whose file name, has all of the terms."""
    spoken = and_(*(texts.c.folded.contains(term, autoescape=True) for term in terms))
    # SQL knows upper and lower case of ASCII only, so that is all that is folded in names.
    named = and_(*(func.lower(jobs.c.filename).contains(term, autoescape=True) for term in terms))
    return or_(jobs.c.id.in_(select(texts.c.job_id).where(spoken)), named)


def excerpts(db: Connection, job_ids: Collection[str], terms: Sequence[str]) -> dict[str, str]:
    """For each job with a term in its transcript: the text around the first of them."""
    query = select(texts.c.job_id, texts.c.text, texts.c.folded).where(texts.c.job_id.in_(job_ids))
    found = {}
    for job_id, text, folded in db.execute(query):
        places = [at for term in terms if (at := folded.find(term)) >= 0]
        if places:
            found[job_id] = _excerpt(text, min(places))
    return found


def _excerpt(text: str, at: int) -> str:
    start = 0 if at <= BEFORE else text.find(" ", at - BEFORE, at) + 1 or at - BEFORE
    end = start + EXCERPT
    if end >= len(text):
        return ("…" if start else "") + text[start:]
    cut = text.rfind(" ", at, end)
    return ("…" if start else "") + text[start : cut if cut > at else end] + "…"
