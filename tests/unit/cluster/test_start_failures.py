"""Reasons why a child cannot be started on a node."""

from __future__ import annotations

import pytest

from scrivano.cluster.start_failures import AVOID_S, UnfitNodes, check_version, failed_node, start_failure
from scrivano.domain.errors import StartError

TRACEBACK = """The actor died because of an error raised in its creation
task, \x1b[36mray::RayNodeChild.__init__()\x1b[39m
(pid=4711, ip=10.0.0.7, actor_id=0123, repr=<scrivano.cluster.ray_children.RayNodeChild object at 0x7f>)
  File "/opt/scrivano/lib/python3.12/site-packages/scrivano/cluster/ray_children.py", line 128, in __init__
    check_version(_node_address(), __version__, version)
{}
"""


def test_a_node_with_the_same_version_is_used() -> None:
    check_version("10.0.0.7", "1.2.3", "1.2.3")


def test_a_node_with_another_version_is_refused_by_name() -> None:
    with pytest.raises(StartError) as refused:
        check_version("10.0.0.7", "1.3.0", "1.2.3")

    said = start_failure(TRACEBACK.format(f"scrivano.domain.errors.StartError: {refused.value}"))
    assert said == str(refused.value)
    assert said.startswith("node 10.0.0.7 has Scrivano 1.3.0, and its dispatcher has 1.2.3: install the same version")


def test_of_a_traceback_the_node_and_the_reason_are_told() -> None:
    said = start_failure(TRACEBACK.format("ModuleNotFoundError: No module named 'scrivano.cluster'"))

    assert said == "node 10.0.0.7 cannot start a child: No module named 'scrivano.cluster'"


def test_what_names_no_node_is_told_in_one_line() -> None:
    assert start_failure("there is\nno room  for it") == "there is no room for it"


NODES = [
    {"NodeID": "aa", "NodeManagerAddress": "10.0.0.7"},
    {"NodeID": "bb", "NodeManagerAddress": "10.0.0.8"},
]


def test_a_node_that_cannot_start_a_child_is_avoided_for_a_while() -> None:
    now = [0.0]
    unfit = UnfitNodes(lambda: now[0])
    gpu = {"ray.io/accelerator-type": "L4"}
    assert unfit.placing({}, lambda: NODES) == {}

    unfit.add(failed_node(TRACEBACK.format("OSError: no room")) or "")

    assert unfit.placing({}, lambda: NODES) == {
        "label_selector": {"ray.io/node-id": "!in(aa)"},
        "fallback_strategy": [{"label_selector": {}}],
    }, "the node is used if no other has room"
    assert unfit.placing(gpu, lambda: NODES)["fallback_strategy"] == [{"label_selector": gpu}]
    assert unfit.placing(gpu, lambda: NODES)["label_selector"] == {**gpu, "ray.io/node-id": "!in(aa)"}
    assert unfit.placing({}, lambda: NODES[1:]) == {}, "the node is gone"
    now[0] = AVOID_S
    assert unfit.placing(gpu, lambda: NODES) == {"label_selector": gpu}
    assert failed_node("there is no room for it") is None
