"""API keys: what a key may do, and its limits.

May import: domain.

Modules, each may import only those below it:

    key_ring       the keys of a running server, reloaded when the file changes
    stream_tokens  what stands for a key in a URL, for a few minutes
    rate_limiter   requests per minute and open streams of each key
    keys           a key, its verification, and the file of keys
"""

__all__ = ["key_ring", "keys", "rate_limiter", "stream_tokens"]
