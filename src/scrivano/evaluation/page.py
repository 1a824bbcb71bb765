"""The report as one HTML page: each difference in place, with its audio. Pure.

The page loads nothing from elsewhere. Its Content-Security-Policy allows its own script and style only, by their
hashes, so that no text of a transcript can ever become code.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from itertools import groupby

from scrivano.comparison.alignment import Kind, Step
from scrivano.comparison.tokens import Token, plain
from scrivano.evaluation.differences import Compared, Difference
from scrivano.evaluation.figures import Figures, Spread, by_language, figures
from scrivano.evaluation.scoring import HOLE_WORDS, Score

__all__ = ["Shown", "page", "percent", "spread", "verdict"]


# Seconds that are played for missing words at the start or the end of a recording.
GAP_S = 3.0


@dataclass(frozen=True, slots=True)
class Shown:
    """One system: its name, its speed (audio seconds per second) and its scores by the names of the recordings."""

    name: str
    rtfx: float
    scores: Mapping[str, Score]


def page(systems: Sequence[Shown], audio: Mapping[str, str], compared: Compared, title: str) -> str:
    """`audio`: for each recording the address of its audio, relative to the page, or a `data:` URL."""
    style, script = _resource("page.css"), _resource("page.js")
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; media-src 'self' file: data:; "
        f"style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>"
        f"<h1>{escape(title)}</h1>{''.join(_summary(systems, compared))}{_tools(systems)}"
        f'<main id="recordings">{"".join(_articles(systems, audio))}</main>'
        f"<script>{script}</script></body></html>\n"
    )


def _resource(name: str) -> str:
    return (files("scrivano.evaluation") / name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


# Tables


def percent(rate: float | None) -> str:
    return "" if rate is None else f"{100 * rate:.2f} %"


def spread(found: Spread | None) -> str:
    """Median and 95th percentile in ms."""
    return "" if found is None else f"{1000 * found.median:.0f} / {1000 * found.p95:.0f}"


def verdict(found: Difference, a: str, b: str) -> str:
    """What the difference means, in a sentence. `a` and `b`: the names of the systems."""
    result = found.comparison
    if result.p is None or result.low is None or result.high is None:
        return f"too little speech to compare {a} and {b}"
    interval = f"{100 * result.low:+.2f} to {100 * result.high:+.2f} points, p = {result.p:.3f}"
    if not result.significant:
        return f"no more than chance ({interval})"
    return f"{b if result.difference < 0 else a} is better, by more than chance ({interval})"


_HEADS = (
    "recordings", "failed", "WER", "CER", "substituted", "deleted", "inserted", "coverage", "holes", "wrong language",
)  # fmt: skip


def _summary(systems: Sequence[Shown], compared: Compared) -> Iterator[str]:
    heads = "".join(f"<th>{head}</th>" for head in ("language", *_HEADS, "RTFx"))
    yield f'<div class="scroll"><table><thead><tr><th class="text">system</th>{heads}</tr></thead><tbody>'
    for system in systems:
        scores = list(system.scores.values())
        languages = by_language(scores)
        rows = [("all", figures(scores)), *languages.items()] if len(languages) != 1 else [*languages.items()]
        for number, (language, found) in enumerate(rows):
            yield _row(system.name, language, found, f"{system.rtfx:.1f}" if number == 0 else "")
    yield "</tbody></table></div>"
    yield from _times_table(systems)
    if compared:
        yield '<div class="scroll"><table><thead><tr><th class="text">compared</th><th>language</th><th>difference</th>'
        yield '<th>only first right</th><th>only second right</th><th class="text">verdict</th></tr></thead><tbody>'
        for a, b, by in compared:
            for language, one in by.items():
                yield (
                    f"<tr><td>{escape(a)} / {escape(b)}</td><td>{escape(language)}</td>"
                    f"<td>{100 * one.comparison.difference:+.2f}</td><td>{one.only_a}</td><td>{one.only_b}</td>"
                    f'<td class="text">{escape(verdict(one, a, b))}</td></tr>'
                )
        yield "</tbody></table></div>"
    yield (
        f'<p class="note">WER and CER after Whisper\'s normalizers. A hole: {HOLE_WORDS} or more reference words '
        "in a row without any of the transcript's. Difference: points of the error rate of the second system less that "
        "of the first; the interval has 95 % confidence (paired bootstrap). <del>Wrong</del> <ins>heard</ins> · "
        '<del class="miss">missing</del> · <ins>inserted</ins>. Click a word to hear it.</p>'
    )


def _times_table(systems: Sequence[Shown]) -> Iterator[str]:
    found = [(system.name, figures(list(system.scores.values())).times) for system in systems]
    kinds = list(dict.fromkeys(kind for _, times in found for kind in times))
    if kinds:
        heads = "".join(f"<th>{kind.replace('_', ' ')}</th>" for kind in kinds)
        yield '<div class="scroll"><table><caption>Errors of times, in ms: median / 95th percentile</caption>'
        yield f'<thead><tr><th class="text">system</th>{heads}</tr></thead><tbody>'
        for name, times in found:
            cells = "".join(f"<td>{spread(times.get(kind))}</td>" for kind in kinds)
            yield f"<tr><td>{escape(name)}</td>{cells}</tr>"
        yield "</tbody></table></div>"


def _row(name: str, language: str, found: Figures, speed: str) -> str:
    cells = [
        language, str(found.recordings), str(found.failed), percent(found.wer), percent(found.cer),
        str(found.counts.substituted), str(found.counts.deleted), str(found.counts.inserted), percent(found.coverage),
        str(found.holes), str(found.wrong_language), speed,
    ]  # fmt: skip
    return f"<tr><td>{escape(name)}</td>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def _tools(systems: Sequence[Shown]) -> str:
    languages = sorted({score.language or "?" for system in systems for score in system.scores.values()})
    options = "".join(f"<option>{escape(language)}</option>" for language in languages)
    return (
        f'<div class="tools"><label>Language <select id="language"><option value="">all</option>{options}</select>'
        '</label><label>Show <select id="only"><option value="">all</option><option value="errors">with errors</option>'
        '<option value="holes">with holes</option><option value="differs">where systems differ</option></select>'
        "</label>"
        '<label>Sort <select id="sort"><option value="name">by name</option><option value="rate">by error rate</option>'
        '<option value="errors">by errors</option><option value="differs">by differences</option></select></label>'
        '<button id="next">Next error</button></div>'
    )


# Recordings


def _articles(systems: Sequence[Shown], audio: Mapping[str, str]) -> Iterator[str]:
    names = list(dict.fromkeys(name for system in systems for name in system.scores))
    for name in names:
        known = [(system.name, system.scores[name]) for system in systems if name in system.scores]
        differing = _differing([score for _, score in known])
        first = known[0][1]
        rate, errors = max(score.rate for _, score in known), max(score.counts.edits for _, score in known)
        holes = sum(len(score.holes) for _, score in known)
        yield (
            f'<article data-name="{escape(name)}" data-language="{escape(first.language or "?")}"'
            f' data-rate="{rate:.5f}" data-errors="{errors}" data-holes="{holes}" data-differs="{len(differing)}">'
            f'<header><h2>{escape(name)}</h2><span class="note">{escape(first.language or "?")}</span>'
            f"{_player(audio.get(name))}</header>"
        )
        for system_name, score in known:
            yield _system(system_name, score, differing)
        yield "</article>"


def _player(address: str | None) -> str:
    return "" if address is None else f'<audio controls preload="none" src="{escape(address)}"></audio>'


def _differing(scores: Sequence[Score]) -> frozenset[int]:
    """The words of the reference that some systems have right and others do not."""
    right = [{step.a for step in score.steps if step.kind is Kind.EQUAL} for score in scores]
    words = range(len(scores[0].reference))
    return frozenset(word for word in words if len({word in of for of in right}) > 1)


def _system(name: str, score: Score, differing: frozenset[int]) -> str:
    counts, failed = score.counts, score.transcribed.error
    note = f"{percent(score.rate)}: {counts.substituted} wrong, {counts.deleted} missing, {counts.inserted} inserted"
    text = f'<p class="note">{escape(failed)}</p>' if failed else f"<p>{''.join(_text(score, differing))}</p>"
    heading = f'<span class="note">{escape(note)}</span>'
    lang = f' lang="{escape(score.language)}"' if score.language else ""
    return f'<section class="system"{lang}><h3>{escape(name)} {heading}</h3>{text}</section>'


def _text(score: Score, differing: frozenset[int]) -> Iterator[str]:
    """The steps in order. Missing words without times have the time between their neighbours."""
    between = "" if score.by_characters else " "
    runs = [list(run) for _, run in groupby(score.steps, key=lambda step: step.kind)]
    for number, run in enumerate(runs):
        gap = _gap(score, runs[:number], runs[number + 1 :]) if run[0].kind is Kind.DELETED else None
        for step in run:
            classes = ["differs"] if step.a in differing else []
            if step.kind is Kind.DELETED:
                classes += ["miss", *(["hole"] if len(run) >= HOLE_WORDS else [])]
            yield between.join(_marked(score, step, gap, " ".join(classes))) + between


def _gap(score: Score, before: Sequence[Sequence[Step]], after: Sequence[Sequence[Step]]) -> tuple[float, float] | None:
    """From the end of the last word heard before to the start of the next one, a few seconds if there is none."""
    last = next((score.heard[s.b] for run in reversed(before) for s in reversed(run) if s.b is not None), None)
    following = next((score.heard[s.b] for run in after for s in run if s.b is not None), None)
    start = last.end if last else None
    end = following.start if following else None
    if start is None and end is None:
        return None
    start = max(0.0, (end or 0.0) - GAP_S) if start is None else start
    return start, max(start, start + GAP_S if end is None else end)


def _marked(score: Score, step: Step, gap: tuple[float, float] | None, classes: str) -> list[str]:
    a = None if step.a is None else score.reference[step.a]
    b = None if step.b is None else score.heard[step.b]
    if a is not None and b is not None and step.kind is Kind.SUBSTITUTED:
        return [_word(a, _times(b), "del", classes), _word(b, _times(b), "ins", classes)]
    if b is not None:
        return [_word(b, _times(b), "span" if step.kind is Kind.EQUAL else "ins", classes)]
    return [_word(a, _times(a) or gap, "del", classes)] if a is not None else []


def _times(token: Token) -> tuple[float, float] | None:
    return None if token.start is None or token.end is None else (token.start, token.end)


def _word(token: Token, times: tuple[float, float] | None, tag: str, classes: str) -> str:
    """`times`: what is played; None: unknown."""
    played = "" if times is None else f' data-s="{times[0]:.2f}" data-e="{times[1]:.2f}" tabindex="0"'
    css = f' class="{classes}"' if classes else ""
    title = f' title="{escape(token.form)}"' if token.form != plain(token.text) else ""
    return f"<{tag}{css}{played}{title}>{escape(token.text or token.form)}</{tag}>"
