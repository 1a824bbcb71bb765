"""Names of models, the default among them, and the memory they need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from faster_whisper import utils

from scrivano.domain.errors import ModelUnavailable
from scrivano.engines.catalog import (
    NANO,
    NANO_FOLDER,
    REPOSITORIES,
    default_model,
    find_model,
    known_models,
    vram_needed_mb,
    window_mb,
)


def test_the_names_are_faster_whisper_s() -> None:
    assert utils._MODELS == REPOSITORIES
    assert set(known_models()) == {"nano", *utils.available_models()}


def test_a_size_means_its_repository() -> None:
    assert find_model("large-v3").repository == "Systran/faster-whisper-large-v3"


def test_nano_is_bundled() -> None:
    assert find_model("nano").folder == NANO_FOLDER
    assert (NANO_FOLDER / "model.bin").is_file()


def test_any_repository_may_be_named() -> None:
    assert find_model("somebody/their-whisper.v2").repository == "somebody/their-whisper.v2"


def test_a_path_wins_over_the_name() -> None:
    source = find_model("large-v3", Path("/models/mine"))

    assert (source.folder, source.repository) == (Path("/models/mine"), None)


@pytest.mark.parametrize("name", ["large-v9", "", "a/b/c", "../etc/passwd", "owner/", "owner/../x", "https://x/y"])
def test_an_unknown_name_is_told_what_is_possible(name: str) -> None:
    with pytest.raises(ModelUnavailable, match=r"`scrivano models list`.*owner/name.*WHISPER_MODEL_PATH"):
        find_model(name)


def test_a_misspelt_name_is_told_what_was_meant_in_one_short_line() -> None:
    with pytest.raises(ModelUnavailable, match=r"unknown model 'Smal'; did you mean small or small\.en\?") as error:
        find_model("Smal")
    assert len(str(error.value)) < 250


def test_the_contract_s_figure_for_large_v3() -> None:
    assert vram_needed_mb("large-v3") == 3951


def test_every_known_model_says_what_it_needs() -> None:
    assert all(vram_needed_mb(name) for name in known_models())
    assert vram_needed_mb("owner/name") is None
    assert vram_needed_mb("Systran/faster-whisper-large-v3") == vram_needed_mb("large-v3")


def test_int8_needs_less_and_float32_more() -> None:
    half, single, small = (vram_needed_mb("medium", compute_type=c) for c in ("float16", "float32", "int8_float16"))

    assert half is not None
    assert single is not None
    assert small is not None
    assert small < half < single


def test_a_folder_s_need_follows_from_its_size(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"\0" * 4_000_000)

    assert vram_needed_mb("mine", path=tmp_path) == 4 + 851
    assert vram_needed_mb("mine", path=tmp_path / "missing") is None


def test_a_file_s_need_is_its_size_whatever_the_compute_type(tmp_path: Path) -> None:
    (tmp_path / "ggml-mine.bin").write_bytes(bytes(4_000_000))

    for compute_type in ("float16", "int8"):
        assert vram_needed_mb("mine", path=tmp_path / "ggml-mine.bin", compute_type=compute_type) == 4 + 851


@pytest.mark.parametrize(
    ("gpu_total_mb", "model"),
    [
        (None, "small"),
        (2048, "small"),
        (4096, "small"),
        (5120, "small"),
        (5890, "large-v3-turbo"),
        (81559, "large-v3-turbo"),
    ],
)
def test_the_default_follows_the_gpu(gpu_total_mb: int | None, model: str) -> None:
    assert default_model(gpu_total_mb) == model
    table = (Path(__file__).parents[3] / "docs" / "models.md").read_text()
    size = "6 GB or more" if model == "large-v3-turbo" else "less than 6 GB"
    if gpu_total_mb is not None:
        assert f"| NVIDIA GPU with {size} | `{model}` (the default there) |" in table


def test_the_server_reads_names_without_a_model_library() -> None:
    code = (
        "import sys, scrivano.engines.catalog, scrivano.engines.failures; "
        "heavy = {'numpy', 'ctranslate2', 'faster_whisper', 'huggingface_hub', 'tokenizers'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_window_takes_more_of_a_larger_model_and_of_a_wider_search() -> None:
    assert window_mb("tiny", 1) < window_mb("base.en", 1) < window_mb("large-v3-turbo", 1) < window_mb("large-v3", 1)
    # 32 layers, keys and values of 1280 numbers at 1500 positions, two bytes each: 246 MB; scores of 20 heads: 90 MB.
    assert 336 < window_mb("large-v3", 1) < window_mb("large-v3", 5) < 600
    assert window_mb("somebody/elses", 5) == 0


def test_every_known_model_has_a_size() -> None:
    assert [name for name in known_models() if not window_mb(name, 5)] == [NANO]
