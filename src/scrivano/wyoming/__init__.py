"""Wyoming over TCP, Home Assistant's protocol for voice, over the same jobs.

May import: api, domain, submission.

Modules, each may import only those below it:

    server  the protocol: describe, transcribe
"""

__all__ = ["server"]
