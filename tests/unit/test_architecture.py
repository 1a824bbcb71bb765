"""What holds for the package as a whole: who may import whom, what importing costs, and what is installed."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import scrivano

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "scrivano"
PROJECT: Mapping[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())

# Parts of the server, which importing the program brings.
SERVER = (
    "server.build",
    "server.run",
    "api.app",
    "submission.submissions",
    "webhooks.sender",
    "running.runner",
    "processes.child",
    "store.jobs",
    "files.blobs",
    "server.settings",
)
HEAVY = ("av", "ctranslate2", "faster_whisper", "huggingface_hub", "numpy", "onnxruntime", "ray", "tokenizers", "torch")

MODULES = sorted(SOURCE.rglob("*.py"))


def name_of(path: Path) -> str:
    """`scrivano.api.app`; a package is named without its `__init__`."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = [name_of(path) for path in MODULES]
PACKAGES = {
    name_of(path): ast.parse(path.read_text())
    for path in MODULES
    if path.stem == "__init__" and "migrations" not in path.parts
}


@cache
def parsed(path: Path) -> ast.Module:
    """Most tests look at all modules."""
    return ast.parse(path.read_text())


@cache
def imports(path: Path) -> Sequence[str]:
    """Every module, or name of a package, that a file imports, wherever in it."""
    return list(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in NAMES or node.module in PACKAGES else str(node.module) for name in full)


def own_imports(path: Path) -> list[str]:
    return [name for name in imports(path) if name.partition(".")[0] == "scrivano"]


def package_of(name: str) -> str:
    return name if name in PACKAGES else name.rpartition(".")[0]


def docstring(package: str) -> str:
    return ast.get_docstring(PACKAGES[package]) or ""


def listed(package: str) -> list[str]:
    """The modules that the docstring of a package lists, in its order."""
    return re.findall(r"^    (\w+) +\S", docstring(package), re.MULTILINE)


def may_import(package: str) -> set[str]:
    """The other packages that the docstring of a package names."""
    line = re.search(r"^May import: ([^.]*)\.", docstring(package), re.MULTILINE)
    assert line, f"{package} does not say what it may import"
    return set() if line[1].startswith("nothing") else {f"scrivano.{name.strip()}" for name in line[1].split(",")}


def public(package: str) -> list[str]:
    """`__all__`: the names and modules that other packages may use."""
    assigned = [node for node in PACKAGES[package].body if isinstance(node, ast.Assign)]
    values = [node.value for node in assigned if ast.unparse(node.targets[0]) == "__all__"]
    return list(ast.literal_eval(values[0])) if values else []


TOP = [f"scrivano.{name}" for name in listed("scrivano")]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_lists_its_modules(package: str) -> None:
    inside = {name.rpartition(".")[2] for name in NAMES if name.rpartition(".")[0] == package} - {"__main__"}

    assert sorted(listed(package)) == sorted(inside)
    assert not docstring(package).startswith("\n")


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_import_only_what_their_package_lists_below_them(package: str) -> None:
    order = [f"{package}.{name}" for name in listed(package)]
    for path, name in zip(MODULES, NAMES, strict=True):
        if (importer := child_of(package, name)) is None or importer not in order:
            continue
        for imported in own_imports(path):
            target = child_of(package, imported)
            if target in order and target != importer:
                assert order.index(target) > order.index(importer), f"{name} imports {imported}"


def child_of(package: str, name: str) -> str | None:
    """The module or package directly under `package` that holds `name`."""
    inside = name.removeprefix(f"{package}.")
    return None if inside == name else f"{package}.{inside.partition('.')[0]}"


@pytest.mark.parametrize("package", TOP)
def test_a_package_imports_just_what_its_docstring_allows(package: str) -> None:
    used = {
        str(child_of("scrivano", imported))
        for path, name in zip(MODULES, NAMES, strict=True)
        if f"{name}.".startswith(f"{package}.")
        for imported in own_imports(path)
        if child_of("scrivano", imported) in TOP
    }

    assert used - {package} == may_import(package)


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_no_module_reaches_past_what_a_package_makes_public(path: Path) -> None:
    for imported in own_imports(path):
        package = package_of(imported)
        while package != "scrivano":
            outside = not f"{name_of(path)}.".startswith(f"{package}.")
            inner = str(child_of(package, imported)).rpartition(".")[2]
            assert not outside or inner in public(package), f"{name_of(path)} imports {imported}"
            package = package.rpartition(".")[0]


@pytest.mark.parametrize("package", TOP)
def test_what_a_package_makes_public_is_there_and_used(package: str) -> None:
    names = {node.id for tree in [PACKAGES[package]] for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {alias.name for node in PACKAGES[package].body if isinstance(node, ast.ImportFrom) for alias in node.names}
    used = {
        child_of(package, imported)
        for path, name in zip(MODULES, NAMES, strict=True)
        if not f"{name}.".startswith(f"{package}.")
        for imported in own_imports(path)
    }
    for name in public(package):
        assert name in names or f"{package}.{name}" in NAMES
        assert name in names or f"{package}.{name}" in used, f"nothing outside {package} uses {name}"


def test_modules_do_not_import_each_other_in_circles() -> None:
    graph = {name_of(path): {name for name in imports(path) if name in NAMES} - {name_of(path)} for path in MODULES}
    while leaves := {name for name, imported in graph.items() if not imported & graph.keys()}:
        graph = {name: imported for name, imported in graph.items() if name not in leaves}

    assert not graph


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_importing_does_nothing(path: Path) -> None:
    """At its top level a module defines; it calls nothing for the effect, and starts nothing."""
    allowed = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.ClassDef, ast.FunctionDef, ast.If)
    for node in parsed(path).body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        assert docstring or isinstance(node, (*allowed, ast.AsyncFunctionDef)) or runs_as_script(path), ast.unparse(
            node
        )


def runs_as_script(path: Path) -> bool:
    """Alembic runs `env.py`, and Python `__main__.py`; nobody imports them."""
    return path.stem in ("env", "__main__")


def test_there_are_no_globals_that_change() -> None:
    for path in MODULES:
        assert not [node for node in ast.walk(parsed(path)) if isinstance(node, ast.Global)], path


def test_the_server_process_imports_no_model_and_no_codec() -> None:
    code = "import sys, scrivano.server.run; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(ran.stdout.split())

    assert ran.stderr == ""
    assert {f"scrivano.{module}" for module in SERVER} <= imported
    assert not set(HEAVY) & imported


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
    assert "version" in PROJECT["project"]["dynamic"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "src/scrivano/__init__.py"
    assert re.fullmatch(r"\d+\.\d+\.\d+", scrivano.__version__)


# Locks

# run: what the server needs. image and cuda: the images. site and release: tools.
LOCKS = ["run.txt", "dev.txt", "image.txt", "cuda.txt", "site.txt", "release.txt"]


def locked(name: str) -> dict[str, str]:
    """Each requirement, with its marker, and the lines that belong to it."""
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    blocks = re.split(r"\n(?=\S)", "\n".join(line for line in lines if not line.lstrip().startswith("#")))
    return {block.partition(" \\\n")[0]: block for block in blocks}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_a_version_and_hashes_for_everything(name: str) -> None:
    for requirement, block in locked(name).items():
        assert re.match(r"[a-z0-9.-]+==[^\s]+", requirement)
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), requirement


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_says_nothing_of_where_it_was_made(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()

    assert not re.search(r"://|\bfile:|\s/|--(extra-)?index|--find-links|--trusted", text)


def test_tests_run_on_the_versions_that_are_shipped() -> None:
    run, dev, image = locked("run.txt"), locked("dev.txt"), locked("image.txt")

    assert run.items() <= dev.items()
    assert run.keys() <= image.keys()
    # Without the markers: the tests leave out what some machines cannot have.
    versions = [{requirement.partition(" ;")[0] for requirement in lock} for lock in (image, dev)]
    assert versions[0] <= versions[1]


def test_locked_versions_are_within_the_declared_bounds() -> None:
    extras = PROJECT["project"]["optional-dependencies"].values()
    declared = [Requirement(line) for line in [*PROJECT["project"]["dependencies"], *itertools.chain(*extras)]]
    versions = dict(requirement.split(" ")[0].split("==") for requirement in locked("dev.txt"))

    assert {requirement.name for requirement in declared} <= versions.keys()
    for requirement in declared:
        assert requirement.specifier.contains(versions[requirement.name]), requirement


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
        "evaluation/page.css",
        "evaluation/page.js",
        "media/silero/LICENSE",
        "media/silero/decoder.onnx",
        "media/silero/encoder.onnx",
        "nano/model.bin",
        "speakers/models/LICENSE-campplus.txt",
        "speakers/models/LICENSE-segmentation.txt",
        "speakers/models/NOTICE",
        "speakers/models/campplus.onnx",
        "speakers/models/segmentation.onnx",
        "speakers/models/voice_space.npz",
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
