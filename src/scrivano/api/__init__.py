"""The HTTP server: one file a protocol, all over the same jobs."""

from scrivano.api.app import create_app
from scrivano.api.requests import Requests
from scrivano.api.services import Services

__all__ = ["Requests", "Services", "create_app"]
