"""What is stored of voices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from speaker_material import dialogue, stretch

from scrivano.speakers import chunk_voices
from scrivano.speakers.spool import read_spool, write_spool


def test_voices_come_back_as_they_were() -> None:
    stored = [dialogue([0, 1]), stretch([], 12.0, start_s=9.0), dialogue([2], start_s=21.0)]

    found = chunk_voices.load(chunk_voices.dump(stored))

    assert [one.start for one in found] == [one.start for one in stored]
    for one, other in zip(found, stored, strict=True):
        assert np.array_equal(one.activity, other.activity)
        assert np.array_equal(one.spans, other.spans)
        assert np.array_equal(one.parts, other.parts)
        assert np.array_equal(one.solid, other.solid)
        assert (one.vectors * other.vectors).sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_a_chunk_without_sound_is_stored_too() -> None:
    assert chunk_voices.load(chunk_voices.dump([])) == []


def test_a_minute_of_speech_takes_less_than_fifty_kilobytes() -> None:
    assert len(chunk_voices.dump([dialogue([0, 1] * 7)])) < 50_000


def test_voices_of_another_version_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(chunk_voices, "MODEL", "older")
        data = chunk_voices.dump([dialogue([0])])

    with pytest.raises(ValueError, match="another version"):
        chunk_voices.load(data)


@pytest.mark.parametrize("data", [b"", b"voices", b"PK\x03\x04 truncated"])
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no stored voices"):
        chunk_voices.load(data)


def test_a_spool_has_the_voices_of_every_chunk_in_order(tmp_path: Path) -> None:
    path = tmp_path / "voices"

    write_spool(path, [b"one", b"", b"three" * 1000])

    assert list(read_spool(path)) == [b"one", b"", b"three" * 1000]
