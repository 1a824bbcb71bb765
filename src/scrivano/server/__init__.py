"""The composition root: builds the parts of the server in order, runs them, closes them in reverse order.

May import: api, auth, domain, engines, files, housekeeping, net, processes, running, store, submission, telemetry,
webhooks, wyoming.

Modules, each may import only those below it:

    build        create every part, serve, and close
    connections  HTTP connections: limits that protect against slow clients
    gauges       metrics that are read at each scrape
    settings     every setting: flags, environment, file
"""

__all__ = ["build", "settings"]
