"""A hook of hatchling: the README as the description of the package, whose links work away from the repository.

A build in a workflow knows the repository, and links to its files at the version's tag. Any other build knows none: a
link to a file becomes its text, and a picture is left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PICTURE = re.compile(r"!\[[^\]]*\]\((?!https?:)([^)\s]+)\)\n*")
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:|#)([^)\s]+)\)")


class Readme(MetadataHookInterface):
    def update(self, metadata: dict[str, Any]) -> None:
        repository = repository_of(os.environ)
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": described(text, repository, f"v{metadata['version']}"),
        }
        metadata["urls"] = urls(repository)


def repository_of(environ: Mapping[str, str]) -> str | None:
    """The address of the repository, in a workflow of GitHub, Forgejo or Gitea."""
    server, name = environ.get("GITHUB_SERVER_URL"), environ.get("GITHUB_REPOSITORY")
    return f"{server}/{name}" if server and name else None


def described(text: str, repository: str | None, tag: str) -> str:
    if repository is None:
        return LINK.sub(r"\1", PICTURE.sub("", text))
    with_pictures = PICTURE.sub(lambda found: f"![]({repository}/raw/{tag}/{found[1]})\n\n", text)
    return LINK.sub(lambda found: f"[{found[1]}]({repository}/blob/{tag}/{found[2]})", with_pictures)


def urls(repository: str | None) -> dict[str, str]:
    if repository is None:
        return {}
    pages = {
        "Source": "",
        "Documentation": "/tree/HEAD/docs",
        "Changelog": "/blob/HEAD/CHANGELOG.md",
        "Issues": "/issues",
    }
    return {name: repository + path for name, path in pages.items()}
