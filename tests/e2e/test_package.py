"""The wheel and the source archive, as a release builds them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import scrivano

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


def build(target: Path, **names: str) -> dict[str, Path]:
    """By their endings: `.whl` and `.gz`. `names`: further environment variables."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(target)]
    env = {**os.environ, "SOURCE_DATE_EPOCH": "1000000000", **names}
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env=env)
    return {path.suffix: path for path in target.iterdir()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return build(tmp_path_factory.mktemp("dist"))


def install(archive: Path, target: Path) -> dict[str, str]:
    """The environment in which the installed package is used. Its dependencies are those of this environment."""
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(archive)], check=True
    )
    return {**os.environ, "PYTHONPATH": str(target)}


@pytest.mark.parametrize("kind", [".whl", ".gz"])
def test_what_is_released_can_be_installed_and_transcribes(built: dict[str, Path], tmp_path: Path, kind: str) -> None:
    env = install(built[kind], tmp_path / "site")
    where = "import scrivano; print(scrivano.__file__, scrivano.__version__)"
    said, demo = (
        subprocess.run([sys.executable, *command], env=env, cwd=tmp_path, capture_output=True, text=True)
        for command in (["-c", where], ["-m", "scrivano", "demo"])
    )

    assert said.stdout.split() == [str(tmp_path / "site" / "scrivano" / "__init__.py"), scrivano.__version__]
    assert demo.returncode == 0, demo.stderr
    assert len(demo.stdout.split()) > 100


def test_the_wheel_has_the_package_alone_and_the_licences(built: dict[str, Path]) -> None:
    names = zipfile.ZipFile(built[".whl"]).namelist()

    assert {name.partition("/")[0] for name in names} == {"scrivano", f"scrivano-{scrivano.__version__}.dist-info"}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "scrivano/nano/model.bin" in names
    assert not [name for name in names if "__pycache__" in name]


@pytest.mark.parametrize("repository", [None, "acme/speech"], ids=["of a build by hand", "of a workflow"])
def test_every_link_in_the_description_works_away_from_the_repository(tmp_path: Path, repository: str | None) -> None:
    names = {"GITHUB_SERVER_URL": "https://git.example.org", "GITHUB_REPOSITORY": repository or ""}
    [wheel] = [path for kind, path in build(tmp_path, **names).items() if kind == ".whl"]

    with zipfile.ZipFile(wheel) as archive:
        [metadata] = [archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA")]
    _, _, description = metadata.partition("\n\n")
    targets = re.findall(r"\]\(([^)\s]+)\)", description)
    assert targets
    assert not [target for target in targets if not target.startswith(("https://", "#"))]
    if repository is not None:
        base = f"https://git.example.org/{repository}"
        assert f"({base}/raw/v{scrivano.__version__}/docs/images/page-transcript.png)" in description
        assert f"({base}/blob/v{scrivano.__version__}/docs/install.md)" in description
        assert f"Project-URL: Documentation, {base}/tree/HEAD/docs" in metadata


def test_the_source_archive_has_what_its_tests_need(built: dict[str, Path]) -> None:
    with tarfile.open(built[".gz"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert {"pyproject.toml", "Makefile", "README.md", "requirements/dev.txt", "tests/served.py", "Dockerfile"} <= names


def test_the_same_sources_give_the_same_wheel(built: dict[str, Path], tmp_path: Path) -> None:
    again = build(tmp_path)

    first, second = (hashlib.sha256(one[".whl"].read_bytes()).hexdigest() for one in (built, again))
    assert first == second


@pytest.mark.skipif(shutil.which("twine") is None, reason="twine is not installed: make package")
def test_the_package_index_would_accept_it(built: dict[str, Path]) -> None:
    subprocess.run(["twine", "check", "--strict", *map(str, built.values())], check=True)
