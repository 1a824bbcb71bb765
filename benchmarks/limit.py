"""The limit of the processor: matrix products with the fastest available library, and the encoder's need of them.

int8 is measured with ONNX Runtime (unsigned by signed, its fastest kernels), float32 with NumPy's BLAS. CTranslate2
multiplies an int8 model's layers in int8, and attention and convolutions in float32.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnxruntime

from benchmarks.shapes import FRAMES, Shape

# Rows, depth, columns: as in the encoder, and larger; the best result is used.
SIZES = ((1500, 512, 2048), (1500, 2048, 512), (3072, 1024, 1024), (2048, 2048, 2048))

SECONDS = 0.6


@dataclass(frozen=True, slots=True)
class Peak:
    """Multiply-add operations per second."""

    int8: float
    float32: float


def measure(threads: int) -> Peak:
    return Peak(max(measure_int8(*size, threads) for size in SIZES), max(_float32(*size) for size in SIZES))


def encoder_work(shape: Shape) -> tuple[float, float]:
    """Multiplications of a window in int8 layers, and in float32 (attention and convolutions)."""
    layers = shape.encoder_layers * FRAMES * 12 * shape.width**2
    attention = shape.encoder_layers * 2 * FRAMES**2 * shape.width
    convolutions = 2 * FRAMES * 3 * shape.mels * shape.width + FRAMES * 3 * shape.width**2
    return layers, attention + convolutions


def _rate(run: Callable[[], object], work: float, seconds: float = SECONDS) -> float:
    run()
    best, until = 0.0, time.perf_counter() + seconds
    while (began := time.perf_counter()) < until:
        run()
        best = max(best, work / (time.perf_counter() - began))
    return best


def _float32(rows: int, depth: int, columns: int) -> float:
    a, b = np.ones((rows, depth), np.float32), np.ones((depth, columns), np.float32)
    out = np.empty((rows, columns), np.float32)
    return _rate(lambda: np.matmul(a, b, out=out), rows * depth * columns)


def measure_int8(rows: int, depth: int, columns: int, threads: int, seconds: float = SECONDS) -> float:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(_model(rows, depth, columns), options, providers=["CPUExecutionProvider"])
    a = np.ones((rows, depth), np.uint8)
    return _rate(lambda: session.run(None, {"a": a}), rows * depth * columns, seconds)


# An ONNX file of one MatMulInteger, by hand: fields of onnx.proto3, so that nothing more needs to be installed.

UINT8, INT8, INT32 = 2, 3, 6


def _model(rows: int, depth: int, columns: int) -> bytes:
    node = _bytes(1, b"a") + _bytes(1, b"b") + _bytes(2, b"c") + _bytes(4, b"MatMulInteger")
    weights = _ints(1, depth, columns) + _ints(2, INT8) + _bytes(8, b"b") + _bytes(9, bytes(depth * columns))
    graph = _bytes(1, node) + _bytes(2, b"g") + _bytes(5, weights)
    graph += _bytes(11, _value(b"a", UINT8, rows, depth)) + _bytes(12, _value(b"c", INT32, rows, columns))
    return _ints(1, 8) + _bytes(7, graph) + _bytes(8, _ints(2, 13))


def _value(name: bytes, kind: int, *dimensions: int) -> bytes:
    shape = b"".join(_bytes(1, _ints(1, one)) for one in dimensions)
    return _bytes(1, name) + _bytes(2, _bytes(1, _ints(1, kind) + _bytes(2, shape)))


def _ints(field: int, *values: int) -> bytes:
    return b"".join(_varint(field << 3) + _varint(value) for value in values)


def _bytes(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    return bytes([value & 127 | 128]) + _varint(value >> 7) if value > 127 else bytes([value])
