"""Which device and models follow from the settings and the machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scrivano.domain.errors import StartError
from scrivano.engines.gpu_memory import GpuMemory
from scrivano.server.devices import CPU, GPU, choose_device, model_names, runner_options, served_models
from scrivano.server.settings import Settings
from scrivano.submission.model_names import ServedModels


class Memory:
    """The machine has one GPU with this much memory; None: no GPU."""

    def __init__(self, total_mb: int | None) -> None:
        self.total_mb = total_mb

    def read(self, index: int) -> GpuMemory | None:
        if self.total_mb is None or index > 0:
            return None
        return GpuMemory(name="a GPU", total_mb=self.total_mb, used_mb=0, free_mb=self.total_mb)

    def by_process(self, index: int) -> dict[int, int]:
        return {}

    def host_free_mb(self) -> int | None:
        return None

    def close(self) -> None:
        pass


NO_GPU, LARGE_GPU = Memory(None), Memory(24_000)


def settings(**flags: Any) -> Settings:
    return Settings.load(flags, environ={})


def test_a_gpu_is_used_if_there_is_one_unless_the_setting_says_otherwise() -> None:
    assert choose_device(settings(), NO_GPU) == CPU
    assert choose_device(settings(), LARGE_GPU) == replace(GPU, gpus=(0,))
    assert choose_device(settings(device="cpu"), LARGE_GPU) == CPU
    assert choose_device(settings(device="cuda", cuda_device="1,2"), NO_GPU) == replace(GPU, gpus=(1, 2))


def test_settings_replace_the_devices_own_values() -> None:
    device = choose_device(settings(batch_size=3, compute_type="int16"), NO_GPU)

    assert (device.batch_size, device.compute_type, device.name) == (3, "int16", "cpu")


def test_a_ggml_file_is_decoded_one_chunk_at_a_time(tmp_path: Path) -> None:
    file = tmp_path / "ggml-small.bin"
    file.touch()

    device = choose_device(settings(whisper_model_path=file), NO_GPU)

    assert (device.batch_size, device.urgent_slot) == (1, False)
    assert model_names(settings(whisper_model_path=file), NO_GPU) == ("ggml-small",)


def test_the_default_model_depends_on_the_gpu() -> None:
    assert model_names(settings(), NO_GPU) == ("small",)
    assert model_names(settings(), LARGE_GPU) == ("large-v3-turbo",)
    assert model_names(settings(device="cpu"), LARGE_GPU) == ("small",)


def test_further_models_follow_the_default_one_without_repetition() -> None:
    assert model_names(settings(whisper_model="tiny", models="small,tiny,base"), NO_GPU) == ("tiny", "small", "base")


@pytest.mark.parametrize("flags", [{"whisper_model": "huge"}, {"whisper_model": "tiny", "models": "huge"}])
def test_an_unknown_model_is_an_error(flags: dict[str, str]) -> None:
    with pytest.raises(StartError, match="huge"):
        model_names(settings(**flags), NO_GPU)


def test_aliases_are_of_served_models() -> None:
    flags = {"whisper_model": "tiny", "models": "base", "model_aliases": "fast=tiny, best=whisper-base"}
    models = served_models(settings(**flags), NO_GPU)

    assert models == ServedModels(("tiny", "base"), {"fast": "tiny", "best": "base"})
    with pytest.raises(StartError, match="MODEL_ALIASES is invalid: the model 'small' does not exist here"):
        served_models(settings(whisper_model="tiny", model_aliases="fast=small"), NO_GPU)


def test_models_stay_loaded_under_any_of_their_names() -> None:
    chosen = settings(whisper_model="large-v3", models="base", keep_alive="large=7", idle_timeout_secs=5)
    specs = runner_options(chosen, CPU, served_models(chosen, NO_GPU)).pool.models

    assert {spec.name: spec.policy.idle_timeout_s for spec in specs} == {"large-v3": 7, "base": 5}
    chosen = settings(whisper_model="large-v3", keep_alive="base=7")
    with pytest.raises(StartError, match="KEEP_ALIVE is invalid: the model 'base' does not exist here"):
        runner_options(chosen, CPU, served_models(chosen, NO_GPU))


def test_the_name_of_a_model_on_disk_may_be_any_text(tmp_path: Path) -> None:
    flags = {"whisper_model_path": tmp_path, "whisper_model": "huge"}
    names = model_names(settings(**flags), NO_GPU)
    options = runner_options(
        settings(**flags, models="tiny", keep_alive="tiny=7"),
        CPU,
        ServedModels((*names, "tiny")),
    )

    assert names == ("huge",)
    assert [(spec.load.path, spec.policy.idle_timeout_s) for spec in options.pool.models] == [
        (str(tmp_path), 300),
        (None, 7),
    ]


@pytest.mark.parametrize(
    ("flags", "short", "max_chunk_s", "batch_size"),
    [
        ({"whisper_model": "base"}, True, 19, 12),
        ({"whisper_model": "small"}, False, 30, 8),
        ({"whisper_model": "base", "latency": "normal"}, False, 30, 8),
        ({"whisper_model": "small", "latency": "fast"}, True, 19, 12),
        ({"whisper_model": "small", "max_chunk_secs": 5}, False, 5, 8),
        ({"whisper_model": "base", "max_chunk_secs": 30, "batch_size": 4}, True, 30, 4),
    ],
)
def test_batches_of_short_windows_have_as_much_audio_as_others(
    flags: dict[str, Any], short: bool, max_chunk_s: float, batch_size: int
) -> None:
    chosen = settings(**flags)
    options = runner_options(chosen, choose_device(chosen, NO_GPU), served_models(chosen, NO_GPU))

    (spec,) = options.pool.models
    assert (spec.load.fast, spec.max_chunk_s, spec.batch_size) == (short, max_chunk_s, batch_size)
    assert options.jobs.jobs_open == 2 * batch_size
