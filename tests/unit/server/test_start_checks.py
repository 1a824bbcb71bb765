"""What is checked at startup, without a device, a model or a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from scrivano.domain.errors import StartError
from scrivano.engines.catalog import NANO_FOLDER
from scrivano.engines.gpu_memory import GpuMemory
from scrivano.server.settings import Settings
from scrivano.server.start_checks import check_device, check_model_on_disk, check_sharing


class Gpus:
    """GPUs that NVML can read: those below `count`."""

    def __init__(self, count: int) -> None:
        self._count = count

    def read(self, index: int) -> GpuMemory | None:
        return GpuMemory(name="A", total_mb=1, used_mb=0, free_mb=1) if index < self._count else None

    def by_process(self, index: int) -> dict[int, int]:
        return {}

    def host_free_mb(self) -> int | None:
        return None

    def close(self) -> None:
        pass


def settings(**environ: str) -> Settings:
    return Settings.load({}, None, {"DATA_DIR": "/nowhere", **environ})


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("missing", None, "does not exist"),
        ("notes.txt", b"hello", "is not a GGML model"),
        ("model.gguf", b"GGUF....", "is a GGUF file"),
        ("short.bin", b"lmgg", "is not a whole GGML model"),
        ("folder/config.json", b"{}", "it lacks model.bin, tokenizer.json"),
    ],
)
def test_a_path_that_is_no_model_ends_the_start(tmp_path: Path, name: str, content: bytes | None, reason: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if content is not None:
        path.write_bytes(content)
    model = path.parent if "/" in name else path

    with pytest.raises(StartError, match=reason) as caught:
        check_model_on_disk(settings(WHISPER_MODEL_PATH=str(model)))

    assert str(caught.value).startswith("WHISPER_MODEL_PATH: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["model.bin", "tokenizer.json", "config.json"])
@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_half_copied_model_ends_the_start(tmp_path: Path, name: str, share: float) -> None:
    for file in ("model.bin", "tokenizer.json", "config.json"):
        content = (NANO_FOLDER / file).read_bytes()
        (tmp_path / file).write_bytes(content[: int(len(content) * share)] if file == name else content)

    with pytest.raises(StartError, match=f"{name} in .* ends early"):
        check_model_on_disk(settings(WHISPER_MODEL_PATH=str(tmp_path)))


def test_a_folder_with_a_model_is_accepted() -> None:
    check_model_on_disk(settings(WHISPER_MODEL_PATH=str(NANO_FOLDER)))
    check_model_on_disk(settings())


def test_cuda_without_its_device_ends_the_start() -> None:
    with pytest.raises(StartError, match=r"no CUDA device 0 \(found: 0\).*DEVICE=cpu"):
        check_device(settings(DEVICE="cuda"), Gpus(0), lambda: 0)
    with pytest.raises(StartError, match=r"no CUDA device 2 \(found: 1\)"):
        check_device(settings(DEVICE="cuda", CUDA_DEVICE="0,2"), Gpus(1), lambda: 1)


def test_cuda_is_not_asked_where_nvml_or_the_setting_says_enough() -> None:
    def never() -> int:
        raise AssertionError

    check_device(settings(DEVICE="cuda"), Gpus(1), never)
    check_device(settings(), Gpus(0), never)


def test_a_device_that_only_cuda_can_see_is_accepted() -> None:
    check_device(settings(DEVICE="cuda"), Gpus(0), lambda: 1)


def test_servers_that_share_jobs_share_the_recordings() -> None:
    shared = {"DATABASE_URL": "postgresql://host/name"}

    with pytest.raises(StartError, match="BLOB_URL"):
        check_sharing(settings(**shared))
    check_sharing(settings(**shared, BLOB_URL="file:///srv/scrivano"))
    check_sharing(settings())
