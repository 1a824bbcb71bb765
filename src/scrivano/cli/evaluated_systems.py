"""The systems that an evaluation compares: models, servers, and settings of both. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from scrivano.domain.wording import did_you_mean
from scrivano.server.settings import Settings, variable
from scrivano.submission.job_changes import CHANGEABLE

__all__ = ["System", "systems_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """What is evaluated. `server` None: one is found or started. `options`: of jobs. `env`: settings of a server that
    is started for this."""

    model: str | None = None
    server: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, str]:
        named = {"model": self.model, "server": self.server}
        return {name: value for name, value in {**named, **self.options, **self.env}.items() if value is not None}

    def name(self, systems: Sequence[System], served: str) -> str:
        """What tells it from the others of `systems`: its model, and its server and settings. `served`: the model."""
        several = len({other.server for other in systems}) > 1
        model = Path(self.model).name if self.model else served
        settings = [f"{name}={value}" for name, value in {**self.options, **self.env}.items()]
        return ", ".join([model, *([self.server] if several and self.server else []), *settings])


def systems_of(
    models: Sequence[str], servers: Sequence[str], sets: Sequence[str], *, with_results: bool
) -> list[System]:
    """Every combination of the models, servers and settings. Without any, the usual server, unless stored results are
    all that is wanted. Raises ValueError for settings that cannot be used."""
    if with_results and not (models or servers or sets):
        return []
    named_models: list[str | None] = [*models] or [None]
    named_servers: list[str | None] = [*servers] or [None]
    systems = []
    for model, server, text in product(named_models, named_servers, sets or ["default"]):
        values = parse_settings(text)
        env = {name: value for name, value in values.items() if name.isupper()}
        options = {name: value for name, value in values.items() if not name.isupper()}
        if server is not None and env:
            raise ValueError(
                f"{', '.join(env)} belongs to a server's environment: leave out --server, or restart it so"
            )
        if "model" in options or "queue" in options:
            raise ValueError("use --model for the model; queue is always set")
        _check_names(options, "field of POST /jobs", CHANGEABLE)
        _check_names(env, "setting", [variable(field) for field in Settings.model_fields])
        systems.append(System(model=model, server=server, options=options, env=env))
    return systems


def _check_names(named: Iterable[str], what: str, known: Collection[str]) -> None:
    """A server ignores names that it does not know: the comparison would find no difference. Raises ValueError."""
    for name in named:
        if name not in known:
            raise ValueError(f"--set: there is no {what} named {name}{did_you_mean(name, known)}")


def parse_settings(text: str) -> dict[str, str]:
    """`beam_size=1,prompt=One, two` as a mapping: a comma counts only before another `NAME=`. Raises ValueError."""
    if text.strip() in ("", "default"):
        return {}
    parts = [part.partition("=") for part in re.split(r",\s*(?=\w+=)", text)]
    for name, equals, _ in parts:
        if not equals or not re.fullmatch(r"\s*\w+\s*", name):
            raise ValueError(f"--set takes NAME=VALUE, such as beam_size=1, or `default`; not '{text}'")
    return {name.strip(): value for name, _, value in parts}
