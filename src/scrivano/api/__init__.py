"""The HTTP interfaces: one file for each resource, and one for each other server's protocol.

May import: auth, comparison, domain, engines, files, housekeeping, running, store, submission, telemetry, text,
webhooks.

Modules, each may import only those below it:

    app               the application: routes, middleware in order, error responses
    dispatcher_app    the application of a dispatcher: probes and metrics
    openapi           complete the OpenAPI document from what routes declare
    compat            other servers' protocols
    routes            the native interface
    services          the parts of the server that routes use, as dependencies
    long_calls        calls that wait longer than proxies do
    request_body      a request's body for `submission`
    middleware        authorization, limits of bodies, telemetry, security headers
    event_schemas     events and webhooks for the OpenAPI document
    documentation     request bodies, examples and error descriptions of the OpenAPI document
    checks            the checks of probes
    errors            errors as responses
    routing           what a route declares: scopes, error format, size of its body
    schemas           the JSON bodies of responses
    chunked_response  responses in several pieces
    cursors           where a page of a list ended
    sse               Server-Sent Events
"""

__all__ = ["app", "dispatcher_app", "long_calls", "middleware", "schemas", "services"]
