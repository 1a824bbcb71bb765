"""Settings: read once, from flags, environment and an optional file, frozen, and handed out as plain values."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from platformdirs import user_data_path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from scrivano.domain.decoding import REPAIR_SHARE
from scrivano.domain.errors import StartError
from scrivano.domain.wording import did_you_mean
from scrivano.server.setting_types import (
    LOOPBACK,
    Aliases,
    Ancestors,
    AnyCase,
    BlobUrl,
    DatabaseUrl,
    Formats,
    HomePath,
    Indices,
    KeepAlive,
    Labels,
    Listen,
    Names,
    Networks,
    Origins,
    Proxies,
    Secrets,
    allowed,
    parse_aliases,
    parse_ancestors,
    parse_blob_url,
    parse_database_url,
    parse_indices,
    parse_keep_alive,
    parse_listen,
    parse_names,
    parse_networks,
    parse_origins,
    parse_proxies,
    parse_secrets,
    parsed,
)

__all__ = ["Settings", "allowed", "variable"]


def _user_data_folder() -> Path:
    """Raises `RuntimeError` if there is no home folder; platformdirs would make a folder named `~` then."""
    return user_data_path("scrivano", appauthor=False).expanduser()


# A year of audio, a century: longer than anybody needs, and short enough for dates and for the limits of processes.
MAX_AUDIO_SECS = 31_536_000
MAX_HOURS = 876_000


class Settings(BaseModel):
    """All settings of a server. Names that end in `_secs` are seconds, in `_bytes` bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    host: str = Field(
        "127.0.0.1",
        pattern=r"[^,\s]",
        description="Addresses to listen on, separated by commas; `0.0.0.0` is all of IPv4, `::` is all.",
    )
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0: any free port.")
    data_dir: HomePath = Field(
        default_factory=_user_data_folder,
        description="Folder for jobs and recordings. Unset: the user's data folder.",
    )
    database_url: Annotated[DatabaseUrl | None, parsed(parse_database_url)] = Field(
        None,
        description="A PostgreSQL database for jobs and transcripts, which several servers may share. Unset: a file in"
        " `DATA_DIR`.",
    )
    blob_url: Annotated[BlobUrl | None, parsed(parse_blob_url)] = Field(
        None,
        description="Where recordings are stored: an S3 server, or a folder that several servers share. Unset: in"
        " `DATA_DIR`. See [where the audio lies](scale.md#where-the-audio-lies).",
    )
    blob_cache_bytes: int = Field(
        10 * 1024**3,
        ge=0,
        description="With S3: recordings of at most so many bytes stay in `DATA_DIR`, too, for retries.",
    )
    blob_redirect_secs: float | None = Field(
        None,
        gt=0,
        le=604_800,
        description="With S3: `/jobs/{id}/audio` leads clients to the S3 server itself, by URLs that hold this long."
        " Unset: they read through this server.",
    )
    whisper_model: str | None = Field(
        None, description="Name of a model, or a Hugging Face repository id. Unset: chosen by the GPU memory."
    )
    whisper_model_path: HomePath | None = Field(
        None, description="A model on disk: a folder, or a GGML file. No model is downloaded then."
    )
    models: Annotated[Names | None, parsed(parse_names)] = Field(
        None, description="More models, by name or repository id, that a request may name. Unset: none."
    )
    model_aliases: Annotated[Aliases | None, parsed(parse_aliases)] = Field(
        None, description="More names by which requests may call the served models. Unset: none."
    )
    keep_alive: Annotated[KeepAlive | None, parsed(parse_keep_alive)] = Field(
        None,
        description="How long these models stay loaded without work; others: `IDLE_TIMEOUT_SECS`.",
    )
    device: Annotated[Literal["auto", "cpu", "cuda"], AnyCase] = Field(
        "auto", description="What the model runs on; `auto`: a CUDA device if there is one, else the CPU."
    )
    cuda_device: Annotated[Indices, BeforeValidator(parse_indices)] = Field(
        (0,),
        description="Index of the CUDA device, from 0; several (`0,1`) share the work, each with a copy of the model.",
    )
    compute_type: Annotated[
        Literal[
            "auto",
            "int8",
            "int8_float32",
            "int8_float16",
            "int8_bfloat16",
            "int16",
            "float16",
            "bfloat16",
            "float32",
        ],
        AnyCase,
    ] = Field("auto", description="Number format of the model; `auto`: float16 on CUDA, int8 on a CPU.")
    cpu_threads: int = Field(0, ge=0, le=1024, description="Threads of the model on a CPU; 0: one for each core.")
    beam_size: int = Field(5, ge=1, le=10, description="Beam size of the decoder; 1 is greedy and fastest.")
    repair_share: float = Field(
        REPAIR_SHARE,
        ge=0,
        le=10,
        description="Speech without words is decoded again, by at most this share of a job's audio; 0: never.",
    )
    latency: Annotated[Literal["auto", "normal", "fast"], AnyCase] = Field(
        "auto",
        description="`fast`: short audio is not padded to 30 s for the model; poor results are decoded again in full."
        " `auto`: `fast` on a CPU with `base`, `base.en`, and model folders of their size.",
    )
    batch_size: int = Field(
        0, ge=0, le=1024, description="Chunks decoded together; 0: chosen for the device and the length of windows."
    )
    word_timestamps: bool = Field(True, description="Determine start and end of every word.")
    engine_malloc: Annotated[Literal["tuned", "default"], AnyCase] = Field(
        "tuned", description="Memory allocation of the engine process; `tuned` is faster on a CPU with glibc."
    )
    executor: Annotated[Literal["local", "dispatcher"], AnyCase] = Field(
        "local",
        description="Who runs jobs: this server, or dispatchers (`scrivano dispatcher`) with the same database.",
    )
    ray_address: str | None = Field(
        None,
        min_length=1,
        description="For a dispatcher: the Ray cluster to use, `host:port` or `auto`. Unset: `auto`.",
    )
    cluster_engines: int = Field(
        1, ge=1, le=1024, description="For a dispatcher: the most engines that it starts for each model."
    )
    engine_gpus: float | None = Field(
        None,
        ge=0,
        description="For a dispatcher: GPUs of an engine; a part of one lets several share it. Unset: 1 with CUDA, else"
        " 0.",
    )
    engine_cpus: float = Field(1, ge=0, description="For a dispatcher: CPUs that Ray reserves for an engine.")
    engine_labels: Annotated[Labels | None, parsed(parse_aliases)] = Field(
        None, description="For a dispatcher: labels that the Ray nodes of engines must have. Unset: none."
    )
    media_cpus: float = Field(
        1, ge=0, description="For a dispatcher: CPUs that Ray reserves for preparing one recording."
    )
    node_dir: Path | None = Field(
        None,
        description="For a dispatcher: a folder on each Ray node for what is temporary. Unset: in the system's own.",
    )
    dispatcher_listen: Annotated[Listen | None, parsed(parse_listen)] = Field(
        None,
        description="For a dispatcher: where it answers `/metrics`, `/health` and `/livez`, without API keys; port 0:"
        " any free one. Unset: nowhere.",
    )
    idle_timeout_secs: float = Field(
        300, ge=0, description="Time without work after which the model is unloaded; 0: never."
    )
    gpu_poll_interval_secs: int = Field(
        30, ge=1, description="How often a load is tried again while the GPU lacks free memory."
    )
    gpu_wait_secs: float = Field(
        300,
        ge=0,
        description="A call that waits for its transcript (`/v1`, `/asr`, `/inference`, Wyoming) gets the error"
        " 503 with the reason after its model has waited this long for GPU memory, or for a dispatcher where one is"
        " needed; its job stays queued. 0: it waits as long as it takes.",
    )
    unload_grace_secs: float = Field(
        10,
        ge=0,
        description="An unload request waits for jobs that need less time than this. Of the other jobs, only the chunks"
        " that are being decoded are finished; the jobs continue after the next load.",
    )
    unload_hold_secs: float = Field(
        60,
        ge=0,
        description="After an unload request, jobs that wait do not load the model for this long; a new request does.",
    )
    admission: Annotated[Literal["strict", "queue"], AnyCase] = Field(
        "strict",
        description="While the model is not ready, submissions are answered with 503 (`strict`) or queued (`queue`).",
    )
    max_audio_secs: float = Field(86_400, gt=0, le=MAX_AUDIO_SECS, description="Longest recording that is accepted.")
    media_timeout_secs: float = Field(3600, gt=0, description="Longest time for preparing one recording.")
    max_chunk_secs: float | None = Field(
        None,
        ge=5,
        le=30,
        description="Longest chunk. Unset: 19 where short audio is not padded to 30 s (`LATENCY`), else 30.",
    )
    chunk_timeout_secs: float = Field(600, gt=0, description="Longest time for decoding one chunk.")
    max_upload_bytes: int | None = Field(None, ge=1, description="Largest upload that is accepted. Unset: no limit.")
    min_free_bytes: int = Field(
        256 * 1024 * 1024, ge=0, description="Uploads that would leave less free disk space are refused with 507."
    )
    reserve_bytes: int = Field(
        64 * 1024 * 1024,
        ge=0,
        description="Size of a file in `DATA_DIR` that is deleted when the disk is full, so that running jobs can end.",
    )
    max_queue: int | None = Field(
        None, ge=1, description="While this many jobs are queued, new ones are refused with 429. Unset: no limit."
    )
    upload_expiry_hours: float = Field(
        24, gt=0, le=MAX_HOURS, description="A resumable upload is deleted this long after it last received data."
    )
    wyoming_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port for Wyoming (Home Assistant; usually 10300). Unset: no Wyoming.",
    )
    wyoming_host: str | None = Field(
        None, min_length=1, description="Address to listen on for Wyoming. Unset: the same as `SCRIVANO_HOST`."
    )
    api_keys_file: HomePath | None = Field(
        None,
        description="Requests need one of the API keys in this file. Unset: anyone who can connect may do everything.",
    )
    cors_origins: Annotated[Origins | None, parsed(parse_origins)] = Field(
        None,
        description="Web pages of these origins may call the server; `loopback`: pages of this machine, on any port;"
        " `*`: all pages. Unset: none.",
    )
    docs: bool = Field(True, description="Serve `/docs` and `/openapi.json`.")
    page: bool = Field(True, description="Serve the page for people at `/`.")
    page_frame_ancestors: Annotated[Ancestors | None, parsed(parse_ancestors)] = Field(
        None,
        description="Web pages of these origins may show the server's pages in a frame; `self`: those of its own"
        " origin, `*`: all. Unset: none.",
    )
    upload_idle_secs: float = Field(
        60, gt=0, description="An upload that sends nothing for this long is refused with 408."
    )
    upload_min_bytes_per_sec: int = Field(
        500,
        ge=0,
        description="An upload that is slower than this for `UPLOAD_IDLE_SECS` is refused with 408; 0: no limit.",
    )
    header_timeout_secs: float = Field(
        20, gt=0, description="A connection is closed if its request's header fields are not complete after this long."
    )
    http_keep_alive_secs: int = Field(
        75,
        ge=1,
        description="How long a connection stays open without a request. Should be longer than in a proxy in front.",
    )
    forwarded_allow_ips: Annotated[Proxies, parsed(parse_proxies)] = Field(
        Proxies("127.0.0.1,::1"),
        description="Proxies whose `X-Forwarded-For`, `-Proto` and `-Prefix` are used; `*`: all.",
    )
    sync_keepalive_secs: float = Field(
        20,
        ge=0,
        description="When a JSON response takes longer, white space keeps its connection alive; 0: never.",
    )
    max_connections: int = Field(1000, ge=1, description="Further connections are refused with 503.")
    fetch_timeout_secs: float = Field(1800, gt=0, description="Longest time for fetching one `audio_url`.")
    allow_networks: Annotated[Networks | None, parsed(parse_networks)] = Field(
        None,
        description="Private networks, loopback included, that webhooks and `audio_url` may call; `none`: none. Unset:"
        " all, but with `API_KEYS_FILE` none.",
    )
    webhook_secret: Annotated[Secrets | None, parsed(parse_secrets)] = Field(
        None,
        description="Secrets that sign webhooks (Standard Webhooks); two while receivers change to a new one. Unset: no"
        " signatures.",
    )
    speakers: bool = Field(False, description="Tell the speakers apart in jobs that do not say `speakers`.")
    channels: Annotated[Literal["auto", "mix", "split"], AnyCase] = Field(
        "auto",
        description="What to do with several channels in jobs that do not say `channels`: `mix` them, `split` them into"
        " speakers, or `auto`: split a call with one voice on each channel, where speakers are wanted.",
    )
    channel_names: Annotated[Names | None, parsed(parse_names)] = Field(
        None,
        description="Who speaks on each channel, such as `agent,customer`, in jobs that do not say `channel_names`."
        " Unset: `Speaker 1`, `Speaker 2`, …",
    )
    voices: bool = Field(
        False,
        description="Voices may be enrolled (`POST /voices`), and jobs with `voices=true` find them. They are biometric"
        " data.",
    )
    keep_audio: bool = Field(
        False,
        description="Keep the recordings of done and cancelled jobs that do not say so themselves (`keep_audio`). Those"
        " of failed jobs are always kept.",
    )
    retention_hours: float | None = Field(
        None, gt=0, le=MAX_HOURS, description="Ended jobs and their files are deleted after this long. Unset: never."
    )
    watch_folder: HomePath | None = Field(
        None, description="Recordings that arrive in this folder are transcribed, beside them. Unset: none."
    )
    watch_formats: Annotated[Formats, parsed(parse_names)] = Field(
        ("srt", "txt", "json"), description="Transcripts that are written for the recordings in `WATCH_FOLDER`."
    )
    watch_settle_secs: float = Field(
        10, gt=0, description="A file in `WATCH_FOLDER` counts as complete when it has not changed for this long."
    )
    access_log: bool = Field(
        True,
        description="Log each request: its id, method, route, status and duration; health probes only if they fail.",
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], AnyCase] = Field(
        "info", description="Lowest level that is logged."
    )
    log_format: Annotated[Literal["auto", "json", "text"], AnyCase] = Field(
        "auto", description="Form of log lines; `auto`: `text` if standard output is a terminal, else `json`."
    )

    def for_development(self) -> Settings:
        """These settings for `serve --dev`: pages of this machine may call, too."""
        return self.model_copy(update={"cors_origins": (*(self.cors_origins or ()), LOOPBACK)})

    @classmethod
    def load(
        cls,
        flags: Mapping[str, object] | None = None,
        config_file: Path | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> Settings:
        """Flags take precedence over the environment, and the environment over the file. A flag of None is unset.

        Environment variables are the field names in capitals (see `variable`). Empty variables are unset; unknown ones
        belong to other programs and are ignored. The file is TOML with the field names as keys.
        Raises `StartError`: one line with the setting, its value and the allowed values.
        """
        given = _from_file(config_file) | _from_environment(environ) | _from_flags(flags or {})
        try:
            return cls.model_validate({name: item.value for name, item in given.items()})
        except ValidationError as error:
            messages = dict.fromkeys(_message(given, detail) for detail in error.errors())
            raise StartError("; ".join(messages)) from error
        except RuntimeError as error:
            raise StartError(
                f"user {os.getuid()} has no home folder: set DATA_DIR to an absolute path, or set HOME"
            ) from error


def variable(field: str) -> str:
    """The environment variable of a field. `HOST` is not used: shells and conda set it to the machine's name."""
    return "SCRIVANO_HOST" if field == "host" else field.upper()


@dataclass(frozen=True, slots=True)
class _Given:
    """A value, and the name under which it was given: a flag, a variable or a key of the file."""

    name: str
    value: object


def _from_flags(flags: Mapping[str, object]) -> dict[str, _Given]:
    return {name: _Given("--" + name.replace("_", "-"), value) for name, value in flags.items() if value is not None}


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Given]:
    names = {field: variable(field) for field in Settings.model_fields}
    return {field: _Given(name, environ[name]) for field, name in names.items() if environ.get(name)}


def _from_file(path: Path | None) -> dict[str, _Given]:
    if path is None:
        return {}
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StartError(f"cannot read the settings file {path} ({error.strerror})") from error
    except ValueError as error:
        raise StartError(f"{path} is not a TOML file in UTF-8: {error}") from error
    return {name: _Given(f"{name} in {path}", value) for name, value in values.items()}


def _message(given: Mapping[str, _Given], detail: ErrorDetails) -> str:
    name = str(detail["loc"][0])
    item = given[name]
    field = Settings.model_fields.get(name)
    if field is None:
        hint = did_you_mean(name, Settings.model_fields)
        return f"{item.name}: there is no such setting{hint} (`scrivano settings` lists them)"
    # Error messages are logged, and secrets must not be.
    secret = {Secrets, DatabaseUrl} & {*get_args(field.annotation)}
    value = "invalid" if secret else repr(item.value)
    return f"{item.name} is {value}: it must be {allowed(field)}"
