"""Which models a name can mean, and how much memory they need. Imports no model library: the server reads it too."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from scrivano.domain.errors import ModelUnavailable

__all__ = [
    "NANO",
    "REPOSITORIES",
    "ModelSource",
    "default_model",
    "find_model",
    "known_models",
    "vram_needed_mb",
    "window_mb",
]

# The bundled model: two million parameters, for tests and demonstrations.
NANO = "nano"

NANO_FOLDER = Path(__file__).parent.parent / "nano"

# faster-whisper's names (`faster_whisper.utils.available_models`) and repositories; a test keeps them the same.
REPOSITORIES = {
    "tiny.en": "Systran/faster-whisper-tiny.en",
    "tiny": "Systran/faster-whisper-tiny",
    "base.en": "Systran/faster-whisper-base.en",
    "base": "Systran/faster-whisper-base",
    "small.en": "Systran/faster-whisper-small.en",
    "small": "Systran/faster-whisper-small",
    "medium.en": "Systran/faster-whisper-medium.en",
    "medium": "Systran/faster-whisper-medium",
    "large-v1": "Systran/faster-whisper-large-v1",
    "large-v2": "Systran/faster-whisper-large-v2",
    "large-v3": "Systran/faster-whisper-large-v3",
    "large": "Systran/faster-whisper-large-v3",
    "distil-large-v2": "Systran/faster-distil-whisper-large-v2",
    "distil-medium.en": "Systran/faster-distil-whisper-medium.en",
    "distil-small.en": "Systran/faster-distil-whisper-small.en",
    "distil-large-v3": "Systran/faster-distil-whisper-large-v3",
    "distil-large-v3.5": "distil-whisper/distil-large-v3.5-ct2",
    "large-v3-turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
}

# Sizes by the model cards of openai/whisper-* and distil-whisper/*; `.en` models are as large as the others.
MILLION_PARAMETERS = {
    "tiny": 39,
    "base": 74,
    "small": 244,
    "medium": 769,
    "large-v1": 1550,
    "large-v2": 1550,
    "large-v3": 1550,
    "large": 1550,
    "large-v3-turbo": 809,
    "turbo": 809,
    "distil-small": 166,
    "distil-medium": 394,
    "distil-large-v2": 756,
    "distil-large-v3": 756,
    "distil-large-v3.5": 756,
    NANO: 2,
}

# CUDA context, cuBLAS and the buffers of a small batch. With it large-v3 in float16 needs 2 * 1550 + 851 = 3951 MB, the
# figure of the contract; faster-whisper's own benchmark saw 4525 MB at beam 5 for the whole process.
WORK_MB = 851

# Layers and width, from the models' config.json.
DECODERS = {
    "tiny": (4, 384),
    "base": (6, 512),
    "small": (12, 768),
    "medium": (24, 1024),
    "large": (32, 1280),
    "large-v1": (32, 1280),
    "large-v2": (32, 1280),
    "large-v3": (32, 1280),
    "large-v3-turbo": (4, 1280),
    "turbo": (4, 1280),
    "distil-small": (4, 768),
    "distil-medium": (2, 1024),
    "distil-large-v2": (2, 1280),
    "distil-large-v3": (2, 1280),
    "distil-large-v3.5": (2, 1280),
}

# Of the encoder's output, of the text that is decoded from it, and of an attention head: alike in all Whispers.
WINDOW_POSITIONS, TEXT_POSITIONS, HEAD_WIDTH = 1500, 224, 64

# By CTranslate2's compute type; what is not named here takes two.
BYTES_PER_PARAMETER = {"float32": 4, "int8": 1, "int8_float16": 1, "int8_bfloat16": 1, "int8_float32": 1}

REPOSITORY_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9_][\w.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """Where a model comes from: a `folder` on disk, else a Hugging Face `repository`."""

    name: str
    folder: Path | None = None
    repository: str | None = None


def known_models() -> tuple[str, ...]:
    return (NANO, *REPOSITORIES)


def find_model(name: str, path: Path | None = None) -> ModelSource:
    """What `name` means; a `path` wins over it. Touches neither disk nor network.

    Raises `ModelUnavailable` for a name that nobody knows.
    """
    if path is not None:
        return ModelSource(name=name, folder=path)
    if name == NANO:
        return ModelSource(name=name, folder=NANO_FOLDER)
    if name in REPOSITORIES:
        return ModelSource(name=name, repository=REPOSITORIES[name])
    if REPOSITORY_ID.fullmatch(name):
        return ModelSource(name=name, repository=name)
    raise ModelUnavailable(
        f"unknown model {name!r}; WHISPER_MODEL may be one of {', '.join(known_models())}, "
        "a Hugging Face repository id (owner/name), or set WHISPER_MODEL_PATH to a model folder"
    )


def default_model(gpu_total_mb: int | None) -> str:
    """The model when none was chosen: `gpu_total_mb` is the memory of the GPU, None where there is none.

    The total decides, not what is free: the name must not change with what other programs do; the load waits for them.
    """
    needed = vram_needed_mb("large-v3-turbo")
    if gpu_total_mb is not None and needed is not None and gpu_total_mb >= needed:
        return "large-v3-turbo"
    return "small"


def vram_needed_mb(name: str, *, path: Path | None = None, compute_type: str = "float16") -> int | None:
    """Device memory that a load needs, in MB: weights plus `WORK_MB`. None where the size cannot be told.

    A file, whisper.cpp's, is loaded as it is, whatever the compute type.
    """
    if path is not None and path.is_file():
        return round(path.stat().st_size / 1e6) + WORK_MB
    millions = _millions_on_disk(path) if path is not None else _millions_by_name(name)
    if millions is None:
        return None
    return round(millions * BYTES_PER_PARAMETER.get(compute_type, 2)) + WORK_MB


def window_mb(name: str, beam_size: int) -> int:
    """Device memory that each window of a batch takes while it is decoded, in MB, at two bytes a number; 0: not known.

    Keys and values of each decoder layer, for the encoder's output once and for the text once a hypothesis; and the
    attention scores of one encoder layer, its largest buffer.
    """
    if _stem(name) not in DECODERS:
        return 0
    layers, width = DECODERS[_stem(name)]
    keys_and_values = 2 * layers * width * (WINDOW_POSITIONS + beam_size * TEXT_POSITIONS)
    scores = width // HEAD_WIDTH * WINDOW_POSITIONS**2
    return math.ceil(2 * (keys_and_values + scores) / 1e6)


def _stem(name: str) -> str:
    return name.removesuffix(".en")


def _millions_by_name(name: str) -> float | None:
    return MILLION_PARAMETERS.get(_stem(name))


def _millions_on_disk(path: Path) -> float | None:
    """Published CTranslate2 models are stored in float16: two bytes a parameter."""
    try:
        return (path / "model.bin").stat().st_size / 2e6
    except OSError:
        return None
