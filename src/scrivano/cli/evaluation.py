"""Transcribe recordings with several systems, and report how good they are."""

from __future__ import annotations

import base64
import mimetypes
import os
import re
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from itertools import product
from pathlib import Path
from urllib.parse import quote

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from scrivano.cli.chosen_server import chosen_server
from scrivano.cli.console import print_table
from scrivano.cli.model_wait import await_model
from scrivano.client import Client, ClientError, StatusError
from scrivano.domain.errors import StartError
from scrivano.domain.wording import counted
from scrivano.evaluation.differences import Difference, difference, differences_by_language
from scrivano.evaluation.figures import Figures, by_language, figures
from scrivano.evaluation.material import Recording, find_recordings, names_of
from scrivano.evaluation.normalizers import Normalizers
from scrivano.evaluation.page import Shown, page, percent, spread, verdict
from scrivano.evaluation.results import Result, UnreadableResults, report_json, results_of
from scrivano.evaluation.scoring import Score, Transcribed, score

__all__ = [
    "Evaluation",
    "Outputs",
    "System",
    "evaluate_all",
    "load_recordings",
    "load_results",
    "print_tables",
    "systems_of",
]

# Recordings that are sent ahead: enough for full batches, and few enough for servers that limit their queue.
AHEAD = 16

# Of a page, so that a browser can open it.
MAX_EMBEDDED_BYTES = 500 * 1000 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """`detect`: the server is not told the languages, even if they are known."""

    recordings: Sequence[Recording]
    normalizers: Normalizers
    detect: bool
    seed: int
    api_key: str | None = None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    json: Path | None
    html: Path | None
    embed_audio: bool

    def check(self) -> None:
        """Fail now, not after hours of work. Raises ValueError."""
        for path in (self.json, self.html):
            if path is not None and (reason := _unwritable(path)):
                raise ValueError(f"cannot write {path}: {reason}")
        if self.json and self.html and self.json.resolve() == self.html.resolve():
            raise ValueError(f"--json and --html need a file each, not both {self.json}")

    def check_against(self, recordings: Sequence[Recording]) -> None:
        """Raises ValueError if one would replace a recording or its reference, or would be taken for a reference."""
        names = names_of(recordings)
        for path in (self.json, self.html):
            if path is not None and path.resolve() in names:
                raise ValueError(f"cannot write {path}: a recording or its reference has this name; choose another one")


def _unwritable(path: Path) -> str | None:
    if path.is_dir():
        return "it is a folder"
    if path.exists():
        return None if os.access(path, os.W_OK) else "the file is not writable"
    if not path.parent.is_dir():
        return "there is no such folder"
    return None if os.access(path.parent, os.W_OK) else "its folder is not writable"


# Systems


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
        systems.append(System(model=model, server=server, options=options, env=env))
    return systems


def parse_settings(text: str) -> dict[str, str]:
    """`beam_size=1,prompt=One, two` as a mapping: a comma counts only before another `NAME=`. Raises ValueError."""
    if text.strip() in ("", "default"):
        return {}
    parts = [part.partition("=") for part in re.split(r",\s*(?=\w+=)", text)]
    for name, equals, _ in parts:
        if not equals or not re.fullmatch(r"\s*\w+\s*", name):
            raise ValueError(f"--set takes NAME=VALUE, such as beam_size=1, or `default`; not '{text}'")
    return {name.strip(): value for name, _, value in parts}


def load_recordings(paths: Sequence[Path], language: str | None, in_name: bool, messages: Console) -> list[Recording]:
    def warn(text: str) -> None:
        messages.print(text, style="yellow", markup=False, soft_wrap=True)

    return find_recordings(paths, language=language, in_name=in_name, warn=warn)


def load_results(path: Path) -> list[Result]:
    """Raises ValueError."""
    try:
        return results_of(path.read_text(encoding="utf-8"))
    except (UnreadableResults, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {error}") from error
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error


def evaluate_all(
    evaluation: Evaluation, systems: Sequence[System], stored: Sequence[Result], outputs: Outputs, messages: Console
) -> int:
    """Transcribe with each system, print the tables and write the reports. Returns how many recordings failed, also in
    stored results.

    Raises `StartError` if a server or model cannot be used, OSError if a report cannot be written.
    """
    made = [_transcribe(evaluation, system, systems, messages) for system in systems]
    results = _named([*stored, *made])
    languages = {one.name: _language(one, results) for one in evaluation.recordings}
    scores = [
        {
            one.name: score(one, result.transcripts[one.name], evaluation.normalizers, languages[one.name])
            for one in evaluation.recordings
            if one.name in result.transcripts
        }
        for result in results
    ]
    compared = _compare(results, scores, evaluation.seed)
    console = Console()
    print_tables(console, results, scores, compared)
    _write(outputs, evaluation, results, scores, compared, messages)
    return sum(one.transcribed.error is not None for of in scores for one in of.values())


def _named(results: Sequence[Result]) -> list[Result]:
    """With different names: two files may have results of the same system."""
    names: list[str] = []
    for result in results:
        name, number = result.name, 2
        while name in names:
            name, number = f"{result.name} ({number})", number + 1
        names.append(name)
    return [replace(result, name=name) for result, name in zip(results, names, strict=True)]


def _language(recording: Recording, results: Sequence[Result]) -> str | None:
    """By which texts are normalized: as known, else as the first system has detected it."""
    heard = (result.transcripts.get(recording.name, Transcribed()).language for result in results)
    return recording.language or next(filter(None, heard), None)


# Transcribing


def _transcribe(evaluation: Evaluation, system: System, systems: Sequence[System], messages: Console) -> Result:
    with _server(system) as url, Client(url, api_key=evaluation.api_key) as client:
        try:
            served = str(client.health().get("model"))
            model = system.model if system.server is not None else None
            load_model(client, model, messages)
        except ClientError as error:
            raise StartError(f"the server at {url} cannot be used: {error}") from error
        name = _name(system, systems, served)
        with _progress(messages, name, len(evaluation.recordings)) as advance:
            started_at = time.monotonic()
            transcripts: dict[str, Transcribed] = {}
            for recording, transcribed in _transcripts(client, evaluation, system, model):
                transcripts[recording.name] = transcribed
                advance(recording, transcribed)
            seconds = time.monotonic() - started_at
        return Result(
            name=name, seconds=seconds, transcripts=transcripts, settings={"model": served, **system.settings}
        )


def _name(system: System, systems: Sequence[System], served: str) -> str:
    """What tells a system from the others: its model, and its server and settings."""
    several = len({other.server for other in systems}) > 1
    model = Path(system.model).name if system.model else served
    settings = [f"{name}={value}" for name, value in {**system.options, **system.env}.items()]
    return ", ".join([model, *([system.server] if several and system.server else []), *settings])


def _server(system: System) -> AbstractContextManager[str]:
    """A given server is told the model with each job. Raises `StartError`."""
    return chosen_server(system.server, system.model if system.server is None else None, system.env)


def load_model(client: Client, model: str | None, messages: Console) -> None:
    """Wait until the model is ready, so that its load does not count; with a key that may not load models, the first
    job loads it. Raises `StartError`, `ClientError`."""
    try:
        client.load(model)
    except StatusError as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        messages.print(
            "the API key may not load models: RTFx includes the load of a model that is not loaded", soft_wrap=True
        )
        return
    await_model(client, messages, model)


def _transcripts(
    client: Client, evaluation: Evaluation, system: System, model: str | None
) -> Iterator[tuple[Recording, Transcribed]]:
    """Recordings are sent some time ahead, so that their chunks are decoded in common batches. The jobs are deleted."""
    waiting: deque[tuple[Recording, str | Transcribed]] = deque()
    try:
        for recording in evaluation.recordings:
            if len(waiting) >= AHEAD:
                yield _finish(client, *waiting.popleft())
            waiting.append((recording, _submit(client, recording, evaluation, system, model)))
        while waiting:
            yield _finish(client, *waiting.popleft())
    finally:
        for _, job in waiting:
            with suppress(ClientError):
                if isinstance(job, str):
                    client.cancel(job)


def _submit(
    client: Client, recording: Recording, evaluation: Evaluation, system: System, model: str | None
) -> str | Transcribed:
    """The id of the job, or why there is none."""
    tell = not evaluation.detect and not {"language", "languages", "multilingual"} & system.options.keys()
    language = recording.language if tell else None
    try:
        return client.submit(recording.path, language=language, model=model, options=system.options, queue=True)
    except (ClientError, OSError) as error:
        return Transcribed(error=str(error))


def _finish(client: Client, recording: Recording, job: str | Transcribed) -> tuple[Recording, Transcribed]:
    if isinstance(job, Transcribed):
        return recording, job
    try:
        ended = client.wait(job)
        with suppress(ClientError):
            client.delete(job)
    except ClientError as error:
        return recording, Transcribed(error=str(error))
    failure = None if ended.status == "done" else ended.error or f"the job is {ended.status}"
    return recording, Transcribed(
        language=ended.language, duration=ended.duration_secs or 0.0, segments=ended.segments, error=failure
    )


class _Advance:
    """Shows how far a system is: a bar on a terminal, else a line for each recording that failed."""

    def __init__(self, messages: Console, progress: Progress | None, name: str, total: int) -> None:
        self._messages = messages
        self._progress = progress
        self._task = None if progress is None else progress.add_task(name, total=total)

    def __call__(self, recording: Recording, transcribed: Transcribed) -> None:
        if transcribed.error is not None:
            self._messages.print(
                f"{recording.name}: failed: {transcribed.error}", style="red", markup=False, soft_wrap=True
            )
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task)


@contextmanager
def _progress(messages: Console, name: str, total: int) -> Iterator[_Advance]:
    if not messages.is_terminal:
        messages.print(f"{name}: {counted(total, 'recording')}", markup=False, soft_wrap=True)
        yield _Advance(messages, None, name, total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=messages) as progress:
        yield _Advance(messages, progress, name, total)


# Reporting

Compared = Sequence[tuple[str, str, Mapping[str, Difference]]]


def _compare(results: Sequence[Result], scores: Sequence[Mapping[str, Score]], seed: int) -> Compared:
    """The first system with each other one, over the recordings that both have."""
    compared = []
    for result, of in zip(results[1:], scores[1:], strict=True):
        pairs = [(first, of[name]) for name, first in scores[0].items() if name in of]
        found = dict(differences_by_language(pairs, seed))
        if len(found) > 1:
            found = {"all": difference(pairs, seed), **found}
        compared.append((results[0].name, result.name, found))
    return compared


def print_tables(
    console: Console, results: Sequence[Result], scores: Sequence[Mapping[str, Score]], compared: Compared
) -> None:
    _print_errors(console, results, scores)
    _print_times(console, results, scores)
    for a, b, found in compared:
        table = _table(f"{b}, compared with {a}", ("language",), ("points",))
        for head in (f"only {a} right", f"only {b} right"):
            table.add_column(escape(head), justify="right")
        table.add_column("verdict")
        for language, one in found.items():
            points = f"{100 * one.comparison.difference:+.2f}"
            table.add_row(language, points, str(one.only_a), str(one.only_b), escape(verdict(one, a, b)))
        if found:
            unit = next(iter(found.values())).unit
            table.caption = f"paired bootstrap over {unit}; 95 % confidence"
        print_table(table, console)


def _table(title: str, texts: Sequence[str], figures: Sequence[str]) -> Table:
    """`texts` may be broken into lines on a narrow terminal; `figures` stay whole."""
    table = Table(title=escape(title), title_justify="left")
    for head in texts:
        table.add_column(head)
    for head in figures:
        table.add_column(head, justify="right", no_wrap=True)
    return table


def _print_errors(console: Console, results: Sequence[Result], scores: Sequence[Mapping[str, Score]]) -> None:
    heads = ("WER", "CER", "subst.", "del.", "ins.", "coverage", "holes", "RTFx")
    table = _table("Errors, after Whisper's normalizers", ("system", "language", "files"), heads)
    for result, of in zip(results, scores, strict=True):
        found = by_language(list(of.values()))
        for language, one in found.items() if len(found) > 1 else ():
            table.add_row(escape(result.name), language, *_cells(one), "")
        [only] = found if len(found) == 1 else ["all"]
        cells = _cells(figures(list(of.values())))
        table.add_row(escape(result.name), only, *cells, f"{result.rtfx:.1f}", end_section=True)
    print_table(table, console)


def _cells(found: Figures) -> list[str]:
    files = f"{found.recordings}" + (f" ({found.failed} failed)" if found.failed else "")
    counts = [str(count) for count in (found.counts.substituted, found.counts.deleted, found.counts.inserted)]
    return [files, percent(found.wer), percent(found.cer), *counts, percent(found.coverage), str(found.holes)]


def _print_times(console: Console, results: Sequence[Result], scores: Sequence[Mapping[str, Score]]) -> None:
    found = [(result.name, figures(list(of.values())).times) for result, of in zip(results, scores, strict=True)]
    kinds = list(dict.fromkeys(kind for _, times in found for kind in times))
    if not kinds:
        return
    heads = [kind.replace("_", " ") for kind in kinds]
    table = _table("Errors of times, in ms: median / 95th percentile", ("system",), heads)
    for name, times in found:
        table.add_row(escape(name), *(spread(times.get(kind)) for kind in kinds))
    print_table(table, console)


def _write(
    outputs: Outputs,
    evaluation: Evaluation,
    results: Sequence[Result],
    scores: Sequence[Mapping[str, Score]],
    compared: Compared,
    messages: Console,
) -> None:
    if outputs.json is not None:
        outputs.json.write_text(report_json(results, scores, compared, evaluation.seed), encoding="utf-8")
        messages.print(f"wrote {outputs.json}", markup=False, soft_wrap=True)
    if outputs.html is not None:
        shown = [Shown(result.name, result.rtfx, of) for result, of in zip(results, scores, strict=True)]
        audio = _audio(evaluation.recordings, outputs.html, embed=outputs.embed_audio, messages=messages)
        title = "Evaluation: " + " / ".join(result.name for result in results)
        outputs.html.write_text(page(shown, audio, compared, title), encoding="utf-8")
        messages.print(f"wrote {outputs.html}", markup=False, soft_wrap=True)


def _audio(recordings: Sequence[Recording], html: Path, *, embed: bool, messages: Console) -> dict[str, str]:
    """Where the page finds each recording."""
    sizes = sum(one.path.stat().st_size for one in recordings)
    if embed and sizes <= MAX_EMBEDDED_BYTES:
        return {one.name: _data_url(one.path) for one in recordings}
    if embed:
        messages.print(
            f"the recordings ({sizes / 1e6:.0f} MB) are too large for one page; it has links to them instead",
            soft_wrap=True,
        )
    return {one.name: quote(os.path.relpath(one.path.resolve(), html.parent.resolve())) for one in recordings}


def _data_url(path: Path) -> str:
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
