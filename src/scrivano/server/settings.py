"""Settings: read once, from flags, environment and an optional file, frozen, and handed out as plain values."""

from __future__ import annotations

import base64
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, NewType, get_args
from urllib.parse import urlsplit

from platformdirs import user_data_path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from scrivano.domain.decoding import REPAIR_SHARE
from scrivano.domain.errors import StartError
from scrivano.domain.wording import did_you_mean

__all__ = ["Settings", "allowed", "variable"]


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


# Values in capitals are accepted, too (`LOG_LEVEL=INFO`).
AnyCase = BeforeValidator(_lower)

# `~` is the home folder. Environment variables and the settings file are not expanded by a shell.
# Raises `RuntimeError` if there is no home folder.
HomePath = Annotated[Path, BeforeValidator(lambda value: Path(value).expanduser() if isinstance(value, str) else value)]


def _user_data_folder() -> Path:
    """Raises `RuntimeError` if there is no home folder; platformdirs would make a folder named `~` then."""
    return user_data_path("scrivano", appauthor=False).expanduser()


def _networks(value: object) -> object:
    """Parse a comma-separated list of networks; `none` is the empty list."""
    if not isinstance(value, str):
        return value
    texts = [text.strip() for text in value.split(",")]
    return () if texts == ["none"] else tuple(ip_network(text) for text in texts)


def _proxies(value: object) -> object:
    """Check a comma-separated list of addresses and networks. Names of hosts would match no proxy, without a word."""
    if isinstance(value, str) and value.strip() != "*":
        for text in value.split(","):
            (ip_network if "/" in text else ip_address)(text.strip())
    return value.strip() if isinstance(value, str) else value


def _secrets(value: object) -> object:
    """Parse a comma-separated list of Standard Webhooks secrets: base64, usually with the prefix `whsec_`."""
    if not isinstance(value, str):
        return value
    return tuple(_secret(text.strip()) for text in value.split(","))


def _secret(text: str) -> SecretBytes:
    key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    if not 24 <= len(key) <= 64:
        raise ValueError("a Standard Webhooks secret has 24 to 64 bytes")
    return SecretBytes(key)


def _database_url(value: object) -> object:
    if isinstance(value, str) and not value.startswith(("postgresql://", "postgres://")):
        raise ValueError("only PostgreSQL is supported")
    return value.replace("postgres://", "postgresql://", 1) if isinstance(value, str) else value


def _names(value: object) -> object:
    """Parse a comma-separated list of names."""
    return tuple(text.strip() for text in value.split(",")) if isinstance(value, str) else value


def _indices(value: object) -> object:
    """Parse a comma-separated list of indices, or a single index."""
    if isinstance(value, int):
        return (value,)
    indices = [int(text) for text in value.split(",")] if isinstance(value, str) else value
    if not indices:
        raise ValueError("at least one index is necessary")
    return indices


def _keep_alive(value: object) -> object:
    """Parse a comma-separated list of `name=seconds`."""
    if not isinstance(value, str):
        return value
    pairs = (text.rpartition("=") for text in value.split(","))
    return {name.strip(): float(seconds) for name, _, seconds in pairs}


def _aliases(value: object) -> object:
    """Parse a comma-separated list of `name=model`."""
    if not isinstance(value, str):
        return value
    pairs = (text.partition("=") for text in value.split(","))
    return {name.strip(): model.strip() for name, _, model in pairs}


def _origins(value: object) -> object:
    """Parse a comma-separated list of origins. The result is as browsers send them."""
    return tuple(_origin(text.strip()) for text in value.split(",")) if isinstance(value, str) else value


def _origin(text: str) -> str:
    """As a browser sends it: in lower case, without the default port, with an international name in ASCII.

    Origins are compared as a whole, so one with a wildcard (`https://*.example.org`) would match no page.
    """
    if text in ("*", LOOPBACK):
        return text
    found = _ORIGIN.fullmatch(text.rstrip("/").lower())
    if found is None:
        raise ValueError("an origin has only a scheme, a host and a port")
    scheme, host, port = found["scheme"], found["host"], found["port"] or ""
    host = host if host.isascii() else host.encode("idna").decode()
    return f"{scheme}://{host}{'' if port == _DEFAULT_PORTS.get(scheme) else port}"


def _ancestors(value: object) -> object:
    """Parse a comma-separated list of origins, `self` and `*`."""
    if not isinstance(value, str):
        return value
    texts = [text.strip() for text in value.split(",")]
    if LOOPBACK in texts:
        raise ValueError("a policy cannot name any port")
    # In quotes it is as a policy has it.
    return tuple("self" if text in ("self", "'self'") else _origin(text) for text in texts)


def _blob_url(value: object) -> object:
    """`s3://bucket` or `file:///folder`, either with a path. Credentials do not belong in it: it is logged."""
    if isinstance(value, str):
        parts = urlsplit(value)
        bucket = parts.scheme == "s3" and parts.netloc and not {"@", ":"} & {*parts.netloc}
        folder = parts.scheme == "file" and not parts.netloc and parts.path.startswith("/")
        if not (bucket or folder) or parts.query or parts.fragment:
            raise ValueError("not a place for recordings")
    return value


def _listen(value: object) -> object:
    """Parse `host:port`; an IPv6 address is in brackets."""
    if not isinstance(value, str):
        return value
    found = _LISTEN.fullmatch(value.strip())
    if found is None or int(found["port"]) > 65535:
        raise ValueError("no address and port")
    return found["ipv6"] or found["host"], int(found["port"])


# Pages of this machine, on any port.
LOOPBACK = "loopback"

_ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:.]+\]|[^/?#@:*\s]+)(?P<port>:\d+)?")
_LISTEN = re.compile(r"(\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:,\s]+)):(?P<port>\d{1,5})", re.ASCII)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}

Names = tuple[Annotated[str, Field(min_length=1)], ...]
Indices = tuple[Annotated[int, Field(ge=0)], ...]
KeepAlive = dict[Annotated[str, Field(min_length=1)], Annotated[float, Field(ge=0)]]
Aliases = dict[Annotated[str, Field(min_length=1)], Annotated[str, Field(min_length=1)]]
Labels = NewType("Labels", dict[str, str])
Formats = tuple[Literal["txt", "srt", "vtt", "tsv", "json", "lrc"], ...]
Secrets = tuple[SecretBytes, ...]
Origins = NewType("Origins", tuple[str, ...])
Ancestors = NewType("Ancestors", tuple[str, ...])
Proxies = NewType("Proxies", str)
DatabaseUrl = NewType("DatabaseUrl", SecretStr)
Listen = NewType("Listen", tuple[str, int])
Networks = tuple[IPv4Network | IPv6Network, ...]
BlobUrl = NewType("BlobUrl", str)


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
    database_url: Annotated[DatabaseUrl | None, BeforeValidator(_database_url)] = Field(
        None,
        description="A PostgreSQL database for jobs and transcripts, which several servers may share. Unset: a file in"
        " `DATA_DIR`.",
    )
    blob_url: Annotated[BlobUrl | None, BeforeValidator(_blob_url)] = Field(
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
    models: Annotated[Names | None, BeforeValidator(_names)] = Field(
        None, description="More models, by name or repository id, that a request may name. Unset: none."
    )
    model_aliases: Annotated[Aliases | None, BeforeValidator(_aliases)] = Field(
        None, description="More names by which requests may call the served models. Unset: none."
    )
    keep_alive: Annotated[KeepAlive | None, BeforeValidator(_keep_alive)] = Field(
        None,
        description="How long these models stay loaded without work; others: `IDLE_TIMEOUT_SECS`.",
    )
    device: Annotated[Literal["auto", "cpu", "cuda"], AnyCase] = Field(
        "auto", description="What the model runs on; `auto`: a CUDA device if there is one, else the CPU."
    )
    cuda_device: Annotated[Indices, BeforeValidator(_indices)] = Field(
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
    cpu_threads: int = Field(0, ge=0, description="Threads of the model on a CPU; 0: one for each core.")
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
    engine_labels: Annotated[Labels | None, BeforeValidator(_aliases)] = Field(
        None, description="For a dispatcher: labels that the Ray nodes of engines must have. Unset: none."
    )
    media_cpus: float = Field(
        1, ge=0, description="For a dispatcher: CPUs that Ray reserves for preparing one recording."
    )
    node_dir: Path | None = Field(
        None,
        description="For a dispatcher: a folder on each Ray node for what is temporary. Unset: in the system's own.",
    )
    dispatcher_listen: Annotated[Listen | None, BeforeValidator(_listen)] = Field(
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
    max_audio_secs: float = Field(86_400, gt=0, description="Longest recording that is accepted.")
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
        24, gt=0, description="A resumable upload is deleted this long after it last received data."
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
    cors_origins: Annotated[Origins | None, BeforeValidator(_origins)] = Field(
        None,
        description="Web pages of these origins may call the server; `loopback`: pages of this machine, on any port;"
        " `*`: all pages. Unset: none.",
    )
    docs: bool = Field(True, description="Serve `/docs` and `/openapi.json`.")
    page: bool = Field(True, description="Serve the page for people at `/`.")
    page_frame_ancestors: Annotated[Ancestors | None, BeforeValidator(_ancestors)] = Field(
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
    forwarded_allow_ips: Annotated[Proxies, BeforeValidator(_proxies)] = Field(
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
    allow_networks: Annotated[Networks | None, BeforeValidator(_networks)] = Field(
        None,
        description="Private networks, loopback included, that webhooks and `audio_url` may call; `none`: none. Unset:"
        " all, but with `API_KEYS_FILE` none.",
    )
    webhook_secret: Annotated[Secrets | None, BeforeValidator(_secrets)] = Field(
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
    channel_names: Annotated[Names | None, BeforeValidator(_names)] = Field(
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
        None, gt=0, description="Ended jobs and their files are deleted after this long. Unset: never."
    )
    watch_folder: HomePath | None = Field(
        None, description="Recordings that arrive in this folder are transcribed, beside them. Unset: none."
    )
    watch_formats: Annotated[Formats, BeforeValidator(_names)] = Field(
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


def allowed(field: FieldInfo) -> str:
    """A description of the values that a setting may have."""
    annotation = field.annotation
    kinds = (annotation,) if annotation in _NOUNS else get_args(annotation) or (annotation,)
    if all(isinstance(kind, str) for kind in kinds):
        return "one of " + ", ".join(kinds)
    kind = next(kind for kind in kinds if kind is not NoneType)
    if kind in _NOUNS:
        return _NOUNS[kind] + _bounds(field)
    return "a path" if Path in get_args(kind) else "non-empty text"


_NOUNS: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path",
    Names: "names, separated by commas",
    Origins: "origins like https://app.example.org, separated by commas, loopback, or *",
    Ancestors: "self, or origins like https://app.example.org, separated by commas, or *",
    Formats: "some of txt, srt, vtt, tsv, json and lrc, separated by commas",
    Indices: "whole numbers from 0, separated by commas",
    Aliases: "name=model, separated by commas",
    Labels: "name=value, separated by commas",
    KeepAlive: "name=seconds, separated by commas; 0 seconds: never unloaded",
    Secrets: "base64 of 24 to 64 random bytes, with or without the prefix whsec_, separated by commas",
    Proxies: "addresses and networks like 10.0.0.0/8, separated by commas, or *",
    DatabaseUrl: "a URL like postgresql://user:password@host/name",
    BlobUrl: "s3://bucket/prefix or file:///folder",
    Listen: "an address and a port like 127.0.0.1:9464 or [::1]:9464",
    Networks: "networks like 10.0.0.0/8 and fd00::/8, separated by commas, or none",
}


def _bounds(field: FieldInfo) -> str:
    bounds = {name: getattr(item, name) for item in field.metadata for name in _BOUNDS if hasattr(item, name)}
    words = [f"{_BOUNDS[name]} {bound}" for name, bound in bounds.items()]
    return f" {' '.join(words)}" if words else ""


_BOUNDS = {"gt": "above", "ge": "from", "le": "to"}


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
