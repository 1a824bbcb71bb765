"""What holds for the package as a whole: who may import whom, what importing costs, and what is installed."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

import scrivano

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "scrivano"
PROJECT: Mapping[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())

ORDER = (
    "__main__",
    "cli",
    "doctor",
    "keycommands",
    "transcribing",
    "ownserver",
    "logs",
    "serve",
    "client",
    "sse",
    "wyoming",
    "connections",
    "api",
    "tracing",
    "readings",
    "metrics",
    "webhooks",
    "downloads",
    "retention",
    "guard",
    "keyring",
    "limiter",
    "runner",
    "attempts",
    "waitlist",
    "openjob",
    "pool",
    "answers",
    "enginehost",
    "preparation",
    "lifecycle",
    "scheduler",
    "gpu",
    "signals",
    "engines",
    "media",
    "lanes",
    "vad",
    "onnxgraph",
    "forkserver",
    "processes",
    "observations",
    "assembly",
    "chunking",
    "clocks",
    "store",
    "outbox",
    "partials",
    "joblog",
    "quotas",
    "repeats",
    "database",
    "tables",
    "migrations",
    "blobs",
    "room",
    "hosts",
    "postprocess",
    "formats",
    "subtitles",
    "jobs",
    "transcript",
    "detection",
    "languages",
    "keys",
    "config",
    "correlation",
    "errors",
)
"""A module imports only what stands below it."""

SERVER = ("serve", "api", "webhooks", "runner", "lifecycle", "scheduler", "processes", "store", "blobs", "config")
HEAVY = ("av", "ctranslate2", "faster_whisper", "huggingface_hub", "numpy", "onnxruntime", "tokenizers", "torch")

MODULES = sorted(SOURCE.rglob("*.py"))


def name_of(path: Path) -> str:
    """`scrivano.api.jobs`; a package is named as its `__init__`."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = [name_of(path) for path in MODULES]


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in NAMES else str(node.module) for name in full)


def place(name: str) -> int:
    """Of a module in `ORDER`; the package itself, which has only the version, is the lowest."""
    part = [*name.split("."), ""][1]
    return ORDER.index(part) if part else len(ORDER)


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_imports_point_one_way(path: Path) -> None:
    importer = name_of(path)
    own = [name for name in imports(path) if name.partition(".")[0] == "scrivano"]

    for imported in own:
        same_package = imported.split(".")[1:2] == importer.split(".")[1:2]
        assert same_package or place(imported) > place(importer), f"{importer} imports {imported}"


def test_modules_of_a_package_do_not_import_each_other_in_circles() -> None:
    graph = {name_of(path): {name for name in imports(path) if name in NAMES} - {name_of(path)} for path in MODULES}
    while leaves := {name for name, imported in graph.items() if not imported & graph.keys()}:
        graph = {name: imported for name, imported in graph.items() if name not in leaves}

    assert not graph


def test_every_module_has_a_place_in_the_order() -> None:
    assert {name.split(".")[1] for name in NAMES if "." in name} <= set(ORDER)


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_importing_does_nothing(path: Path) -> None:
    """At its top level a module defines; it calls nothing for the effect, and starts nothing."""
    allowed = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.ClassDef, ast.FunctionDef, ast.If)
    for node in ast.parse(path.read_text()).body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        assert docstring or isinstance(node, (*allowed, ast.AsyncFunctionDef)) or runs_as_script(path), ast.unparse(
            node
        )


def runs_as_script(path: Path) -> bool:
    """Alembic runs `env.py`, and Python `__main__.py`; nobody imports them."""
    return path.stem in ("env", "__main__")


def test_there_are_no_globals_that_change() -> None:
    for path in MODULES:
        assert not [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Global)], path


@pytest.mark.parametrize("module", SERVER)
def test_the_server_process_imports_no_model_and_no_codec(module: str) -> None:
    code = f"import sys, scrivano.{module}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stderr == ""
    assert not set(HEAVY) & set(ran.stdout.split())


def test_every_library_that_is_imported_is_a_dependency() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    lines = [*PROJECT["project"]["dependencies"], *(line for name in extras if name != "dev" for line in extras[name])]
    declared = {re.split(r"[<>=\[]", line)[0].replace("-", "_") for line in lines}
    # These two come with, and only with, what is declared.
    declared |= {"starlette", "pydantic_core"}
    distributions = packages_distributions()
    for path in MODULES:
        tops = {name.partition(".")[0] for name in imports(path)} - sys.stdlib_module_names - {"scrivano"}
        for top in tops:
            names = {one.lower().replace("-", "_") for one in distributions.get(top, [top])}
            assert names & declared, f"{name_of(path)} imports {top}"


def test_the_version_is_the_packages() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "src/scrivano/__init__.py"
    assert re.fullmatch(r"\d+\.\d+\.\d+", scrivano.__version__)


# Locks


def locked(name: str) -> dict[str, str]:
    """Each requirement, with its marker, and the lines that belong to it."""
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    blocks = re.split(r"\n(?=\S)", "\n".join(line for line in lines if not line.lstrip().startswith("#")))
    return {block.partition(" \\\n")[0]: block for block in blocks}


@pytest.mark.parametrize("name", ["run.txt", "dev.txt"])
def test_a_lock_has_a_version_and_hashes_for_everything(name: str) -> None:
    for requirement, block in locked(name).items():
        assert re.match(r"[a-z0-9.-]+==[^\s]+", requirement)
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), requirement


@pytest.mark.parametrize("name", ["run.txt", "dev.txt"])
def test_a_lock_says_nothing_of_where_it_was_made(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()

    assert not re.search(r"://|\bfile:|\s/|--(extra-)?index|--find-links|--trusted", text)


def test_tests_run_on_the_versions_that_are_shipped() -> None:
    run, dev = locked("run.txt"), locked("dev.txt")

    assert run.items() <= dev.items()


@pytest.mark.parametrize("name", ["run.txt", "dev.txt"])
def test_a_lock_has_all_that_an_editable_install_without_a_network_needs(name: str) -> None:
    names = {requirement.partition("==")[0] for requirement in locked(name)}
    build = (ROOT / "requirements" / "build.in").read_text().split()
    declared = [re.split(r"[<>=\[]", line)[0] for line in PROJECT["project"]["dependencies"]]

    assert names >= {*build, *declared}


# What goes along


@pytest.mark.parametrize(
    "path",
    [
        "py.typed",
        "nano/model.bin",
        "nano/recording.flac",
        "web/swagger/swagger-ui-bundle.js",
        "web/swagger/swagger-ui.css",
        "web/swagger/favicon-32x32.png",
        "web/swagger/LICENSE",
        "web/swagger/NOTICE",
    ],
)
def test_the_package_brings_its_files(path: str) -> None:
    assert (SOURCE / path).is_file()


def test_the_documentation_page_asks_nobody_else() -> None:
    style = (SOURCE / "web" / "swagger" / "swagger-ui.css").read_text()

    assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", style)
