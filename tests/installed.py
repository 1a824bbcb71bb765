"""What `.ci/run` has installed: in CI, a test of it fails where it is missing, so that it is not skipped unseen."""

from __future__ import annotations

import os

__all__ = ["must_be_there"]


def must_be_there(name: str) -> bool:
    """Whether tests that need `browser` or `node` must not be skipped: in CI, if `.ci/run` found a way to it."""
    return bool(os.environ.get("CI")) and name not in os.environ.get("CI_LACKS", "").split()
