"""The models that a name can mean, and the memory that they need.

The server process imports this module, so it imports no model library.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from scrivano.domain.errors import ModelUnavailable
from scrivano.domain.wording import did_you_mean
from scrivano.engines import ct2_file

__all__ = [
    "FILES",
    "NANO",
    "REPOSITORIES",
    "ModelSource",
    "default_model",
    "download_mb",
    "encoder_width",
    "find_model",
    "known_models",
    "relative_speed",
    "vram_needed_mb",
    "window_mb",
]

# The bundled model: two million parameters, for tests and demonstrations.
NANO = "nano"

NANO_FOLDER = Path(__file__).parent.parent / "nano"

# The files that faster-whisper downloads from a repository (`faster_whisper.utils.download_model`).
FILES = ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*")

# faster-whisper's names (`faster_whisper.utils.available_models`) and repositories; a test compares them.
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

_NAMES = {repository: name for name, repository in REPOSITORIES.items()}

# From the model cards of openai/whisper-* and distil-whisper/*. A `.en` model has the size of the one without `.en`.
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

# How many times as fast as large-v3, from the same model cards (English, on a GPU). `.en` models are as fast as others.
SPEEDS = {
    "tiny": 10,
    "base": 7,
    "small": 4,
    "medium": 2,
    "large-v1": 1,
    "large-v2": 1,
    "large-v3": 1,
    "large": 1,
    "large-v3-turbo": 8,
    "turbo": 8,
    "distil-small": 6,
    "distil-medium": 7,
    "distil-large-v2": 6,
    "distil-large-v3": 6,
    "distil-large-v3.5": 6,
}

# CUDA context, cuBLAS and the buffers of a small batch. It makes 2 * 1550 + 851 = 3951 MB for large-v3 in float16, the
# figure of the HTTP contract; faster-whisper's own benchmark measured 4525 MB at beam 5 for the process.
WORK_MB = 851

# Decoder layers, and the width of decoder and encoder, from the models' config.json.
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

# The GPU for which large-v3-turbo is the default: it takes less than half of one that is sold with 6 GB. Where it takes
# more, it would wait for ever beside a desktop or a language model, and leave little memory for batches.
TURBO_GPU_MB = 5_500

# The length of the encoder's output, of the decoded text, and the width of an attention head: the same in all models.
WINDOW_POSITIONS, TEXT_POSITIONS, HEAD_WIDTH = 1500, 224, 64

# By CTranslate2's compute type; all others take two bytes.
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
    """Return the model that `name` means, or the one at `path` if that is given. Uses neither disk nor network.

    Raises `ModelUnavailable` for an unknown name.
    """
    if path is not None:
        return ModelSource(name=name, folder=path)
    if name == NANO:
        return ModelSource(name=name, folder=NANO_FOLDER)
    if name in REPOSITORIES:
        return ModelSource(name=name, repository=REPOSITORIES[name])
    if REPOSITORY_ID.fullmatch(name):
        return ModelSource(name=name, repository=name)
    hint = did_you_mean(name, known_models()) or ";"
    raise ModelUnavailable(
        f"unknown model {name!r}{hint} `scrivano models list` shows the names. Others are given by"
        " their Hugging Face repository id (owner/name), or as a folder by WHISPER_MODEL_PATH"
    )


def default_model(gpu_total_mb: int | None) -> str:
    """Return the model to use if none was chosen; `gpu_total_mb` is the memory of the GPU, None without a GPU.

    The total memory decides, not the free memory: the choice must not depend on other programs. Loading waits for them.
    """
    return "large-v3-turbo" if gpu_total_mb is not None and gpu_total_mb >= TURBO_GPU_MB else "small"


def download_mb(name: str) -> int | None:
    """Return the size of a known model's download in MB: published models are float16. None if it is not downloaded."""
    millions = MILLION_PARAMETERS.get(_stem(name))
    return None if millions is None or name not in REPOSITORIES else 2 * millions


def relative_speed(name: str) -> int | None:
    """Return how many times as fast as large-v3 a model is; None if it is not known."""
    return SPEEDS.get(_stem(name))


def vram_needed_mb(name: str, *, path: Path | None = None, compute_type: str = "float16") -> int | None:
    """Return the device memory that a load needs, in MB: weights plus `WORK_MB`. None if the size is not known.

    whisper.cpp loads a file's weights as they are, whatever the compute type.
    """
    if path is not None and path.is_file():
        return round(path.stat().st_size / 1e6) + WORK_MB
    millions = _millions_on_disk(path) if path is not None else MILLION_PARAMETERS.get(_stem(name))
    if millions is None:
        return None
    return round(millions * BYTES_PER_PARAMETER.get(compute_type, 2)) + WORK_MB


def window_mb(name: str, beam_size: int) -> int:
    """Return the device memory that each window of a batch takes while it is decoded, in MB; 0 if it is not known.

    These are the keys and values of each decoder layer (once for the encoder's output, and for the text once for each
    hypothesis) and the attention scores of one encoder layer, its largest buffer; two bytes a number.
    """
    if _stem(name) not in DECODERS:
        return 0
    layers, width = DECODERS[_stem(name)]
    keys_and_values = 2 * layers * width * (WINDOW_POSITIONS + beam_size * TEXT_POSITIONS)
    scores = width // HEAD_WIDTH * WINDOW_POSITIONS**2
    return math.ceil(2 * (keys_and_values + scores) / 1e6)


def encoder_width(name: str, path: Path | None = None) -> int | None:
    """Return the width of the output of the encoder of a model, or of the one at `path`; None if it is not known."""
    if path is not None:
        return ct2_file.encoder_width(path / "model.bin")
    return DECODERS[_stem(name)][1] if _stem(name) in DECODERS else None


def _stem(name: str) -> str:
    return _NAMES.get(name, name).removesuffix(".en")


def _millions_on_disk(path: Path) -> float | None:
    """Millions of parameters, by the file's size: published CTranslate2 models are stored in float16."""
    try:
        return (path / "model.bin").stat().st_size / 2e6
    except OSError:
        return None
