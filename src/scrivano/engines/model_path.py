"""Checks a model on disk without loading it, so that a wrong path is reported at startup.

The server process imports this module, so it imports no model library.
"""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path

from scrivano.domain.errors import ModelUnavailable
from scrivano.engines.ct2_file import is_complete
from scrivano.engines.ggml import check_ggml, how_to_install

__all__ = ["check_folder", "check_model_path", "missing_files"]

# What CTranslate2 and the tokenizer need.
NEEDED_FILES = ("model.bin", "config.json", "tokenizer.json")


def check_model_path(path: Path) -> None:
    """Check a folder with a CTranslate2 model, or a GGML file of whisper.cpp. Raises `ModelUnavailable`."""
    if not path.exists():
        raise ModelUnavailable(
            f"{path} does not exist, or this user may not see it; WHISPER_MODEL_PATH is a folder with a CTranslate2"
            " Whisper model, or a GGML file of whisper.cpp"
        )
    if path.is_dir():
        check_folder(path)
        return
    check_ggml(path)
    if find_spec("pywhispercpp") is None:
        raise ModelUnavailable(f"{path} is a GGML file, which needs whisper.cpp: {how_to_install()}")


def missing_files(folder: Path) -> list[str]:
    """The names of the files that a CTranslate2 model needs and this folder lacks."""
    return [name for name in NEEDED_FILES if not (folder / name).is_file()]


def check_folder(folder: Path) -> None:
    """Raises `ModelUnavailable` if it is not a folder with a CTranslate2 model that can be read."""
    missing = missing_files(folder)
    if missing:
        raise ModelUnavailable(
            f"{folder} is not a CTranslate2 Whisper model: it lacks {', '.join(missing)}; "
            "convert the model with ct2-transformers-converter (--copy_files tokenizer.json preprocessor_config.json)"
        )
    unreadable = [name for name in NEEDED_FILES if not os.access(folder / name, os.R_OK)]
    if unreadable:
        raise ModelUnavailable(f"this user may not read {', '.join(unreadable)} in {folder}: change the permissions")
    broken = [name for name in NEEDED_FILES if not _is_whole(folder / name)]
    if broken:
        raise ModelUnavailable(f"{', '.join(broken)} in {folder} ends early or is damaged: copy or download it again")


def _is_whole(path: Path) -> bool:
    """By the file's own structure: a copy that was interrupted ends early."""
    try:
        if path.suffix != ".json":
            return is_complete(path)
        json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return True
