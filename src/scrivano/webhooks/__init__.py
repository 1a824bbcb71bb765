"""Webhooks: sign, deliver, retry.

May import: domain, housekeeping, net, store, telemetry.

Modules, each may import only those below it:

    sender           deliver what is in the outbox
    circuit_breaker  which calls may be made now (pure)
    retry            whether and when a failed call is made again (pure)
    signature        sign as Standard Webhooks specifies (pure)
"""

__all__ = ["sender"]
