"""Transcribe recordings with several systems, and report how good they are."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from scrivano.cli.chosen_server import chosen_server
from scrivano.cli.evaluated_systems import System
from scrivano.cli.evaluation_outputs import Outputs
from scrivano.cli.evaluation_tables import print_tables
from scrivano.cli.model_wait import await_model
from scrivano.client import Client, ClientError, StatusError
from scrivano.domain.errors import StartError
from scrivano.domain.wording import counted
from scrivano.evaluation.differences import Compared, difference, differences_by_language
from scrivano.evaluation.material import Recording, find_recordings
from scrivano.evaluation.normalizers import Normalizers
from scrivano.evaluation.results import Result, UnreadableResults, results_of
from scrivano.evaluation.scoring import Score, Transcribed, score

__all__ = ["Evaluation", "evaluate_all", "load_recordings", "load_results"]

# Recordings that are sent ahead: enough for full batches, and few enough for servers that limit their queue.
AHEAD = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """`detect`: the server is not told the languages, even if they are known."""

    recordings: Sequence[Recording]
    normalizers: Normalizers
    detect: bool
    seed: int
    api_key: str | None = None


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
    print_tables(Console(), results, scores, compared)
    outputs.write_json(results, scores, compared, evaluation.seed, messages)
    outputs.write_page(results, scores, compared, evaluation.recordings, messages)
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


def _transcribe(evaluation: Evaluation, system: System, systems: Sequence[System], messages: Console) -> Result:
    with _server(system) as url, Client(url, api_key=evaluation.api_key) as client:
        try:
            served = str(client.health().get("model"))
            model = system.model if system.server is not None else None
            load_model(client, model, messages)
        except ClientError as error:
            raise StartError(f"the server at {url} cannot be used: {error}") from error
        name = system.name(systems, served)
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
