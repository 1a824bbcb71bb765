"""Why a child cannot be started on a node, in one line that names the node. Pure."""

from __future__ import annotations

import re

from scrivano.domain.errors import StartError

__all__ = ["check_version", "start_failure"]

MAX_CHARS = 500

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

# How Ray names the node of an actor in the traceback of its start: `(pid=…, ip=…, actor_id=…)`.
_NODE = re.compile(r"\bpid=\d+, ip=([^,)\s]+)")

# The class of an exception before its message, as in a traceback.
_CLASS = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception|Failure): ")


def check_version(node: str, here: str, dispatcher: str) -> None:
    """Raises `StartError`: the node has a version of Scrivano that may understand requests differently."""
    if here != dispatcher:
        raise StartError(
            f"node {node} has Scrivano {here}, and its dispatcher has {dispatcher}: install the same version on both,"
            " or start both from images of one version"
        )


def start_failure(text: str) -> str:
    """`text`: what Ray says, mostly a traceback of the node, in colours. Its last line is the reason."""
    plain = _COLOUR.sub("", text).strip()
    node = _NODE.search(plain)
    if node is None:
        return " ".join(plain.split())[:MAX_CHARS]
    reason = _CLASS.sub("", plain.splitlines()[-1].strip())[:MAX_CHARS]
    return reason if reason.startswith(f"node {node[1]} ") else f"node {node[1]} cannot start a child: {reason}"
