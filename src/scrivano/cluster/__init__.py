"""Children of a runner on other machines, through Ray. The server process imports none of it.

A node runs the same child program as one machine alone does. An actor beside it passes its messages on, and fetches and
stores audio, so that the child needs no network and no credentials.

May import: domain, engines, files, processes, running.

Modules, each may import only those below it:

    ray_children   starts children on nodes; the only module that imports Ray
    ray_address    whether a cluster answers
    ray_options    what actors ask a cluster for
    ray_process    a child of a node as a process of the dispatcher
    node_child     a node's end: the child, and what it reads and writes
    translation    messages of children, with the places of their audio exchanged
    audio_names    how parts of prepared audio are named (pure)
    start_failures why a child cannot be started on a node, and which nodes are avoided
    node_folder    a folder for as long as a process runs
    files_of_jobs  what the dispatcher has instead of local audio
"""

__all__ = ["files_of_jobs", "node_child", "ray_address", "ray_children", "ray_options"]
