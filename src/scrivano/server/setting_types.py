"""What kinds of values settings have: how they are written as text, and what is said of them. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, NewType, get_args
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretBytes, SecretStr
from pydantic.fields import FieldInfo

__all__ = [
    "LOOPBACK",
    "Aliases",
    "Ancestors",
    "AnyCase",
    "BlobUrl",
    "DatabaseUrl",
    "Formats",
    "HomePath",
    "Indices",
    "KeepAlive",
    "Labels",
    "Listen",
    "Names",
    "Networks",
    "Origins",
    "Proxies",
    "Secrets",
    "allowed",
    "parse_aliases",
    "parse_ancestors",
    "parse_blob_url",
    "parse_database_url",
    "parse_indices",
    "parse_keep_alive",
    "parse_listen",
    "parse_names",
    "parse_networks",
    "parse_origins",
    "parse_proxies",
    "parse_secrets",
    "parsed",
]

# Pages of this machine, on any port.
LOOPBACK = "loopback"

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


def parsed(parse: Callable[[str], object]) -> BeforeValidator:
    """The value of a field that is text is parsed; others are taken as they are. A `ValueError` refuses the value."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


# Values in capitals are accepted, too (`LOG_LEVEL=INFO`).
AnyCase = parsed(str.lower)

# `~` is the home folder. Environment variables and the settings file are not expanded by a shell.
# Raises `RuntimeError` if there is no home folder.
HomePath = Annotated[Path, parsed(lambda text: Path(text).expanduser())]


def parse_names(text: str) -> tuple[str, ...]:
    """Separated by commas, here and below."""
    return tuple(part.strip() for part in text.split(","))


def parse_networks(text: str) -> Networks:
    """`none` is the empty list."""
    texts = parse_names(text)
    return () if texts == ("none",) else tuple(map(ip_network, texts))


def parse_proxies(text: str) -> str:
    """Addresses and networks, or `*`. Names of hosts would match no proxy, without a word."""
    if text.strip() != "*":
        for one in parse_names(text):
            (ip_network if "/" in one else ip_address)(one)
    return text.strip()


def parse_secrets(text: str) -> Secrets:
    """Secrets of Standard Webhooks: base64, usually with the prefix `whsec_`."""
    return tuple(map(_secret, parse_names(text)))


def _secret(text: str) -> SecretBytes:
    key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    if not 24 <= len(key) <= 64:
        raise ValueError("a Standard Webhooks secret has 24 to 64 bytes")
    return SecretBytes(key)


def parse_database_url(text: str) -> str:
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("only PostgreSQL is supported")
    return text.replace("postgres://", "postgresql://", 1)


def parse_indices(value: object) -> object:
    """A single number is a list of one."""
    if isinstance(value, int):
        return (value,)
    indices = [int(text) for text in value.split(",")] if isinstance(value, str) else value
    if not indices:
        raise ValueError("at least one index is necessary")
    return indices


def parse_keep_alive(text: str) -> dict[str, float]:
    """`name=seconds`; a name may have `=` in it."""
    pairs = (part.rpartition("=") for part in text.split(","))
    return {name.strip(): float(seconds) for name, _, seconds in pairs}


def parse_aliases(text: str) -> dict[str, str]:
    """`name=value`; a value may have `=` in it."""
    pairs = (part.partition("=") for part in text.split(","))
    return {name.strip(): value.strip() for name, _, value in pairs}


def parse_origins(text: str) -> tuple[str, ...]:
    return tuple(map(_origin, parse_names(text)))


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


def parse_ancestors(text: str) -> tuple[str, ...]:
    """Origins, `self` and `*`."""
    texts = parse_names(text)
    if LOOPBACK in texts:
        raise ValueError("a policy cannot name any port")
    # In quotes it is as a policy has it.
    return tuple("self" if one in ("self", "'self'") else _origin(one) for one in texts)


def parse_blob_url(text: str) -> str:
    """`s3://bucket` or `file:///folder`, either with a path. Credentials do not belong in it: it is logged."""
    parts = urlsplit(text)
    bucket = parts.scheme == "s3" and parts.netloc and not {"@", ":"} & {*parts.netloc}
    folder = parts.scheme == "file" and not parts.netloc and parts.path.startswith("/")
    if not (bucket or folder) or parts.query or parts.fragment:
        raise ValueError("not a place for recordings")
    return text


def parse_listen(text: str) -> tuple[str, int]:
    """`host:port`; an IPv6 address is in brackets."""
    found = _LISTEN.fullmatch(text.strip())
    if found is None or int(found["port"]) > 65535:
        raise ValueError("no address and port")
    return found["ipv6"] or found["host"], int(found["port"])


_ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:.]+\]|[^/?#@:*\s]+)(?P<port>:\d+)?")
_LISTEN = re.compile(r"(\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:,\s]+)):(?P<port>\d{1,5})", re.ASCII)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


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
