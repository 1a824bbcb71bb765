"""The endings of recordings, for folders with other files in them. A file that is named itself may have any name."""

from __future__ import annotations

from pathlib import PurePath

__all__ = ["RECORDING_ENDINGS", "is_recording_name"]

# fmt: off
RECORDING_ENDINGS = frozenset((
    ".3gp", ".aac", ".aif", ".aiff", ".amr", ".ape", ".asf", ".au", ".avi", ".caf", ".flac", ".flv",
    ".m2ts", ".m4a", ".m4b", ".m4v", ".mka", ".mkv", ".mov", ".mp2", ".mp3", ".mp4", ".mpeg", ".mpg",
    ".mts", ".oga", ".ogg", ".ogv", ".opus", ".ts", ".wav", ".webm", ".wma", ".wmv", ".wv",
))
# fmt: on


def is_recording_name(name: str) -> bool:
    """Whether a file of a folder is taken for a recording; hidden ones are not."""
    return PurePath(name).suffix.lower() in RECORDING_ENDINGS and not name.startswith(".")
