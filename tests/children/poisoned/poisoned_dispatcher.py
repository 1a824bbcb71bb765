"""A dispatcher whose engines are `poisoned_engine`. All else is as in `scrivano dispatcher`."""

from __future__ import annotations

from scrivano.server.dispatcher import MODULES, dispatch
from scrivano.server.settings import Settings
from scrivano.telemetry import log


def main() -> None:
    settings = Settings.load({}, None)
    log.configure(settings.log_level, text=False)
    dispatch(settings, {**MODULES, "engine": "poisoned_engine"})


if __name__ == "__main__":
    main()
