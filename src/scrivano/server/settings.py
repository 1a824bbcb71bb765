"""Settings: read once, from flags, environment and an optional file, frozen, and handed out as plain values."""

from __future__ import annotations

import base64
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, NewType, get_args

from platformdirs import user_data_path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretBytes, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from scrivano.domain.errors import StartError

__all__ = ["Settings", "allowed", "variable"]


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


# Names are understood however they are capitalised (`LOG_LEVEL=INFO`).
AnyCase = BeforeValidator(_lower)

# `~` is the home folder, also where no shell was there to replace it.
HomePath = Annotated[
    Path, BeforeValidator(lambda value: os.path.expanduser(value) if isinstance(value, str) else value)
]


def _networks(value: object) -> object:
    """Networks out of a comma list; the word `none` is an empty one."""
    if not isinstance(value, str):
        return value
    texts = [text.strip() for text in value.split(",")]
    return () if texts == ["none"] else tuple(ip_network(text) for text in texts)


def _secrets(value: object) -> object:
    """Keys out of a comma list of Standard Webhooks secrets: base64, mostly with `whsec_` before it."""
    if not isinstance(value, str):
        return value
    return tuple(_secret(text.strip()) for text in value.split(","))


def _secret(text: str) -> SecretBytes:
    key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    if not 24 <= len(key) <= 64:
        raise ValueError("a secret of Standard Webhooks has 24 to 64 bytes")
    return SecretBytes(key)


def _names(value: object) -> object:
    """Names out of a comma list."""
    return tuple(text.strip() for text in value.split(",")) if isinstance(value, str) else value


def _indices(value: object) -> object:
    """Indices out of a comma list, or a single one."""
    if isinstance(value, int):
        return (value,)
    indices = [int(text) for text in value.split(",")] if isinstance(value, str) else value
    if not indices:
        raise ValueError("no device at all")
    return indices


def _keep_alive(value: object) -> object:
    """`{name: seconds}` out of `name=seconds` in a comma list."""
    if not isinstance(value, str):
        return value
    pairs = (text.rpartition("=") for text in value.split(","))
    return {name.strip(): float(seconds) for name, _, seconds in pairs}


def _origins(value: object) -> object:
    """Origins out of a comma list, as browsers write them."""
    if not isinstance(value, str):
        return value
    origins = tuple(text.strip().rstrip("/").lower() for text in value.split(","))
    if not all(text == "*" or _ORIGIN.fullmatch(text) for text in origins):
        raise ValueError("an origin has a scheme and a host, and nothing after them")
    return origins


_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+")

Names = tuple[Annotated[str, Field(min_length=1)], ...]
Indices = tuple[Annotated[int, Field(ge=0)], ...]
KeepAlive = dict[Annotated[str, Field(min_length=1)], Annotated[float, Field(ge=0)]]
Secrets = tuple[SecretBytes, ...]
Origins = NewType("Origins", tuple[str, ...])
Networks = tuple[IPv4Network | IPv6Network, ...]


class Settings(BaseModel):
    """How a server runs. Names ending in `_secs` are seconds, in `_bytes` bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on; `0.0.0.0` for all IPv4 ones.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    data_dir: HomePath = Field(
        default_factory=lambda: user_data_path("scrivano", appauthor=False),
        description="Where jobs and recordings are kept. Unset: the user's data folder.",
    )
    whisper_model: str | None = Field(
        None, description="Name of a model, or a Hugging Face repository id. Unset: chosen by what the machine has."
    )
    whisper_model_path: HomePath | None = Field(
        None, description="A model on disk, as a folder or a GGML file; nothing is downloaded then."
    )
    models: Annotated[Names | None, BeforeValidator(_names)] = Field(
        None, description="More models, by name or repository id, that a request may ask for. Unset: none."
    )
    keep_alive: Annotated[KeepAlive | None, BeforeValidator(_keep_alive)] = Field(
        None,
        description="How long these models stay loaded after their last work, where that is not `IDLE_TIMEOUT_SECS`.",
    )
    device: Annotated[Literal["auto", "cpu", "cuda"], AnyCase] = Field(
        "auto", description="What the model runs on; `auto`: a CUDA device where there is one."
    )
    cuda_device: Annotated[Indices, BeforeValidator(_indices)] = Field(
        (0,),
        description="Which CUDA device, counted from 0; several (`0,1`) share the work, each with a copy of the model.",
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
    cpu_threads: int = Field(0, ge=0, description="Threads of the model on a CPU; 0: as many as it has cores.")
    beam_size: int = Field(5, ge=1, le=10, description="Hypotheses kept while decoding; 1 is greedy and fastest.")
    latency: Annotated[Literal["normal", "fast"], AnyCase] = Field(
        "normal",
        description="`fast`: short audio is not filled up to 30 s for the model; what comes out poorly is heard again.",
    )
    batch_size: int = Field(0, ge=0, le=1024, description="Chunks decoded together; 0: chosen by the device.")
    word_timestamps: bool = Field(True, description="Give every word its own times.")
    engine_malloc: Annotated[Literal["tuned", "default"], AnyCase] = Field(
        "tuned", description="Memory allocation of the model's process; `tuned` is faster on a CPU with glibc."
    )
    idle_timeout_secs: float = Field(
        300, ge=0, description="The model is unloaded after so long without work; 0: never."
    )
    gpu_poll_interval_secs: int = Field(
        30, ge=1, description="How often a load is tried again while the GPU lacks memory."
    )
    admission: Annotated[Literal["strict", "queue"], AnyCase] = Field(
        "strict",
        description="A submission while the model is not ready: `strict` answers 503, `queue` lets the job wait.",
    )
    max_audio_secs: float = Field(86_400, gt=0, description="A longer recording is refused.")
    media_timeout_secs: float = Field(3600, gt=0, description="Longest time that preparing one recording may take.")
    max_chunk_secs: float = Field(
        30, ge=5, le=30, description="Audio decoded as one; shorter chunks come sooner, and cost more of them."
    )
    chunk_timeout_secs: float = Field(600, gt=0, description="Longest time that one chunk may take in the model.")
    max_upload_bytes: int | None = Field(None, ge=1, description="A larger upload is refused. Unset: no limit.")
    min_free_bytes: int = Field(
        256 * 1024 * 1024, ge=0, description="An upload that would leave less of the disk free is refused with 507."
    )
    reserve_bytes: int = Field(
        64 * 1024 * 1024,
        ge=0,
        description="Kept aside in `DATA_DIR`, and given up when the disk is full, so that running jobs can end.",
    )
    max_queue: int | None = Field(
        None, ge=1, description="While so many jobs wait, more are refused with 429. Unset: no limit."
    )
    upload_expiry_hours: float = Field(
        24, gt=0, description="A resumable upload is deleted so long after its last bytes."
    )
    wyoming_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Also listen there for Wyoming (Home Assistant; usually 10300). Unset: do not.",
    )
    wyoming_host: str | None = Field(
        None, min_length=1, description="Address to listen on for Wyoming. Unset: that of `SCRIVANO_HOST`."
    )
    api_keys_file: HomePath | None = Field(
        None,
        description="Requests need one of the API keys in this file. Unset: whoever can connect may do everything.",
    )
    cors_origins: Annotated[Origins | None, BeforeValidator(_origins)] = Field(
        None, description="Web pages of these origins may call, `*`: of all. Unset: of none."
    )
    docs: bool = Field(True, description="Show `/docs` and `/openapi.json`.")
    upload_idle_secs: float = Field(
        60, gt=0, description="An upload that brings nothing for so long is given up, with 408."
    )
    upload_min_bytes_per_sec: int = Field(
        500, ge=0, description="So is one that is slower than this for longer than that; 0: however slow."
    )
    header_timeout_secs: float = Field(
        20, gt=0, description="A connection whose request has not named all its header fields after so long is cut."
    )
    max_connections: int = Field(1000, ge=1, description="More connections at once are refused, with 503.")
    fetch_timeout_secs: float = Field(1800, gt=0, description="Longest time that fetching one `audio_url` may take.")
    allow_networks: Annotated[Networks | None, BeforeValidator(_networks)] = Field(
        None,
        description="The private networks that webhooks and `audio_url` may lead to, loopback included. Unset: all;"
        " `none`: no private network.",
    )
    webhook_secret: Annotated[Secrets | None, BeforeValidator(_secrets)] = Field(
        None,
        description="Signs webhooks, as Standard Webhooks has it. Two while the receivers change from one to the other."
        " Unset: not signed.",
    )
    keep_audio: bool = Field(
        False, description="Keep the recordings of done and cancelled jobs; those of failed ones are kept anyway."
    )
    retention_hours: float | None = Field(
        None, gt=0, description="Ended jobs are deleted after so long, with all that belongs to them. Unset: never."
    )
    access_log: bool = Field(
        True, description="Log each request: its id, method, route, status and duration; probes only where they fail."
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], AnyCase] = Field(
        "info", description="Log lines below this level are left out."
    )

    @classmethod
    def load(
        cls,
        flags: Mapping[str, object] | None = None,
        config_file: Path | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> Settings:
        """Flags win over the environment, that over the file; a flag of None counts as not given.

        The environment's variables are the fields' names in capitals (see `variable`); an empty one counts as unset,
        and unknown ones are somebody else's. The file is TOML with the fields' names as keys.
        Raises `StartError`: one line with the setting, its value and what is allowed.
        """
        given = _from_file(config_file) | _from_environment(environ) | _from_flags(flags or {})
        try:
            return cls.model_validate({name: one.value for name, one in given.items()})
        except ValidationError as error:
            complaints = dict.fromkeys(_complaint(given, detail) for detail in error.errors())
            raise StartError("; ".join(complaints)) from error


def variable(field: str) -> str:
    """The environment variable of a field. `HOST` is taken: shells and conda set it to the machine's own name."""
    return "SCRIVANO_HOST" if field == "host" else field.upper()


def allowed(field: FieldInfo) -> str:
    """What a setting may be, in words."""
    annotation = field.annotation
    kinds = (annotation,) if annotation in _NOUNS else get_args(annotation) or (annotation,)
    if all(isinstance(kind, str) for kind in kinds):
        return "one of " + ", ".join(kinds)
    kind = next(kind for kind in kinds if kind is not NoneType)
    return _NOUNS.get(kind, "a text") + _bounds(field)


_NOUNS: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path",
    Names: "names, separated by commas",
    Origins: "origins like https://app.example.org, separated by commas, or *",
    Indices: "whole numbers from 0, separated by commas",
    KeepAlive: "name=seconds, several separated by commas; 0 seconds: for ever",
    Secrets: "base64 of 24 to 64 random bytes, with or without whsec_ before it; several are separated by commas",
    Networks: "networks like 10.0.0.0/8 and fd00::/8, separated by commas, or none",
}


def _bounds(field: FieldInfo) -> str:
    bounds = {name: getattr(item, name) for item in field.metadata for name in _BOUNDS if hasattr(item, name)}
    words = [f"{_BOUNDS[name]} {bound}" for name, bound in bounds.items()]
    return f" {' '.join(words)}" if words else ""


_BOUNDS = {"gt": "above", "ge": "from", "le": "up to", "min_length": "of a length from"}


@dataclass(frozen=True, slots=True)
class _Given:
    """A value and the name that it was given under, where it was given."""

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


def _complaint(given: Mapping[str, _Given], detail: ErrorDetails) -> str:
    name = str(detail["loc"][0])
    one = given[name]
    field = Settings.model_fields.get(name)
    if field is None:
        return f"{one.name}: there is no such setting; known are {', '.join(Settings.model_fields)}"
    # Error messages are logged; secrets are not.
    value = "what it is" if Secrets in get_args(field.annotation) else repr(one.value)
    return f"{one.name} cannot be {value}: it must be {allowed(field)}"
