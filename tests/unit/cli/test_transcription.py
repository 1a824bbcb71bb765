from __future__ import annotations

from scrivano.cli.transcription import timed
from scrivano.domain.transcript import Segment, Transcript


def test_the_timed_format_has_one_line_for_each_segment() -> None:
    segments = (Segment(start=1.2, end=3.4, text="One."), Segment(start=3599.9996, end=3661.5, text="Two."))

    text = timed(Transcript(language="en", duration=3700.0, segments=segments))

    assert text == "[00:00:01.200 → 00:00:03.400]  One.\n[01:00:00.000 → 01:01:01.500]  Two.\n"
