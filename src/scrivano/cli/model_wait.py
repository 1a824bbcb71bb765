"""Waiting for the model of a server, and what it waits for itself: a first load may include a long download."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from scrivano.cli.chosen_server import same_model
from scrivano.client import Client, ModelStatus
from scrivano.domain.errors import StartError

__all__ = ["await_model"]

# How often the state of the model is requested.
POLL_S = 0.25


def await_model(client: Client, messages: Console, model: str | None = None) -> None:
    """Wait until a model is ready; None: the default one. Raises `StartError` if it cannot be loaded, `ClientError`."""
    last_text = ""
    while (status := _of(client.model_status(), model))["state"] != "ready":
        if (reason := status.get("last_error")) and status["state"] == "unloaded":
            raise StartError(f"the model cannot be loaded: {reason}")
        if (text := f"model: {_waits_for(status)}") != last_text:
            messages.print(text, markup=False, soft_wrap=True)
            last_text = text
        time.sleep(POLL_S)


def _of(status: ModelStatus, model: str | None) -> Mapping[str, Any]:
    """The status of one of the served models, as the server says it; of the default one, if it is not found."""
    models = status.more.get("models")
    for one in models if isinstance(models, list) else ():
        if model is not None and same_model(model, str(one.get("model"))):
            return dict(one)
    memory = {"vram_needed_mb": status.vram_needed_mb, "vram_free_mb": status.vram_free_mb}
    return {**status.more, **memory, "state": status.state}


def _waits_for(status: Mapping[str, Any]) -> str:
    if download := status.get("download"):
        done, total = download["done_bytes"], download["total_bytes"]
        if not total:
            return f"downloading, {done / 1e6:.0f} MB"
        return f"downloading, {100 * done // total} % ({done / 1e6:.0f} of {total / 1e6:.0f} MB)"
    if place := status.get("missing"):
        return f"waiting for {place}"
    if status["state"] == "waiting_for_gpu":
        needed, free = status.get("vram_needed_mb"), status.get("vram_free_mb")
        return f"waiting for GPU memory ({needed} MB needed, {free} MB free)"
    return str(status["state"])
