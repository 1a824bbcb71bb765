"""The built page: small, and made from its source as it is."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import node
import pytest
from installed import must_be_there
from node import ROOT, WEB

BUILT = ROOT / "src" / "scrivano" / "web" / "page"

NPM = shutil.which("npm")


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_bundle_is_small() -> None:
    sent = {name: gzip.compress(data) for name, data in content(BUILT).items() if not name.endswith(".png")}

    assert sum(map(len, sent.values())) < 300_000


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(NPM is None and not must_be_there("node"), reason="no Node here")
def test_it_was_built_from_its_source(tmp_path: Path) -> None:
    assert NPM is not None, "CI installs Node"
    node.install(WEB)
    node.npm("exec", "--", "vite", "build", "--outDir", str(tmp_path / "page"), "--logLevel", "error", cwd=WEB)

    assert content(tmp_path / "page") == content(BUILT), "the source was changed: run `make web`"
