"""The rate at which recordings are prepared: does it keep up with the device?"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks.gpu.check import Check
from benchmarks.gpu.results import Row
from benchmarks.load import at_once
from benchmarks.machine import cores
from scrivano.processes.messages import MediaMessage, Prepare, Prepared, encoder, parser


def preparation(check: Check) -> Iterator[Row]:
    for suffix in ("flac", "mp3"):
        source = check.speech(check.size.prepared_s, suffix)
        for count in check.size.preparing:
            yield _rate(check, source, count)


def _rate(check: Check, source: Path, count: int) -> Row:
    """Each of `count` children prepares the whole recording; the start of their processes counts."""
    targets = [check.scratch / f"prepared-{n}" for n in range(count)]
    took = at_once([partial(prepare, source, target) for target in targets])
    for target in targets:
        target.unlink()
    audio_s = count * check.size.prepared_s
    return Row(
        name=f"preparation of {source.suffix[1:]}, {count} at once",
        value=audio_s / took.seconds,
        unit="x real time",
        detail=f"{audio_s:.0f} s of audio in {took.seconds:.2f} s on {cores()} cores",
    )


def prepare(source: Path, target: Path) -> None:
    """In a media child, as the server does it."""
    request = encoder(Prepare)(Prepare(source=str(source), target=str(target), max_audio_s=86_400))
    process = subprocess.Popen(
        [sys.executable, "-m", "scrivano.media.child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(request if request.endswith(b"\n") else request + b"\n")
        process.stdin.flush()  # It stays open: a child whose server is gone ends at once.
        _check_end([parser(MediaMessage)(line) for line in process.stdout])


def _check_end(messages: Sequence[MediaMessage]) -> None:
    if not messages or not isinstance(messages[-1], Prepared) or not messages[-1].chunks:
        raise RuntimeError(f"the recording was not prepared: {messages[-1:]}")
