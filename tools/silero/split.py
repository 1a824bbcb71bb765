"""Cut Silero VAD in two where its memory starts: `python split.py silero_vad_v6.onnx OUT_FOLDER`.

The encoder looks at each 32 ms window by itself and does nine tenths of the work, so it can run on several threads.
The decoder starts with the network's LSTM and must see the windows in order. Both halves keep the original's nodes and
weights unchanged, so together they compute exactly what the undivided network computes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import onnx
from onnx.utils import extract_model


def main(source: Path, folder: Path) -> None:
    graph = onnx.load(source).graph
    lstm = next(node for node in graph.node if node.op_type == "LSTM")
    features = lstm.input[0]
    outputs = [output.name for output in graph.output]
    extract_model(source, folder / "encoder.onnx", ["input"], [features])
    extract_model(source, folder / "decoder.onnx", [features, "h", "c"], outputs)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
