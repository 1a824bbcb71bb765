"""An ONNX model in two halves. Pure.

An ONNX file is one protobuf message, and a half of it holds fewer of the same fields, so it takes no more than
walking over them: no dependency, and what a half keeps is byte for byte the original's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

# The field of a `ModelProto`; those that follow are of a `GraphProto` and a `NodeProto` (onnx.proto).
GRAPH = 7
NODE, INITIALIZER, INPUT, OUTPUT, VALUE_INFO = 1, 5, 11, 12, 13
NODE_INPUT, NODE_OUTPUT, NODE_OPERATOR = 1, 2, 4
VALUE_NAME, INITIALIZER_NAME = 1, 8

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

# A field's number and its content (of `BYTES`), or all of it as it stood (of any other kind).
Field = tuple[int, bytes]


def halves(model: bytes, operator: str) -> tuple[bytes, bytes]:
    """The model up to the first node of this kind, and from it on.

    The first half's one output is that node's first input, which is the second half's first input. Both take of the
    model's inputs what they use. Raises `ValueError` where there is no such node. That the second half needs nothing
    else of the first is for the caller to know; a runtime refuses it otherwise.
    """
    graph = list(_fields(next(content for number, content in _fields(model) if number == GRAPH)))
    nodes = [content for number, content in graph if number == NODE]
    place = next((place for place, node in enumerate(nodes) if operator in _names(node, NODE_OPERATOR)), None)
    if place is None:
        raise ValueError(f"the model has no {operator}")
    joint = _names(nodes[place], NODE_INPUT)[0]
    between = [content for number, content in graph if number == VALUE_INFO and joint in _names(content, VALUE_NAME)]
    outputs = [content for number, content in graph if number == OUTPUT]
    return (
        _with_graph(model, _part(graph, nodes[:place], (), between)),
        _with_graph(model, _part(graph, nodes[place:], between, outputs)),
    )


def _part(
    graph: Sequence[Field], nodes: Sequence[bytes], inputs: Sequence[bytes], outputs: Sequence[bytes]
) -> Iterator[Field]:
    """A graph of these nodes, with these inputs and outputs besides the inputs and weights that the nodes use."""
    used = {name for node in nodes for name in _names(node, NODE_INPUT)}
    name_field = {INPUT: VALUE_NAME, INITIALIZER: INITIALIZER_NAME}
    yield from ((NODE, node) for node in nodes)
    yield from ((INPUT, value) for value in inputs)
    for number, content in graph:
        if number in name_field and used.intersection(_names(content, name_field[number])):
            yield number, content
    yield from ((OUTPUT, value) for value in outputs)


def _with_graph(model: bytes, graph: Iterable[Field]) -> bytes:
    part = b"".join(_bytes_field(number, content) for number, content in graph)
    name = _bytes_field(2, b"part")  # a graph must have one
    rest = b"".join(whole for number, _, whole in _walk(model) if number != GRAPH)
    return rest + _bytes_field(GRAPH, name + part)


def _names(message: bytes, field: int) -> list[str]:
    return [content.decode() for number, content in _fields(message) if number == field]


def _fields(message: bytes) -> Iterator[Field]:
    return ((number, content) for number, content, _ in _walk(message))


def _walk(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Each field's number, its content, and all of it with its tag."""
    at = 0
    while at < len(message):
        tag, start = _varint(message, at)
        begin, end = _extent(message, start, tag & 7)
        yield tag >> 3, message[begin:end], message[at:end]
        at = end


def _extent(message: bytes, start: int, kind: int) -> tuple[int, int]:
    if kind == BYTES:
        length, begin = _varint(message, start)
        return begin, begin + length
    if kind == VARINT:
        return start, _varint(message, start)[1]
    return start, start + {FIXED64: 8, FIXED32: 4}[kind]


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The number there, and the place behind it."""
    value = shift = 0
    while message[at] & 0x80:
        value |= (message[at] & 0x7F) << shift
        shift += 7
        at += 1
    return value | message[at] << shift, at + 1


def _bytes_field(number: int, content: bytes) -> bytes:
    return _encoded(number << 3 | BYTES) + _encoded(len(content)) + content


def _encoded(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])
