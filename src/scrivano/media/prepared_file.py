"""The file of prepared audio: 16 kHz mono s16le, which engines read."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray


class PreparedFile:
    """Written from the start, block by block. Digital silence becomes a hole in the file, which takes no disk space.

    If an earlier media child of the same attempt died, its file is overwritten with the same bytes and never shortened
    before the end: an engine may be reading chunks that the earlier child sent.
    """

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._earlier_bytes = os.fstat(self._fd).st_size
        self._file_bytes = self._earlier_bytes
        self._written_bytes = 0

    @property
    def samples(self) -> int:
        """Samples written so far."""
        return self._written_bytes // 2

    def write(self, audio: NDArray[np.int16]) -> None:
        # Only beyond the end of the earlier file is a hole certain to read as zeros.
        hole = self._written_bytes >= self._earlier_bytes and not audio.any()
        data = b"" if hole else audio.astype("<i2", copy=False).tobytes()
        written = 0
        while written < len(data):
            written += os.pwrite(self._fd, data[written:], self._written_bytes + written)
        self._written_bytes += audio.nbytes

    def extend(self) -> None:
        """Make the file as long as the audio written so far, so that readers find a hole at its end too."""
        if self._file_bytes < self._written_bytes:
            os.ftruncate(self._fd, self._written_bytes)
            self._file_bytes = self._written_bytes

    def finish(self) -> None:
        """Cut off what an earlier child left.

        The file need not survive a power cut, so it is not synced: every start of the server deletes prepared audio.
        """
        os.ftruncate(self._fd, self._written_bytes)

    def close(self) -> None:
        os.close(self._fd)
