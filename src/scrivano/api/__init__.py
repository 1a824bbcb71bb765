"""The HTTP server: one file a protocol, all over the same jobs."""

from scrivano.api.app import create_app
from scrivano.api.bodies import Pace
from scrivano.api.edge import Edge
from scrivano.api.requests import Requests
from scrivano.api.services import Services

__all__ = ["Edge", "Pace", "Requests", "Services", "create_app"]
