"""Hooks of MkDocs: changelog and contributing guide become pages, and links to files outside `docs` become names.

The pages are also read where the files lie, so their links lead to source files; a site has none of those.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

PAGES = {"changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}

LINK = re.compile(r"(?<!\!)\[([^\]]+)\]\(([^)#\s]+)(#[^)]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    root = Path(config.docs_dir).parent
    for page, source in PAGES.items():
        text = (root / source).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    return LINK.sub(lambda found: link(found, page.file.src_uri, files), markdown)


def link(found: re.Match[str], page: str, files: Files) -> str:
    """A link as it is, to one of the generated pages, or only its text and the file's name."""
    text, target, anchor = found[1], found[2], found[3] or ""
    if ":" in target or files.get_file_from_path(posixpath.normpath(posixpath.join(posixpath.dirname(page), target))):
        return found[0]
    for name, source in PAGES.items():
        if target.removeprefix("../") == source:
            return f"[{text}]({name}{anchor})"
    path = target.removeprefix("../")
    if path == "README.md":
        return f"[{text}](index.md)"
    return text if path.endswith(text.strip("`")) else f"{text} (`{path}`)"
