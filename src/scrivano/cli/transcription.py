"""Submit files to a server, show the progress, and write the transcripts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from scrivano.cli.model_wait import await_model
from scrivano.client import Client, ClientError
from scrivano.domain.file_names import valid_name
from scrivano.domain.transcript import Segment, Transcript
from scrivano.text.formats import FORMATS, render
from scrivano.text.shape import shape_of

__all__ = ["TranscribeOptions", "transcribe_all", "transcript_path"]

# Stretches without words that the line about quality names.
MOST_HOLES = 5

# Options that `Client.submit` takes as further fields of `POST /jobs`.
FURTHER_FIELDS = ("min_speakers", "max_speakers", "voices")


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscribeOptions:
    """`format`: one of `FORMATS`, or `timed`: one line for each segment. `output_dir` None: standard output.
    `profile`: limits of subtitles, one of `PROFILES`. `speakers`: tell them apart; `num_speakers` and its bounds: how
    many; `voices`: by the names of enrolled voices. `channels` and `channel_names`: as in `Client.submit`. `model`: one
    that the server has; None: its default one."""

    format: str
    model: str | None = None
    task: str = "transcribe"
    output_dir: Path | None = None
    language: str | None = None
    languages: Sequence[str] = ()
    multilingual: bool | None = None
    prompt: str | None = None
    hotwords: str | None = None
    speakers: bool | None = None
    num_speakers: int | None = None
    min_speakers: int | None = None
    max_speakers: int | None = None
    voices: bool | None = None
    channels: str | None = None
    channel_names: Sequence[str] = ()
    profile: str | None = None


def transcribe_all(
    url: str, files: Sequence[Path], options: TranscribeOptions, messages: Console, *, api_key: str | None = None
) -> int:
    """Transcribe the files. Returns how many failed. Progress and errors are printed to `messages`.

    All files are submitted first, so that their chunks are decoded in common batches. An interrupt cancels the jobs
    that have not ended. Raises `StartError` if the model cannot be loaded.
    """
    failed = 0
    with Client(url, api_key=api_key) as client, _progress_display(messages) as display:
        jobs = [(file, _submit(client, file, options, display)) for file in files]
        unfinished = [job_id for _, job_id in jobs if job_id is not None]
        try:
            if unfinished:
                await_model(client, messages, options.model)
            for file, job_id in jobs:
                text = job_id and _follow(client, file, job_id, options, display)
                if text is not None:
                    display.pause()
                    _write(text, file, options, display, labelled=len(files) > 1)
                failed += text is None
                unfinished = [other for other in unfinished if other != job_id]
        finally:
            for job_id in unfinished:
                with suppress(ClientError):
                    client.cancel(job_id)
    return failed


def timed(transcript: Transcript) -> str:
    """One line for each segment: `[00:00:01.200 → 00:00:03.400]  text`, with `Speaker 1: ` if that is known."""
    return "".join(
        f"[{_timestamp(segment.start)} → {_timestamp(segment.end)}]  {_speaker(transcript, segment)}{segment.text}\n"
        for segment in transcript.segments
    )


def _speaker(transcript: Transcript, segment: Segment) -> str:
    return f"{transcript.name_of(segment.speaker)}: " if segment.speaker else ""


class _ProgressDisplay(Protocol):
    """Shows the progress: a bar for each file on a terminal, else one line for each step."""

    def step(self, file: Path, text: str) -> None: ...
    def percent(self, file: Path, percent: int) -> None: ...
    def pause(self) -> None: ...


class _LineDisplay:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: dict[Path, int] = {}

    def step(self, file: Path, text: str) -> None:
        self._console.print(valid_name(f"{file.name}: {text}"), markup=False, soft_wrap=True)

    def percent(self, file: Path, percent: int) -> None:
        if percent != self._last.get(file):
            self._last[file] = percent
            self.step(file, f"{percent} %")

    def pause(self) -> None:
        pass


class _BarDisplay:
    def __init__(self, console: Console, progress: Progress) -> None:
        self._console = console
        self._progress = progress
        self._tasks: dict[Path, Any] = {}

    def step(self, file: Path, text: str) -> None:
        self._console.print(valid_name(f"{file.name}: {text}"), markup=False, soft_wrap=True)

    def percent(self, file: Path, percent: int) -> None:
        if file not in self._tasks:
            self._tasks[file] = self._progress.add_task(valid_name(file.name), total=100)
        self._progress.update(self._tasks[file], completed=percent)

    def pause(self) -> None:
        """Called before a transcript is printed, maybe to the same terminal."""
        self._progress.refresh()


@contextmanager
def _progress_display(console: Console) -> Iterator[_ProgressDisplay]:
    if not console.is_terminal:
        yield _LineDisplay(console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield _BarDisplay(console, progress)


def _submit(client: Client, file: Path, options: TranscribeOptions, display: _ProgressDisplay) -> str | None:
    try:
        job_id = client.submit(
            file,
            language=options.language,
            languages=options.languages,
            multilingual=options.multilingual,
            task=options.task,
            prompt=options.prompt,
            hotwords=options.hotwords,
            speakers=options.speakers,
            num_speakers=options.num_speakers,
            options={name: value for name in FURTHER_FIELDS if (value := getattr(options, name)) is not None},
            channels=options.channels,
            channel_names=options.channel_names,
            model=options.model,
            queue=True,
        )
    except (ClientError, OSError) as error:
        display.step(file, f"failed: {error}")
        return None
    display.step(file, f"submitted as job {job_id}")
    return job_id


def _follow(
    client: Client, file: Path, job_id: str, options: TranscribeOptions, display: _ProgressDisplay
) -> str | None:
    """Show the progress of a job until it has ended. Returns its text; None: it failed."""
    try:
        for event in client.stream(job_id):
            if event.type == "progress":
                display.percent(file, event.data["percent"])
        job = client.wait(job_id)
        transcript = job.transcript
        display.percent(file, 100)  # The stream of a job that has already ended has no progress events.
        if transcript.quality is not None:
            display.step(file, quality_line(transcript.quality, with_text=bool(transcript.text)))
        for warning in job.warnings:
            display.step(file, f"warning: {warning['message']}")
        return rendered(client, job_id, transcript, options)
    except ClientError as error:
        display.step(file, f"failed: {error}")
        return None


def rendered(client: Client, job_id: str, transcript: Transcript, options: TranscribeOptions) -> str:
    """The transcript in the chosen format. Raises `ClientError`."""
    if options.format == "rttm":  # a job has no turns, which only the server knows
        return client.transcript_text(job_id, "rttm")
    if options.format not in FORMATS:
        return timed(transcript)
    return render(transcript, options.format, shape_of(options.profile, {}))


def _write(text: str, file: Path, options: TranscribeOptions, display: _ProgressDisplay, *, labelled: bool) -> None:
    """`labelled`: print the file's name above its text. Other formats have no place for a name."""
    if options.output_dir is None:
        label = f"==> {valid_name(file.name)} <==\n" if labelled and options.format in ("txt", "timed") else ""
        print(label + text, end="", flush=True)
        return
    path = transcript_path(options.output_dir, file, options.format)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    display.step(file, f"wrote {path}")


def transcript_path(folder: Path, recording: Path, format: str) -> Path:
    return folder / f"{recording.stem}.{FORMATS[format].extension}"


def quality_line(quality: Mapping[str, Any], *, with_text: bool) -> str:
    """How far a transcript can be trusted, in one line. `with_text`: it has some."""
    coverage, certainty = quality["coverage"], quality["word_probability"]
    said = [
        f"{_percent(coverage)} of the speech has words"
        if coverage is not None
        else "text, but no speech was detected"
        if with_text
        else "no speech"
    ]
    holes = [f"{_clock(hole['start'])}-{_clock(hole['end'])}" for hole in quality["uncovered"]]
    if holes:
        said.append(f"none at {', '.join(holes[:MOST_HOLES])}{', …' if len(holes) > MOST_HOLES else ''}")
    if certainty is not None:
        said.append(f"words certain by {_percent(certainty)}")
    counts = {
        "stretches decoded again": quality["repaired"],
        "loops cut": quality["loops_cut"],
        "doubtful segments": len(quality["doubtful"]),
    }
    said += [f"{name}: {count}" for name, count in counts.items() if count]
    return "quality: " + "; ".join(said)


def _percent(share: float) -> str:
    """Rounded down: 100 % means all."""
    return f"{math.floor(1000 * share + 1e-6) / 10:.1f} %"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _timestamp(seconds: float) -> str:
    minutes, millis = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{millis / 1000:06.3f}"
