"""ASGI middleware, one file for each concern. `app` defines the order.

Modules, each may import only those below it:

    request_telemetry  request id, log line, metrics, trace span
    authorization      API keys, scopes, limits of a key
    body_limits        how slowly a request body may arrive, and how large it may be
    blank_parameters   parameters of the query without a value
    security_headers   response headers that protect browsers
"""

__all__ = ["authorization", "blank_parameters", "body_limits", "request_telemetry", "security_headers"]
