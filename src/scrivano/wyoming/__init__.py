"""Wyoming over TCP: Home Assistant's protocol for voice. It submits jobs as HTTP does.

May import: auth, domain, submission.

Modules, each may import only those below it:

    server  the connections and their messages: describe, transcribe, audio
"""

__all__ = ["server"]
