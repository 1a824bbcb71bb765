"""The application of a dispatcher: whether it works, and what it has done. It takes no jobs and knows no keys."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from scrivano.api.checks import OK, check_runner, checks_response
from scrivano.api.errors import Problem, error_response
from scrivano.api.middleware.security_headers import SecurityHeaders
from scrivano.api.routing import ErrorFormat
from scrivano.running.executor import Executor
from scrivano.store.database import Database
from scrivano.telemetry.metrics import Metrics

__all__ = ["create_dispatcher_app"]

logger = logging.getLogger(__name__)

# A probe waits so long for the database: supervisors wait for a probe a little longer.
CHECK_S = 3.0

NO_ANSWER = "the database does not answer: see whether PostgreSQL hangs, or the network to it"
STOPPING = "the dispatcher is stopping"
ROUTES = "a dispatcher answers GET /health, /livez and /metrics; jobs and all else are at the servers"


def create_dispatcher_app(
    metrics: Metrics, executor: Executor, database: Database, stopping: Callable[[], bool]
) -> ASGIApp:
    check_database = DatabaseCheck(database)

    def live() -> Mapping[str, str]:
        return {"runner": check_runner(executor, stopping=stopping())}

    # What waits is not async: it is called in a thread.
    def health(request: Request) -> Response:
        """Whether it dispatches."""
        stops = {"stopping": STOPPING if stopping() else OK}
        return checks_response({**live(), "store": check_database(), **stops})

    async def livez(request: Request) -> Response:
        """For a supervisor: only a restart helps. A database that is gone does not cause one."""
        return checks_response(live())

    def render(request: Request) -> Response:
        body, content_type = metrics.render(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    app = Starlette(
        routes=[Route("/health", health), Route("/livez", livez), Route("/metrics", render)],
        exception_handlers={HTTPException: _refused, Exception: _internal_error},
    )
    app.router.redirect_slashes = False
    return SecurityHeaders(app, shared=False)


class DatabaseCheck:
    """A database that hangs holds one connection, not one for each probe, and holds up neither a probe nor a stop."""

    def __init__(self, database: Database, wait_s: float = CHECK_S) -> None:
        self._database = database
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._answer: Future[str] | None = None

    def __call__(self) -> str:
        with self._lock:
            answer = self._answer
            if answer is None or answer.done():
                answer = self._answer = Future()
                threading.Thread(target=self._ask, args=(answer,), name="database-check", daemon=True).start()
        try:
            return answer.result(self._wait_s)
        except TimeoutError:
            return NO_ANSWER

    def _ask(self, answer: Future[str]) -> None:
        try:
            answer.set_result(self._database.fault() or OK)
        except Exception as error:  # it belongs to the request, which logs it
            answer.set_exception(error)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = ROUTES if error.status_code in (404, 405) else error.detail
    return error_response(
        ErrorFormat.PLAIN, Problem(status=error.status_code, message=message, headers=error.headers or {})
    )


def _internal_error(request: Request, error: Exception) -> Response:
    logger.error("a request failed: %s %s", request.method, request.url.path, exc_info=error)
    return error_response(ErrorFormat.PLAIN, Problem.internal())
