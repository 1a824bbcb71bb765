"""The endings of recordings, for folders with other files in them. A file that is named itself may have any name."""

from __future__ import annotations

__all__ = ["RECORDING_ENDINGS"]

# fmt: off
RECORDING_ENDINGS = frozenset((
    ".3gp", ".aac", ".aif", ".aiff", ".amr", ".ape", ".asf", ".au", ".avi", ".caf", ".flac", ".flv",
    ".m2ts", ".m4a", ".m4b", ".m4v", ".mka", ".mkv", ".mov", ".mp2", ".mp3", ".mp4", ".mpeg", ".mpg",
    ".mts", ".oga", ".ogg", ".ogv", ".opus", ".ts", ".wav", ".webm", ".wma", ".wmv", ".wv",
))
# fmt: on
