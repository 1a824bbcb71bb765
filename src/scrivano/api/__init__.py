"""HTTP: one file for each resource or foreign interface, all over the same jobs.

May import: auth, domain, engines, files, housekeeping, running, store, submission, telemetry, text, webhooks.

Modules, each may import only those below it:

    app              the application: routes, error handlers, documentation page
    openapi          the OpenAPI document
    compat           other servers' interfaces
    routes           the native interface, one file for each resource
    services         what routes work with
    request_body     a request's body for `submission`
    middleware       one concern of every request in each file
    errors           errors as responses
    routing          what a route declares: scopes, error format, size of its body
    schemas          the JSON bodies of the native interface
    response_chunks  large responses without a copy
    cursors          where a page of a list ends
    sse              Server-Sent Events: framing
"""

__all__ = ["app", "middleware", "services"]
