"""The names by which a served model can be requested."""

from __future__ import annotations

from collections.abc import Sequence

from scrivano.domain.errors import ModelNotFound

__all__ = ["ALIASES", "served_model"]

# OpenAI's models. Many clients have one of these names built in; here each means the default model.
ALIASES = ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-transcribe")


def served_model(name: str | None, models: Sequence[str]) -> str | None:
    """The served model that `name` means; None: the default model, which is the first of `models`.

    Raises `ModelNotFound`.
    """
    if name is None or name in (models[0], *ALIASES):
        return None
    if name not in models:
        raise ModelNotFound(name, models)
    return name
