from __future__ import annotations

import pytest

from scrivano.cluster.audio_names import BLOCK_S, PreparedAudio, blocks
from scrivano.domain.chunk import SAMPLE_RATE

MINUTE = BLOCK_S * SAMPLE_RATE


def test_a_path_of_prepared_audio_names_a_job_an_attempt_and_a_side() -> None:
    assert PreparedAudio.of("/data/prepared/a-b.12.pcm") == PreparedAudio("a-b", 12)
    assert PreparedAudio.of("a-b.12.pcm.3") == PreparedAudio("a-b", 12, 3)


@pytest.mark.parametrize("path", ["", "a.pcm", "a.1.voices", "a.1.pcm.x", "/etc/passwd"])
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match="not the name"):
        PreparedAudio.of(path)


def test_no_two_parts_have_the_same_name() -> None:
    sides = [PreparedAudio("a", attempt, side) for attempt in (1, 11) for side in (0, 1)]
    names = [name for one in sides for start in (0, 1, 11) for name in (one.chunk(start), one.block(start))]

    assert len(set(names)) == len(names)


def test_blocks_cover_a_stretch_without_gaps() -> None:
    assert blocks(5, 5 + MINUTE) == [(5, 5 + MINUTE)]
    assert blocks(5, 6 + MINUTE) == [(5, 5 + MINUTE), (5 + MINUTE, 6 + MINUTE)]
    assert blocks(7, 7) == []
