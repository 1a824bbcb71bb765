"""Recordings and the references beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scrivano.domain.errors import BadRequest
from scrivano.domain.file_endings import RECORDING_ENDINGS, is_recording_name
from scrivano.domain.languages import LANGUAGES, parse_language
from scrivano.evaluation.references import ENDINGS, Reference, UnreadableReference, parse_reference

__all__ = ["Recording", "find_recordings", "names_of"]


@dataclass(frozen=True, slots=True)
class Recording:
    """`name`: unique among the recordings. `language`: a code of Whisper, None if it is not known."""

    name: str
    path: Path
    reference: Reference
    language: str | None


def names_of(recordings: Sequence[Recording]) -> set[Path]:
    """The paths of recordings, of their references, and of what would be taken for one: `talk.json`."""
    paths = [recording.path.resolve() for recording in recordings]
    references = [reference for path in paths if path.exists() for reference in reference_paths(path)]
    return {*paths, *references, *(path.with_suffix(ending) for path in paths for ending in ENDINGS)}


def find_recordings(
    paths: Sequence[Path],
    *,
    language: str | None,
    in_name: bool,
    warn: Callable[[str], object],
) -> list[Recording]:
    """The recordings with a reference, in files and folders with their subfolders, by name.

    The language of a recording is `language`, else what its reference says: in the file, or in its name
    (`talk.de.srt`); with `in_name` also how the recording's own name begins (`de-talk.wav`). `warn` is called about
    what is left out.
    """
    found: dict[str, Recording] = {}
    for root, path in _once(_audio_files(paths, warn)):
        name = str(path.relative_to(root)) if path != root else path.name
        name = name if name not in found else str(path)
        if (recording := _recording(name, path, language, in_name, warn)) is not None:
            found[name] = recording
    return list(found.values())


def _audio_files(paths: Sequence[Path], warn: Callable[[str], object]) -> Iterator[tuple[Path, Path]]:
    """With the folder in which each is, or itself if it was named. The shell names references, too: `recordings/*`."""
    for root in paths:
        if root.is_dir():
            for path in sorted(root.rglob("*")):
                if is_recording_name(path.name) and path.is_file():
                    yield root, path
        elif root.suffix.lower() in RECORDING_ENDINGS:
            yield root, root
        elif root.suffix.lower() not in ENDINGS:
            if reference_paths(root):
                yield root, root
            else:
                warn(f"{root.name} is left out: it is neither a recording nor a reference ({', '.join(ENDINGS)})")


def _once(files: Iterable[tuple[Path, Path]]) -> Iterator[tuple[Path, Path]]:
    """Each file once, also if it was named twice or is in two of the folders."""
    seen: set[Path] = set()
    for root, path in files:
        if (real := path.resolve()) not in seen:
            seen.add(real)
            yield root, path


def _recording(
    name: str, path: Path, language: str | None, in_name: bool, warn: Callable[[str], object]
) -> Recording | None:
    candidates = reference_paths(path)
    for candidate in candidates:
        try:
            reference = parse_reference(candidate.suffix.lower(), candidate.read_bytes())
        except (UnreadableReference, OSError) as error:
            warn(f"{candidate.name} is not used as a reference: {error}")
            continue
        known = language or reference.language or _language_of(candidate, path)
        return Recording(name, path, reference, known or (_language_in(path.name) if in_name else None))
    endings = ", ".join(path.with_suffix(ending).name for ending in ENDINGS)
    missing = "no reference beside it can be used" if candidates else "there is no reference beside it"
    warn(f"{name} is left out: {missing} ({endings})")
    return None


def reference_paths(recording: Path) -> list[Path]:
    """The files that may be a recording's reference, the best one first, such as `talk.json`, `talk.de.srt`."""
    stem, folder = recording.stem, recording.parent
    beside = [path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and path.is_file()]
    named = [path for path in beside if path.stem in (stem, recording.name) or _is_tagged(path.stem, stem)]
    return sorted(named, key=lambda path: (ENDINGS.index(path.suffix.lower()), path.name))


def _is_tagged(stem: str, of: str) -> bool:
    return stem.startswith(f"{of}.") and _code(stem[len(of) + 1 :]) is not None


def _language_of(reference: Path, recording: Path) -> str | None:
    return _code(reference.stem.removeprefix(recording.stem).removeprefix("."))


def _language_in(name: str) -> str | None:
    """The language with whose code a name begins, as in `de-talk.wav` and `de_talk.wav`."""
    code = name.replace("_", "-").partition("-")[0].lower()
    return code if code in LANGUAGES else None


def _code(tag: str) -> str | None:
    try:
        return parse_language(tag) if tag.lower() not in ("auto", "und") else None
    except BadRequest:
        return None
