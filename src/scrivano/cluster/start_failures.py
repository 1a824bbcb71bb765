"""Why a child cannot be started on a node, in one line that names the node, and which nodes are avoided for it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scrivano.domain.errors import StartError

__all__ = ["UnfitNodes", "check_version", "failed_node", "start_failure"]

MAX_CHARS = 500

# A node on which a child could not be started is avoided for so long: somebody may mend it meanwhile.
AVOID_S = 60.0

NODE_ID = "ray.io/node-id"

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


def failed_node(text: str) -> str | None:
    """The address of the node that `text` is about; None: it names none."""
    node = _NODE.search(_COLOUR.sub("", text))
    return None if node is None else node[1]


class UnfitNodes:
    """The nodes on which a child could not be started lately. Any thread may use it."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def add(self, address: str) -> None:
        with self._lock:
            self._until[address] = self._now() + AVOID_S

    def placing(self, labels: Mapping[str, str], nodes: Callable[[], Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
        """The options of an actor whose node must have these labels, and is another one than these nodes if any other
        has room. `nodes`: those of the cluster, as Ray lists them."""
        required: dict[str, Any] = {"label_selector": dict(labels)} if labels else {}
        with self._lock:
            self._until = {address: until for address, until in self._until.items() if until > self._now()}
            unfit = set(self._until)
        ids = [node["NodeID"] for node in nodes() if node["NodeManagerAddress"] in unfit] if unfit else []
        if not ids or NODE_ID in labels:
            return required
        others = {**labels, NODE_ID: f"!in({','.join(ids)})"}
        return {"label_selector": others, "fallback_strategy": [{"label_selector": dict(labels)}]}
