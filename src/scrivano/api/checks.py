"""The checks of probes, and their results as a response."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Response

from scrivano.api.schemas import ChecksResponse, FailedChecksResponse
from scrivano.running.executor import Executor

__all__ = ["OK", "check_runner", "checks_response"]

OK = "ok"
RUNNER_ENDED = "the runner has failed, and this process stops; its log has the error: start it again"
RUNNER_STUCK = "the runner has made no progress for minutes: restart this process; no job is lost by that"


def check_runner(executor: Executor, *, stopping: bool) -> str:
    """`stopping`: the process does, so that the runner may have ended."""
    if not executor.alive and not stopping:
        return RUNNER_ENDED
    return RUNNER_STUCK if executor.stuck else OK


def checks_response(checks: Mapping[str, str]) -> Response:
    """200 if all are `OK`, else 503. `checks`: the result of each, by its name."""
    failures = [result for result in checks.values() if result != OK]
    if failures:
        return FailedChecksResponse(error="; ".join(failures), checks=dict(checks)).response(503)
    return ChecksResponse(status=OK, checks=dict(checks)).response()
