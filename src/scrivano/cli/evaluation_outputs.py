"""The files that an evaluation writes: figures as JSON, and a page."""

from __future__ import annotations

import base64
import mimetypes
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from rich.console import Console

from scrivano.evaluation.differences import Compared
from scrivano.evaluation.material import Recording, names_of
from scrivano.evaluation.page import Shown, page
from scrivano.evaluation.results import Result, report_json
from scrivano.evaluation.scoring import Score

__all__ = ["Outputs"]

# Of a page, so that a browser can open it.
MAX_EMBEDDED_BYTES = 500 * 1000 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """`embed_audio`: the page has the recordings in it."""

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

    def write_json(
        self,
        results: Sequence[Result],
        scores: Sequence[Mapping[str, Score]],
        compared: Compared,
        seed: int,
        messages: Console,
    ) -> None:
        """Raises OSError."""
        if self.json is not None:
            self.json.write_text(report_json(results, scores, compared, seed), encoding="utf-8")
            messages.print(f"wrote {self.json}", markup=False, soft_wrap=True)

    def write_page(
        self,
        results: Sequence[Result],
        scores: Sequence[Mapping[str, Score]],
        compared: Compared,
        recordings: Sequence[Recording],
        messages: Console,
    ) -> None:
        """Raises OSError."""
        if self.html is not None:
            shown = [Shown(result.name, result.rtfx, of) for result, of in zip(results, scores, strict=True)]
            audio = _audio(recordings, self.html, embed=self.embed_audio, messages=messages)
            title = "Evaluation: " + " / ".join(result.name for result in results)
            self.html.write_text(page(shown, audio, compared, title), encoding="utf-8")
            messages.print(f"wrote {self.html}", markup=False, soft_wrap=True)


def _unwritable(path: Path) -> str | None:
    if path.is_dir():
        return "it is a folder"
    if path.exists():
        return None if os.access(path, os.W_OK) else "the file is not writable"
    if not path.parent.is_dir():
        return "there is no such folder"
    return None if os.access(path.parent, os.W_OK) else "its folder is not writable"


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
