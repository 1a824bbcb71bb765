"""Calls to addresses that a client named.

May import: domain.

Modules, each may import only those below it:

    guarded_transport  HTTP that connects to allowed addresses only
    address_policy     which addresses the server may call (pure)
"""

__all__ = ["address_policy", "guarded_transport"]
