"""Calls to addresses that a client named.

May import: domain.

Modules, each may import only those below it:

    guarded_transport  HTTP that reaches public addresses only
"""

__all__ = ["guarded_transport"]
