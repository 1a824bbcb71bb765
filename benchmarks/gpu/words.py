"""The bundled model's words on the device and on the CPU: a device must not change what people have said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.accuracy import Errors, Recording, add, edits, plain, recordings
from benchmarks.gpu.check import Check
from benchmarks.gpu.results import Row
from benchmarks.servers import RequestOptions, Scrivano, scrivano

# The words of a quantised or half-precision model may differ a little: at most this share of them, in percent.
ALLOWED = 2.0


@dataclass(frozen=True, slots=True)
class Heard:
    """The words of each recording, and their errors."""

    words: list[list[str]]
    errors: Errors


def words(check: Check) -> Iterator[Row]:
    chosen = sorted(recordings(), key=lambda one: one.path.stat().st_size)[: check.size.word_recordings or None]
    like = _hear("cpu", "float32", chosen)
    yield _row("cpu, float32", like, like, allowed=0)
    types = ("float32", *check.size.compute_types) if check.on_gpu else check.size.compute_types
    for compute_type in types:
        heard = _hear(check.device, compute_type, chosen)
        yield _row(f"{check.device}, {compute_type}", heard, like, allowed=0 if compute_type == "float32" else ALLOWED)


def _hear(device: str, compute_type: str, chosen: Sequence[Recording]) -> Heard:
    with scrivano(DEVICE=device, COMPUTE_TYPE=compute_type) as server:
        return _heard(server, chosen)


def _heard(server: Scrivano, chosen: Sequence[Recording]) -> Heard:
    errors, texts = Errors(), []
    for recording in chosen:
        segments = server.transcribe(recording.path, RequestOptions(language=recording.language, words=True))
        add(errors, recording, segments)
        texts.append(plain(" ".join(segment["text"] for segment in segments)))
    return Heard(texts, errors)


def _row(name: str, heard: Heard, like: Heard, *, allowed: float) -> Row:
    other = sum(edits(theirs, mine) for theirs, mine in zip(like.words, heard.words, strict=True))
    percent = 100 * other / max(1, sum(map(len, like.words)))
    return Row(
        name=f"words of nano: {name}",
        value=percent,
        unit="% differ",
        detail=f"{other} words differ from the CPU's in float32; {heard.errors.wrong} of {heard.errors.words} wrong",
        ok=percent <= allowed and heard.errors.words > 0 and any(heard.words),
        data={"words": [" ".join(one) for one in heard.words], "wrong": heard.errors.wrong},
    )
