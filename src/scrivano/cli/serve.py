"""`scrivano serve`, `scrivano wyoming` and `scrivano dispatcher`: run a server, or what works for several."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from scrivano.cli.console import exit_on_start_error

__all__ = ["dispatcher", "serve", "serve_flags", "wyoming"]

Host = Annotated[
    list[str] | None,
    typer.Option(help="Address to listen on; 0.0.0.0: all of IPv4, :: for all. Repeatable.  [default: 127.0.0.1]"),
]
DataDir = Annotated[Path | None, typer.Option(help="Folder for jobs and recordings.")]
Model = Annotated[str | None, typer.Option(help="A name from `scrivano models`, or a Hugging Face id.")]
ModelPath = Annotated[Path | None, typer.Option(help="A model on disk: a folder, or a GGML file.")]
Config = Annotated[
    Path | None, typer.Option(help="A TOML file with settings. Flags and environment variables take precedence.")
]


def serve(
    host: Host = None,
    port: Annotated[int | None, typer.Option(help="0: any free port.  [default: 8080]")] = None,
    data_dir: DataDir = None,
    model: Model = None,
    model_path: ModelPath = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.  [default: auto]")] = None,
    api_keys_file: Annotated[
        Path | None, typer.Option(help="Require one of the API keys in this file; see `scrivano keys`.")
    ] = None,
    config: Config = None,
    dev: Annotated[
        bool,
        typer.Option("--dev", help="For front-end development: web pages of this machine, on any port, may call."),
    ] = False,
    while_stdin_is_open: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Run the server. `scrivano settings` lists all settings; set the others in the environment or with --config."""
    flags = serve_flags(
        {
            "host": host,
            "port": port,
            "data_dir": data_dir,
            "model": model,
            "model_path": model_path,
            "device": device,
            "api_keys_file": api_keys_file,
        }
    )
    _run_server(flags, config, dev=dev, while_stdin_is_open=while_stdin_is_open)


def serve_flags(options: Mapping[str, Any]) -> dict[str, object]:
    """The options of `serve`, by their names here, as settings."""
    names = {"model": "whisper_model", "model_path": "whisper_model_path"}
    others = {"config", "dev", "while_stdin_is_open"}
    flags = {names.get(name, name): value for name, value in options.items() if name not in others}
    return {**flags, "host": ",".join(flags["host"]) if flags.get("host") else None}


def wyoming(
    port: Annotated[int, typer.Option(help="Port for Wyoming; 0: any free port.")] = 10300,
    host: Host = None,
    data_dir: DataDir = None,
    model: Model = None,
    model_path: ModelPath = None,
    config: Config = None,
) -> None:
    """Run the server with HTTP and Wyoming, Home Assistant's protocol. The same as `serve` with WYOMING_PORT."""
    flags = {
        "wyoming_port": port,
        "host": ",".join(host) if host else None,
        "data_dir": data_dir,
        "whisper_model": model,
        "whisper_model_path": model_path,
    }
    _run_server(flags, config)


def dispatcher(
    ray_address: Annotated[str | None, typer.Option(help="The Ray cluster: host:port, or auto.")] = None,
    data_dir: DataDir = None,
    model: Model = None,
    engines: Annotated[int | None, typer.Option(help="The most engines for each model.  [default: 1]")] = None,
    config: Config = None,
) -> None:
    """Run the jobs of servers with EXECUTOR=dispatcher on the GPUs of a Ray cluster.

    DATABASE_URL and BLOB_URL must be those of the servers.
    """
    flags = {"ray_address": ray_address, "data_dir": data_dir, "whisper_model": model, "cluster_engines": engines}
    with exit_on_start_error():
        from scrivano.server.settings import Settings
        from scrivano.telemetry import log as logs

        settings = Settings.load(flags, config)
        logs.configure(settings.log_level, text=_logs_text(settings.log_format))
        from scrivano.server.dispatcher import dispatch

        dispatch(settings)


def _logs_text(log_format: str) -> bool:
    return log_format == "text" or (log_format == "auto" and sys.stdout.isatty())


def _run_server(
    flags: Mapping[str, object], config: Path | None, *, dev: bool = False, while_stdin_is_open: bool = False
) -> None:
    with exit_on_start_error():
        from scrivano.server.settings import Settings
        from scrivano.telemetry import log as logs

        settings = Settings.load(flags, config)
        if dev:
            settings = settings.for_development()
        text = _logs_text(settings.log_format)
        logs.configure(settings.log_level, text=text)
        if while_stdin_is_open:
            threading.Thread(target=_stop_at_end_of_stdin, daemon=True).start()
        from scrivano.server.banner import banner
        from scrivano.server.run import run  # After the settings: it takes longest to import.

        if text:
            run(settings, on_start=lambda started: print(banner(started), flush=True))
        else:
            run(settings)


def _stop_at_end_of_stdin() -> None:
    """Stop when the parent has ended, however it ended: the kernel then closes its end of the pipe."""
    # Not by `sys.stdin`: its lock, held by this thread, would abort the interpreter's own end.
    while os.read(0, 65536):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
