"""ASGI middleware, one file for each concern.

Modules, each may import only those below it:

    authorization     API keys, scopes, rate limits
    body_limits       how slowly and how much a body may come
    requests          request id, access log, request metrics
    security_headers  headers that protect browsers
"""

__all__ = ["authorization", "body_limits", "requests", "security_headers"]
