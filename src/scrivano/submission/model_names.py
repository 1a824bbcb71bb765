"""The names by which a served model can be requested. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload

from scrivano.domain.errors import ModelNotFound

__all__ = ["ALIASES", "ServedModels"]

# OpenAI's models. Many clients have one of these names built in; here each means the default model.
ALIASES = ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-transcribe", "gpt-4o-transcribe-diarize")

# OpenAI's dated snapshots (`gpt-4o-mini-transcribe-2025-12-15`), and the like.
_SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2}|latest)$")

# What hubs and other servers put around a model's name: who converted it, for which program, in which number format.
_BEFORE = re.compile(r"^(openai[-_]|ggml-|faster-|whisper-(?!1$))+")
_AFTER = re.compile(r"(\.(bin|gguf)|-(ct2|ggml|mlx|onnx|hf|fp16|fp32|f16|int8|float16|[48]bit|q\d(-\w+)?))+$")

# Other names of the same weights: openai/whisper's own, and those of hosted services.
_SAME = {
    "large": "large-v3",
    "turbo": "large-v3-turbo",
    "large-turbo": "large-v3-turbo",
    "v2": "large-v2",
    "v3": "large-v3",
    "v3-turbo": "large-v3-turbo",
    "distil-large-v3-en": "distil-large-v3",
}


@dataclass(frozen=True, slots=True)
class ServedModels(Sequence[str]):
    """The names of the models that a server has, the default one first. `aliases`: more names, of any of these."""

    names: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        return self.names[index]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def shown(self) -> tuple[str, ...]:
        """Every name that a list of models should have."""
        return tuple(dict.fromkeys((*self.names, *self.aliases, *ALIASES)))

    def find(self, name: str | None) -> str | None:
        """The model that `name` means; None: the default one. Raises `ModelNotFound`."""
        if name is None:
            return None
        found = self._exact(name) or self._similar(name)
        if found is None:
            raise ModelNotFound(name, self.names)
        return None if found == self.names[0] else found

    def _exact(self, name: str) -> str | None:
        if name in self.aliases:
            return self.aliases[name]
        if name in self.names:
            return name
        return None

    def _similar(self, name: str) -> str | None:
        """A model of the same weights, whoever published them and in whatever format."""
        short = _short(name)
        if _SNAPSHOT.sub("", short) in ALIASES:
            return self.names[0]
        by_alias = {alias.casefold(): model for alias, model in self.aliases.items()}
        by_name = {_weights(model): model for model in reversed(self.names)}
        return by_alias.get(name.casefold()) or by_alias.get(short) or by_name.get(_weights(name))


def _short(name: str) -> str:
    """The name without its owner or folder: of a repository id, a path, or a folder of the hub's cache."""
    return re.split(r"[/\\]|--", name.casefold().rstrip("/\\"))[-1]


def _weights(name: str) -> str:
    """What the names of the same weights have in common: `large-v3` for `Systran/faster-whisper-large-v3`."""
    short = re.sub(r"distil-whisper-|whisper-distil-", "distil-", _short(name).replace("_", "-"))
    plain = _AFTER.sub("", _BEFORE.sub("", short))
    return _SAME.get(plain, plain)
