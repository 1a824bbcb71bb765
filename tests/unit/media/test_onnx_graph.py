"""A model in two halves; that they compute the same is tested with the real network (`test_media.py`)."""

from __future__ import annotations

import pytest

from scrivano.media.onnx_graph import halves


def field(number: int, content: bytes | str) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    size = len(data)
    length = bytes([size]) if size < 128 else bytes([size & 0x7F | 0x80, size >> 7])
    return bytes([number << 3 | 2]) + length + data


def node(operator: str, inputs: list[str], output: str) -> bytes:
    return field(1, b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, operator))


WEIGHTS = {name: field(5, field(8, name) + field(9, name * 50)) for name in ("w", "r")}
INPUTS = {name: field(11, field(1, name)) for name in ("x", "h")}
CONV = node("Conv", ["x", "w"], "c")
RELU = node("Relu", ["c"], "f")
LSTM = node("LSTM", ["f", "r", "h"], "y")
GRAPH = CONV + RELU + LSTM + b"".join([*WEIGHTS.values(), *INPUTS.values()]) + field(12, field(1, "y"))
SHAPES = field(13, field(1, "c")) + field(13, field(1, "f") + field(2, "type"))
VERSION = b"\x08\x08" + field(2, "maker")
MODEL = VERSION + field(7, GRAPH + SHAPES) + field(8, "opset")


def test_each_half_has_its_nodes_weights_and_inputs() -> None:
    first, second = halves(MODEL, "LSTM")

    between = field(1, "f") + field(2, "type")
    name = field(2, "part")
    ends = VERSION + field(8, "opset")
    assert first == ends + field(7, name + CONV + RELU + WEIGHTS["w"] + INPUTS["x"] + field(12, between))
    whole = LSTM + field(11, between) + WEIGHTS["r"] + INPUTS["h"] + field(12, field(1, "y"))
    assert second == ends + field(7, name + whole)


def test_a_model_without_such_a_node_is_refused() -> None:
    with pytest.raises(ValueError, match="has no GRU"):
        halves(MODEL, "GRU")


def test_fields_of_every_kind_are_kept() -> None:
    others = b"\x69" + bytes(8) + b"\x75" + bytes(4) + b"\x78\x80\x01"

    first, _ = halves(others + MODEL, "LSTM")

    assert first.startswith(others + VERSION)
