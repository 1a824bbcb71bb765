"""What a route declares about itself, and how a request finds it.

Middleware, error responses and the OpenAPI document all read these declarations; none of them knows a path.
A route without a declaration cannot be registered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeVar

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette._utils import get_route_path
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from scrivano.auth.keys import Scope as KeyScope

__all__ = ["ErrorFormat", "PolicyRoute", "RouteMatching", "RoutePolicy", "Router", "policy_of", "template_of"]

_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])

# Attribute of an endpoint function, and key of an ASGI scope.
_POLICY_ATTRIBUTE = "_route_policy"
_POLICY_KEY = "scrivano.route_policy"
_TEMPLATE_KEY = "scrivano.template"


class ErrorFormat(Enum):
    """How the clients of a protocol read an error. The status is the same in all formats."""

    # {"error": "<message>"}
    PLAIN = auto()
    # {"error": {"message", "type", "param", "code"}}
    OPENAI = auto()
    # No body: Bazarr writes any body into the subtitle file without checking the status.
    EMPTY = auto()
    # As PLAIN, with the headers that tus requires.
    TUS = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutePolicy:
    """`scopes`: an API key needs one of them (an admin key has all); None: no key is needed.

    `event_stream`: the response is a stream of events, which ends when its key is revoked, and counts towards the
    key's open streams. `stream_token`: a token in the query may stand for the key. `takes_recording`: the body may have
    any size. `probe`: called every few seconds, so neither traced nor logged while it succeeds.
    """

    scopes: frozenset[KeyScope] | None
    errors: ErrorFormat = ErrorFormat.PLAIN
    event_stream: bool = False
    stream_token: bool = False
    takes_recording: bool = False
    probe: bool = False


class PolicyRoute(APIRoute):
    """A route with the policy that its endpoint declares. Raises `TypeError` if there is none."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        policy = getattr(endpoint, _POLICY_ATTRIBUTE, None)
        if policy is None:
            raise TypeError(
                f"{path} does not declare its policy: decorate it with `requires` or `public` of its router"
            )
        self.policy: RoutePolicy = policy


class Router(APIRouter):
    """The routes of one resource or protocol.

    `errors` is the error format of its routes, unless they declare another, and of unknown paths below its `prefix`.
    """

    def __init__(self, *, tag: str, prefix: str = "", errors: ErrorFormat = ErrorFormat.PLAIN) -> None:
        super().__init__(prefix=prefix, tags=[tag], route_class=PolicyRoute, generate_unique_id_function=_operation_id)
        self.errors = errors

    def requires(
        self,
        scope: KeyScope,
        *others: KeyScope,
        event_stream: bool = False,
        stream_token: bool = False,
        takes_recording: bool = False,
        probe: bool = False,
        errors: ErrorFormat | None = None,
    ) -> Callable[[_Endpoint], _Endpoint]:
        """Declare an endpoint that takes an API key with one of these scopes. Goes below the route's decorator."""
        return _declare(
            RoutePolicy(
                scopes=frozenset({scope, *others}),
                errors=errors or self.errors,
                event_stream=event_stream,
                stream_token=stream_token,
                takes_recording=takes_recording,
                probe=probe,
            )
        )

    def public(self, *, probe: bool = False) -> Callable[[_Endpoint], _Endpoint]:
        """Declare an endpoint that takes no API key. Goes below the route's decorator."""
        return _declare(RoutePolicy(scopes=None, errors=self.errors, probe=probe))


def _operation_id(route: APIRoute) -> str:
    """Stable and readable, because generated clients name their methods after it: `jobs_submit`."""
    return re.sub(r"\W", "_", f"{route.tags[0]}_{route.name.strip('_')}")


def _declare(policy: RoutePolicy) -> Callable[[_Endpoint], _Endpoint]:
    def declare(endpoint: _Endpoint) -> _Endpoint:
        setattr(endpoint, _POLICY_ATTRIBUTE, policy)
        return endpoint

    return declare


class RouteMatching:
    """ASGI middleware: finds the policy of each request once, for the middleware inside and for error responses.

    `routes` are in the order in which the application tries them. `error_formats`: of unknown paths, by their prefix.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute], error_formats: Mapping[str, ErrorFormat]) -> None:
        self._app = app
        self._routes = routes
        self._error_formats = error_formats

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope[_POLICY_KEY], scope[_TEMPLATE_KEY] = self._match(scope)
        await self._app(scope, receive, send)

    def _match(self, scope: Scope) -> tuple[RoutePolicy, str | None]:
        """The policy of the route, and its path template; for a method that the path does not have, scopes and error
        format of its first."""
        first: BaseRoute | None = None
        for route in self._routes:
            match, _ = route.matches(scope)
            if match is Match.FULL:
                return _policy_of_route(route), getattr(route, "path", None)
            if match is Match.PARTIAL and first is None:
                first = route
        if first is None:
            return self._unknown(scope["method"], get_route_path(scope)), None
        policy = _policy_of_route(first)
        return RoutePolicy(scopes=policy.scopes, errors=policy.errors), getattr(first, "path", None)

    def _unknown(self, method: str, path: str) -> RoutePolicy:
        """Without a key, a caller does not learn that there is no such path."""
        scope = KeyScope.READ if method in ("GET", "HEAD") else KeyScope.ADMIN
        errors = (errors for prefix, errors in self._error_formats.items() if path.startswith(f"{prefix}/"))
        return RoutePolicy(scopes=frozenset({scope}), errors=next(errors, ErrorFormat.PLAIN))


def _policy_of_route(route: BaseRoute) -> RoutePolicy:
    """Closed by default: what is no `PolicyRoute`, such as a mounted application, takes an admin's key."""
    return route.policy if isinstance(route, PolicyRoute) else RoutePolicy(scopes=frozenset({KeyScope.ADMIN}))


def template_of(scope: Scope) -> str | None:
    """The path template of the request's route, such as `/jobs/{job_id}`, also if it is refused before its route runs;
    None for unknown paths. `RouteMatching` has seen the request."""
    template: str | None = scope[_TEMPLATE_KEY]
    return template


def policy_of(scope: Scope) -> RoutePolicy:
    """The policy of a request that `RouteMatching` has seen."""
    policy: RoutePolicy = scope[_POLICY_KEY]
    return policy
