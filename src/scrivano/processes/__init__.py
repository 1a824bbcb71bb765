"""Child processes: start, talk, watch, kill.

May import: domain.

Modules, each may import only those below it:

    fork_server     a loaded process whose forks start in milliseconds
    child           starts a child, sends it messages, reads its messages, kills it
    channel         the child's end of the same pipes
    voice_messages  every message between server and speakers child
    messages        every message between server, media child and engine child
"""

__all__ = ["channel", "child", "fork_server", "messages", "voice_messages"]
