"""An entry in the log of a job, as subscribers read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class JobEvent:
    """`seq` counts from 1 within the job and is the SSE id.

    Types and their data:

    - `progress`: percent, chunk, chunks_total
    - `segment`: one segment, in file time; segments arrive in order
    - `language`: language, probability
    - `speakers`: speakers (id, name, seconds), and the id of the speaker of each segment; it replaces the one before
    - `done`: no data, the payload is the job itself
    - `error`: message, code
    - `retry`: no data; the job is transcribed again, and the events logged so far are deleted. A language that is
      still known is logged again
    """

    job_id: str
    seq: int
    type: str
    data: Mapping[str, Any]
