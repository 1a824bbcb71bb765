"""What `scrivano transcribe` and `demo` do with a server: submit files, show the progress, write the transcripts."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from scrivano.client import Client, ClientError, ModelStatus
from scrivano.domain.errors import StartError
from scrivano.domain.transcript import Transcript
from scrivano.files.data_dir_lock import DataDirLock
from scrivano.server.settings import Settings
from scrivano.text.formats import FORMATS, render
from scrivano.text.subtitles import Shape

__all__ = ["JobRequest", "find_server", "transcribe_all"]

POLL_S = 0.25

# How long a server that is said to run may take to answer.
LOOK_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """`format`: one of `FORMATS`, or `timed`, for people to read. `output_dir` None: standard output."""

    language: str | None
    task: str
    format: str
    output_dir: Path | None
    languages: Sequence[str] = ()
    multilingual: bool | None = None


def find_server(url: str | None, model: str | None) -> str | None:
    """The URL of a running server that has the model: the given one, else the one of this user's data folder.

    None: there is none. Raises `StartError` where the given one cannot be used.
    """
    if url is not None:
        served = _served_model(url)
        if served is None:
            raise StartError(
                f"no Scrivano server answers at {url}: start one with `scrivano serve`, or leave out --server"
            )
        if model not in (None, served):
            raise StartError(
                f"the server at {url} serves the model {served}, not {model}: leave out --server or --model"
            )
        return url
    holder = DataDirLock.holder(Settings.load().data_dir)
    if holder is None or holder.port is None:
        return None
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(str(holder.host), str(holder.host))
    found = f"http://[{host}]:{holder.port}" if ":" in host else f"http://{host}:{holder.port}"
    served = _served_model(found)
    return found if served is not None and model in (None, served) else None


def transcribe_all(
    url: str, files: Sequence[Path], wish: JobRequest, messages: Console, *, api_key: str | None = None
) -> int:
    """Transcribe the files; returns how many failed. Progress and errors go to `messages`, transcripts as wished.

    All files are submitted first, so that their chunks share the model; an interrupt cancels what is left.
    Raises `StartError` where the model cannot be loaded.
    """
    failed = 0
    with Client(url, api_key=api_key) as client, _shown(messages) as show:
        jobs = [(file, _submit(client, file, wish, show)) for file in files]
        left = [job_id for _, job_id in jobs if job_id is not None]
        try:
            if left:
                _await_model(client, messages)
            for file, job_id in jobs:
                transcript = job_id and _follow(client, file, job_id, show)
                if transcript:
                    show.pause()
                    _write(transcript, file, wish)
                failed += not transcript
                left = [other for other in left if other != job_id]
        finally:
            for job_id in left:
                with suppress(ClientError):
                    client.cancel(job_id)
    return failed


def timed(transcript: Transcript) -> str:
    """One line a segment: `[00:00:01.200 → 00:00:03.400]  text`."""
    return "".join(
        f"[{_clock(segment.start)} → {_clock(segment.end)}]  {segment.text}\n" for segment in transcript.segments
    )


class _Show(Protocol):
    """Tells how the work goes: a bar on a terminal, a line a step elsewhere."""

    def step(self, file: Path, text: str) -> None: ...
    def percent(self, file: Path, percent: int) -> None: ...
    def pause(self) -> None: ...


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: dict[Path, int] = {}

    def step(self, file: Path, text: str) -> None:
        self._console.print(f"{file.name}: {text}", markup=False, soft_wrap=True)

    def percent(self, file: Path, percent: int) -> None:
        if percent != self._last.get(file):
            self._last[file] = percent
            self.step(file, f"{percent} %")

    def pause(self) -> None:
        pass


class _Bars:
    def __init__(self, console: Console, progress: Progress) -> None:
        self._console = console
        self._progress = progress
        self._tasks: dict[Path, Any] = {}

    def step(self, file: Path, text: str) -> None:
        self._console.print(f"{file.name}: {text}", markup=False, soft_wrap=True)

    def percent(self, file: Path, percent: int) -> None:
        if file not in self._tasks:
            self._tasks[file] = self._progress.add_task(file.name, total=100)
        self._progress.update(self._tasks[file], completed=percent)

    def pause(self) -> None:
        """The transcript may go to the same terminal."""
        self._progress.refresh()


@contextmanager
def _shown(console: Console) -> Iterator[_Show]:
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bars(console, progress)


def _submit(client: Client, file: Path, wish: JobRequest, show: _Show) -> str | None:
    try:
        job_id = client.submit(
            file,
            language=wish.language,
            languages=wish.languages,
            multilingual=wish.multilingual,
            task=wish.task,
            queue=True,
        )
    except (ClientError, OSError) as error:
        show.step(file, f"failed: {error}")
        return None
    show.step(file, f"submitted as job {job_id}")
    return job_id


def _await_model(client: Client, messages: Console) -> None:
    """Wait until the model is ready, and say what it waits for: a first load may be a long download."""
    said = ""
    while (status := client.model_status()).state != "ready":
        error = status.more.get("last_error")
        if error and status.state == "unloaded":
            raise StartError(f"the model cannot be loaded: {error}")
        news = _model_news(status)
        if news != said:
            messages.print(news, markup=False, soft_wrap=True)
            said = news
        time.sleep(POLL_S)


def _model_news(status: ModelStatus) -> str:
    download = status.more.get("download")
    if download:
        total = f" of {download['total_bytes'] / 1e6:.0f}" if download["total_bytes"] else ""
        return f"model: downloading, {download['done_bytes'] / 1e6:.0f}{total} MB"
    if status.state == "waiting_for_gpu":
        return f"model: waiting for GPU memory ({status.vram_needed_mb} MB needed, {status.vram_free_mb} MB free)"
    return f"model: {status.state}"


def _follow(client: Client, file: Path, job_id: str, show: _Show) -> Transcript | None:
    try:
        for event in client.stream(job_id):
            if event.type == "progress":
                show.percent(file, event.data["percent"])
        transcript = client.wait(job_id).transcript
        show.percent(file, 100)  # a stream that began after the job's end tells no progress
        return transcript
    except ClientError as error:
        show.step(file, f"failed: {error}")
        return None


def _write(transcript: Transcript, file: Path, wish: JobRequest) -> None:
    text = timed(transcript) if wish.format not in FORMATS else render(transcript, wish.format, Shape())
    if wish.output_dir is None:
        print(text, end="", flush=True)
        return
    wish.output_dir.mkdir(parents=True, exist_ok=True)
    (wish.output_dir / f"{file.stem}.{FORMATS[wish.format].extension}").write_text(text, encoding="utf-8")


def _served_model(url: str) -> str | None:
    """The model of the server there; None where none answers."""
    try:
        with Client(url, timeout=LOOK_S) as client:
            health: Mapping[str, Any] = client.health()
            return str(health["model"])
    except (ClientError, KeyError):
        return None


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest / 1000:06.3f}"
