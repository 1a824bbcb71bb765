"""`scrivano models`: list, download and remove models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from scrivano.cli.console import ExitCode, exit_on_start_error, fail, print_table, stderr_console

if TYPE_CHECKING:
    from scrivano.cli.model_cache import HubModel

__all__ = ["models"]

models = typer.Typer(
    name="models", help="List, download and remove models.", invoke_without_command=True, no_args_is_help=False
)

Names = Annotated[
    list[str] | None, typer.Argument(metavar="NAME...", help="Names from the list, or Hugging Face ids (owner/name).")
]
ListFile = Annotated[
    Path | None,
    typer.Option("--all", metavar="FILE", help="Also all models that this file names, one a line; # begins a comment."),
]


@models.callback()
def list_by_default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_models()


@models.command(name="list")
def list_models() -> None:
    """List the models that WHISPER_MODEL and --model accept, and those that are downloaded."""
    from scrivano.cli.model_cache import cached_models, is_downloaded
    from scrivano.engines.catalog import REPOSITORIES, download_mb, known_models, relative_speed, vram_needed_mb
    from scrivano.engines.ggml import how_to_install
    from scrivano.engines.gpu_memory import NvmlReader
    from scrivano.server.devices import model_names
    from scrivano.server.settings import Settings

    memory = NvmlReader()
    with exit_on_start_error():
        default = model_names(Settings.load(), memory)[0]
    memory.close()
    console = Console(highlight=False)
    table = Table("name", "download", "GPU memory", "speed", "here", "source", box=None, pad_edge=False)
    for name in known_models():
        table.add_row(
            f"{name} (default)" if name == default else name,
            _cell(download_mb(name), "MB"),
            _cell(vram_needed_mb(name), "MB"),
            _cell(relative_speed(name), "x"),
            "yes" if is_downloaded(name) else "",
            REPOSITORIES.get(name, "this package"),
        )
    for other in cached_models():
        if other.repository not in REPOSITORIES.values():
            table.add_row(other.repository, f"{other.size_bytes / 1e6:.0f} MB", "", "", "yes", "by this name")
    print_table(table)
    console.print(f"\nDefault here: {default} (WHISPER_MODEL). Speed: compared with large-v3 on a GPU.", markup=False)
    console.print("Any other CTranslate2 Whisper: its Hugging Face id (owner/name), or WHISPER_MODEL_PATH=FOLDER.")
    installed = "which is installed" if find_spec("pywhispercpp") else how_to_install()
    console.print(f"A GGML file: WHISPER_MODEL_PATH=FILE, with whisper.cpp ({installed}).", markup=False)


@models.command()
def pull(names: Names = None, list_file: ListFile = None) -> None:
    """Download models, or check the ones that are downloaded. A broken download continues where it stopped.

    A server then loads them without a network. HF_HOME is the folder of downloads, HF_ENDPOINT a mirror.
    Exit code 1: a model could not be downloaded.
    """
    from scrivano.cli.model_cache import HubError, hub_folders
    from scrivano.files.ownership import owned_like_folder

    failed = False
    with owned_like_folder(*hub_folders()):
        for name in _chosen(names or [], list_file):
            try:
                _pull(name)
            except (HubError, OSError) as error:
                failed = True
                stderr_console().print(f"{name}: {error}", markup=False, soft_wrap=True)
    raise typer.Exit(ExitCode.FAILED if failed else ExitCode.OK)


@models.command()
def remove(names: Names = None, list_file: ListFile = None) -> None:
    """Delete downloaded models. Exit code 1: a model was not there."""
    from scrivano.cli.model_cache import remove_cached
    from scrivano.engines.catalog import find_model

    failed = False
    for name in _chosen(names or [], list_file):
        repository = find_model(name).repository
        freed = remove_cached(repository) if repository is not None else 0
        failed |= not freed
        missing = "is part of this package" if repository is None else "is not downloaded"
        print(f"{name}: " + (f"removed, {freed / 1e6:.0f} MB freed" if freed else missing))
    raise typer.Exit(ExitCode.FAILED if failed else ExitCode.OK)


def _pull(name: str) -> None:
    """Raises `HubError`."""
    from scrivano.cli.model_cache import hub_model, is_downloaded, repository_folder
    from scrivano.cli.model_download import cached_folder, pull, remove_damaged
    from scrivano.engines.catalog import find_model

    repository = find_model(name).repository
    if repository is None:
        print(f"{name}: part of this package")
        return
    folder = cached_folder(repository) if is_downloaded(name) else None
    if folder is not None:
        damaged = remove_damaged(folder)
        if not damaged:
            print(f"{name}: downloaded and intact, in {folder}")
            return
        print(f"{name}: {', '.join(damaged)} had wrong bytes, and is downloaded again")
    model = hub_model(name)
    with _progress(name, model) as on_bytes:
        folder = pull(model, on_bytes)
    print(f"{name}: downloaded, {model.size_bytes / 1e6:.0f} MB in {repository_folder(repository)}")


@contextmanager
def _progress(name: str, model: HubModel) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, else a line for every tenth."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = stderr_console()
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=console) as progress:
            task = progress.add_task(name, total=model.size_bytes)
            yield lambda done: progress.update(task, completed=done)
        return
    shown = [-1]

    def line(done: int) -> None:
        tenths = 10 * done // model.size_bytes
        if tenths > shown[0]:
            shown[0] = tenths
            console.print(f"{name}: {10 * tenths} % of {model.size_bytes / 1e6:.0f} MB", markup=False, soft_wrap=True)

    yield line


def _chosen(names: Sequence[str], list_file: Path | None) -> list[str]:
    """The models that are named, each once. Exits if there is none, or one that is not known."""
    from scrivano.domain.errors import ModelUnavailable
    from scrivano.engines.catalog import find_model

    found = list(dict.fromkeys([*names, *(_listed(list_file) if list_file is not None else [])]))
    if not found:
        fail("name a model (`scrivano models` lists them), or use --all FILE")
    try:
        for name in found:
            find_model(name)
    except ModelUnavailable as error:
        fail(str(error))
    return found


def _listed(file: Path) -> list[str]:
    """The names in a file, one a line. What is behind # is a comment; empty lines are left out."""
    try:
        lines = [line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, ValueError) as error:
        fail(f"cannot read the list of models {file} ({error})")
    return [line for line in lines if line]


def _cell(value: int | None, unit: str) -> str:
    return "" if value is None else f"{value} {unit}"
