"""API keys: what a key may do, and how much.

May import: domain.

Modules, each may import only those below it:

    key_ring    the keys of a running server, reloaded when the file changes
    rate_limit  requests a minute and open streams of each key
    keys        a key, its proof, and the file of keys
"""

__all__ = ["key_ring", "keys", "rate_limit"]
