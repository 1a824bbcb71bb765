"""Webhooks: sign, deliver, retry.

May import: domain, housekeeping, net, store, telemetry.

Modules, each may import only those below it:

    sender           deliver what the store owes
    circuit_breaker  which hosts may be called now (pure)
"""

__all__ = ["sender"]
