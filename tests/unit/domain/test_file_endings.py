from __future__ import annotations

import pytest

from scrivano.domain.file_endings import is_recording_name


@pytest.mark.parametrize(
    ("name", "is_recording"),
    [
        ("talk.mp3", True),
        ("Talk.WAV", True),
        (".talk.mp3", False),
        ("mp3", False),
        (".mp3", False),
        ("talk.txt", False),
    ],
)
def test_files_of_a_folder_are_recordings_by_their_ending_unless_they_are_hidden(name: str, is_recording: bool) -> None:
    assert is_recording_name(name) is is_recording
