"""What time alone makes necessary.

May import: domain, files, store.

Modules, each may import only those below it:

    retention    forget ended jobs after RETENTION_HOURS
    clock_jumps  notice jumps of the wall clock
"""

__all__ = ["clock_jumps", "retention"]
