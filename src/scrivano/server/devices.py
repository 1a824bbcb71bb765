"""Which device and which models follow from the settings and the machine, and what follows from them. Plain values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from scrivano.domain.decoding import DecodingOptions
from scrivano.domain.errors import ModelNotFound, ModelUnavailable, StartError
from scrivano.domain.recording import ChannelUse
from scrivano.engines.catalog import default_model, find_model, vram_needed_mb, window_mb
from scrivano.engines.gpu_memory import MemoryReader
from scrivano.engines.windows import are_short, max_chunk_s
from scrivano.processes.messages import Load
from scrivano.running.engine_pool import PoolOptions
from scrivano.running.engine_process import EngineLimits
from scrivano.running.engine_slot import ModelSpec
from scrivano.running.job_choices import JobDefaults
from scrivano.running.job_runs import JobRunOptions
from scrivano.running.media_process import MediaLimits
from scrivano.running.model_state import Policy
from scrivano.running.runner import RunnerOptions
from scrivano.server.settings import Settings
from scrivano.submission.model_names import ServedModels

# How long a job stays with a server that does not say any more that it runs it. Alone, a server takes up its jobs when
# it starts.
LEASE_S, SHARED_LEASE_S = 60.0, 15.0

# Recordings that are prepared at once: two, or one for each engine of a cluster.
PREPARATIONS = 2

__all__ = ["Device", "choose_cluster_device", "choose_device", "model_names", "runner_options", "served_models"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What the models run on. `gpus`: their indices; empty on a CPU. `engines`: the most of each model, in a cluster.

    For the other fields see `PoolOptions`.
    """

    compute_type: str
    batch_size: int
    batch_s: float
    calm_s: float
    in_flight: int
    urgent_slot: bool = False
    gpus: tuple[int, ...] = ()
    engines: int | None = None

    @property
    def name(self) -> str:
        return "cuda" if self.gpus else "cpu"


# On a CPU, only the decoder gains from batches. Batches are short, because progress is shown after each of them. Urgent
# work is decoded concurrently with them, since processes can share the cores.
CPU = Device(compute_type="int8", batch_size=8, batch_s=1.5, calm_s=30.0, in_flight=1, urgent_slot=True)

# On a GPU, the next batch waits in the engine's pipe, so that the GPU is never idle; urgent work waits for two batches.
GPU = Device(compute_type="float16", batch_size=16, batch_s=0.2, calm_s=6.0, in_flight=2)


def choose_device(settings: Settings, memory: MemoryReader) -> Device:
    gpus = settings.cuda_device
    found = settings.device == "auto" and any(memory.read(gpu) is not None for gpu in gpus)
    return _adjusted(settings, replace(GPU, gpus=gpus) if found or settings.device == "cuda" else CPU)


def choose_cluster_device(settings: Settings, *, has_gpus: bool) -> Device:
    """What engines run on in a cluster that has, or has no, GPUs now."""
    cuda = settings.device == "cuda" or (settings.device == "auto" and has_gpus)
    device = replace(GPU, gpus=(0,)) if cuda else CPU
    return replace(_adjusted(settings, device), engines=settings.cluster_engines)


def _adjusted(settings: Settings, device: Device) -> Device:
    if settings.whisper_model_path is not None and settings.whisper_model_path.is_file():
        device = replace(device, batch_size=1, urgent_slot=False)  # whisper.cpp decodes one chunk at a time.
    return replace(
        device,
        compute_type=device.compute_type if settings.compute_type == "auto" else settings.compute_type,
        batch_size=settings.batch_size or device.batch_size,
    )


def served_models(settings: Settings, memory: MemoryReader) -> ServedModels:
    """The models that are served, and their further names. Raises `StartError`."""
    names = model_names(settings, memory)
    models = ServedModels(names)
    try:
        aliases = {alias: models.find(model) or names[0] for alias, model in (settings.model_aliases or {}).items()}
    except ModelNotFound as error:
        raise StartError(f"MODEL_ALIASES is invalid: {error}") from error
    return ServedModels(names, aliases)


def model_names(settings: Settings, memory: MemoryReader) -> tuple[str, ...]:
    """The models that are served, the default one first. Raises `StartError` for an unknown name."""
    first = _default_model(settings, memory)
    others = [name for name in settings.models or () if name != first]
    # The name of a model on disk may be any text, so only the other names are looked up.
    known = others if settings.whisper_model_path is not None else [first, *others]
    try:
        for name in known:
            find_model(name)
    except ModelUnavailable as error:
        raise StartError(str(error)) from error
    return tuple(dict.fromkeys((first, *others)))


def _default_model(settings: Settings, memory: MemoryReader) -> str:
    if settings.whisper_model_path is not None:
        path = settings.whisper_model_path
        return settings.whisper_model or (path.stem if path.is_file() else path.name)
    gpu = memory.read(settings.cuda_device[0]) if settings.device != "cpu" else None
    return settings.whisper_model or default_model(gpu.total_mb if gpu else None)


def runner_options(settings: Settings, device: Device, models: ServedModels) -> RunnerOptions:
    """WHISPER_MODEL_PATH belongs to the first of the models. Raises `StartError`."""
    paths = dict.fromkeys(models[:1], settings.whisper_model_path)
    idle_s = _idle_timeouts(settings, models)
    specs = [_model_spec(settings, device, name, paths.get(name), idle_s[name]) for name in models]
    return RunnerOptions(
        pool=PoolOptions(
            models=specs,
            gpus=device.gpus,
            engines=device.engines,
            limits=EngineLimits(chunk_s=settings.chunk_timeout_secs),
            batch_s=device.batch_s,
            calm_s=device.calm_s,
            in_flight=device.in_flight,
            urgent_slot=device.urgent_slot,
            unload_grace_s=settings.unload_grace_secs,
        ),
        jobs=JobRunOptions(
            defaults=_job_defaults(settings),
            # Two batches' worth, so that one can be filled while the other is decoded, even if each job has one chunk.
            jobs_open=max(4, *(2 * spec.batch_size for spec in specs)) * (device.engines or 1),
            preparations=max(PREPARATIONS, device.engines or 0),
            keep_audio=settings.keep_audio,
            lease_s=LEASE_S if settings.database_url is None else SHARED_LEASE_S,
        ),
        media=MediaLimits(max_audio_s=settings.max_audio_secs, timeout_s=settings.media_timeout_secs),
    )


def _job_defaults(settings: Settings) -> JobDefaults:
    return JobDefaults(
        decoding=DecodingOptions(
            beam_size=settings.beam_size,
            word_timestamps=settings.word_timestamps,
            repair_share=settings.repair_share,
        ),
        speakers=settings.speakers,
        channels=ChannelUse(settings.channels),
        channel_names=settings.channel_names or (),
        voices=settings.voices,
    )


def _idle_timeouts(settings: Settings, models: ServedModels) -> dict[str, float]:
    """How long each model stays loaded without work. `KEEP_ALIVE` may call it by any of its names."""
    seconds = dict.fromkeys(models.names, settings.idle_timeout_secs)
    try:
        for name, keep_s in (settings.keep_alive or {}).items():
            seconds[models.find(name) or models[0]] = keep_s
    except ModelNotFound as error:
        raise StartError(f"KEEP_ALIVE is invalid: {error}") from error
    return seconds


def _model_spec(settings: Settings, device: Device, name: str, path: Path | None, idle_s: float) -> ModelSpec:
    short = are_short(settings.latency, name, path, device=device.name)
    longest_s = settings.max_chunk_secs or max_chunk_s(short=short)
    return ModelSpec(
        name=name,
        load=Load(
            model=name,
            path=str(path) if path else None,
            device=device.name,
            compute_type=device.compute_type,
            cpu_threads=settings.cpu_threads,
            fast=short,
        ),
        policy=Policy(
            idle_timeout_s=idle_s,
            poll_interval_s=settings.gpu_poll_interval_secs,
            unload_hold_s=settings.unload_hold_secs,
        ),
        needed_mb=vram_needed_mb(name, path=path, compute_type=device.compute_type) or 0,
        window_mb=window_mb(name, settings.beam_size),
        max_chunk_s=longest_s,
        # Short windows have two thirds of the length of others.
        batch_size=settings.batch_size or (device.batch_size * 3 // 2 if short else device.batch_size),
    )
