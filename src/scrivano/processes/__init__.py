"""Child processes: start, talk, watch, kill.

May import: nothing of the other packages.

Modules, each may import only those below it:

    fork_server     a loaded process whose forks start in milliseconds
    child           a process that speaks JSON lines
    engine_results  what an engine child said, validated
"""

__all__ = ["child", "engine_results", "fork_server"]
