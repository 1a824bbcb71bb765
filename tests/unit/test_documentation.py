"""Every setting, route, event and error code is documented, and every link inside the documentation leads somewhere."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from scrivano.api.app import create_app
from scrivano.cli.app import command_line
from scrivano.domain.languages import LANGUAGES
from scrivano.server.settings import Settings, allowed, variable

ROOT = Path(__file__).parents[2]
HTTP = (ROOT / "docs" / "http.md").read_text()
CLIENTS = (ROOT / "docs" / "clients.md").read_text()
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
EVERYTHING = "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_is_documented_as_it_describes_itself(field: str) -> None:
    [row] = [line for line in CONFIGURATION.splitlines() if line.startswith(f"| `{variable(field)}` |")]

    assert row.endswith(f"| {allowed(Settings.model_fields[field])} | {Settings.model_fields[field].description} |")


def test_every_route_is_documented() -> None:
    openapi = create_app(None).openapi()  # type: ignore[arg-type]  # no request is made
    for path, methods in openapi["paths"].items():
        for method in methods:
            route = f"{method.upper()} {re.sub(r'{[a-z_]*id(:path)?}', '{id}', path)}"
            assert re.search(rf"`{re.escape(route)}[?`]", EVERYTHING), route


def test_every_model_event_is_documented() -> None:
    source = (ROOT / "src" / "scrivano" / "running" / "model_state.py").read_text()
    events = set(re.findall(r'Announce\("(\w+)"\)', source))
    assert events == {"model_loading", "model_ready", "model_unloaded", "model_waiting_for_gpu"}
    for event in events:
        assert f"`{event}`" in HTTP, event


def test_every_error_code_that_a_job_can_end_with_is_documented() -> None:
    source = "".join(
        path.read_text() for name in ("media", "running") for path in (ROOT / "src" / "scrivano" / name).glob("*.py")
    )
    codes = set(re.findall(r'(?:MediaError\(|\bFail\(|\bcode=)\s*"([a-z_]+)"', source))
    assert {"not_media", "no_audio", "too_long", "media_timeout", "media_crashed", "engine_crashed"} <= codes
    for code in codes:
        assert f"`{code}`" in HTTP, code


def test_the_site_has_every_page_once_and_accuracy_is_the_page_of_that_name() -> None:
    """As `mkdocs build --strict` would say; the two generated pages are made by `tools/site/hooks.py`."""
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    entries = re.findall(r"^ +- (.+): (\S+\.md)$", navigation, re.MULTILINE)

    pages = [page.name for page in (ROOT / "docs").glob("*.md")]
    assert sorted(page for _, page in entries) == sorted([*pages, "changelog.md", "contributing.md"])
    assert ("Accuracy", "accuracy.md") in entries


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_files_that_are_named_are_there(page: Path) -> None:
    for named in re.findall(r"\b((?:tests|src|tools|benchmarks|torture)/[\w./-]+\.(?:py|md|sh|txt))", page.read_text()):
        assert "NNNN" in named or (ROOT / named).exists(), named


def test_the_page_offers_the_languages_that_the_server_knows() -> None:
    source = (ROOT / "web" / "src" / "lib" / "languages.ts").read_text()
    [listed] = re.findall(r'"([^"]+)"\.split', source)

    assert sorted(listed.split()) == sorted(LANGUAGES)


def test_the_page_says_everything_in_both_languages() -> None:
    texts = [(ROOT / "web" / "src" / "i18n" / f"{code}.ts").read_text() for code in ("en", "it")]
    english, italian = ({key: set(re.findall(r"{\w+}", line)) for key, line in entries(text)} for text in texts)

    assert english == italian


def test_the_page_says_in_italian_what_the_server_says_about_jobs() -> None:
    translated = {key for key, _ in entries((ROOT / "web" / "src" / "i18n" / "it-server.ts").read_text())}
    documented = (ROOT / "docs" / "http.md").read_text()
    codes: set[str] = set()
    for heading in ("### The recording", "### When a job fails"):
        section = documented.partition(f"{heading}\n")[2].partition("\n#")[0]
        codes |= set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))

    assert translated == codes


def test_what_users_read_names_no_file_of_the_documentation() -> None:
    """A wheel has none: messages, help texts and descriptions name commands instead."""
    for package in ("api", "auth", "backup", "cli", "files", "server", "store", "submission"):
        for path in (ROOT / "src" / "scrivano" / package).rglob("*.py"):
            texts = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
            assert not [text for text in texts if isinstance(text, str) and re.search(r"docs/\w+\.md", text)], path


# Messages of other programs, and of the operating system, in the tables about troubles.
OF_OTHERS = {
    "Address already in use", "Failed to connect to bus", "Library libcublas.so.12 is not found", "No such option:",
    "Read-only file system", "Start request repeated too quickly", "status=2", "status=203/EXEC",
    "status=226/NAMESPACE",
}  # fmt: skip


def texts_of(source: str) -> Iterator[str]:
    """The texts in a module. What is inserted into one is a space."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else " " for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_messages_in_the_tables_about_troubles_exist() -> None:
    said = "\n".join(text for path in (ROOT / "src").rglob("*.py") for text in texts_of(path.read_text()))
    cells = re.findall(r"^\| (`.+?) \|", (ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)
    messages = [message for cell in cells for message in re.findall("`([^`]+)`", cell)]
    fixed = [words.strip(" ()") for message in messages for words in re.split("…|; |: $", message)]

    assert len(messages) > 40
    assert [words for words in fixed if not words.isdigit() and words not in said and words not in OF_OTHERS] == []


OPTIONAL = re.compile(r"^(\w+) = \[", re.MULTILINE)


def test_every_extra_is_documented() -> None:
    section = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    install = (ROOT / "docs" / "install.md").read_text()

    extras = set(OPTIONAL.findall(section)) - {"dev"}
    assert {"evaluate", "whispercpp"} <= extras
    for extra in extras:
        assert re.search(rf"^\|[^|]*`{extra}`", install, re.MULTILINE), extra


def commands(group: Any, names: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command with its full name."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*names, name))
        else:
            yield " ".join((*names, name)), command


@pytest.mark.parametrize(("name", "command"), list(commands(typer.main.get_command(command_line()))))
def test_every_command_and_its_options_are_documented(name: str, command: Any) -> None:
    """On the page of the commands, or in a section about the command on another page."""
    for word in name.split():
        assert re.search(rf"[`\s]{word}\b", CLIENTS), name
    options = {option for one in command.params for option in one.opts if option.startswith("--") and not one.hidden}
    missing = {option for option in options if not re.search(rf"{option}(?![\w-])", EVERYTHING)}
    assert missing == set(), name
    if name in ("serve", "wyoming", "transcribe"):
        assert {option for option in options if not re.search(rf"{option}(?![\w-])", CLIENTS)} == set(), name


def entries(source: str) -> list[tuple[str, str]]:
    """The keys and values of an object of texts in TypeScript."""
    return re.findall(r'^  "?([\w.]+)"?:\s+"((?:[^"\\]|\\.)*)",$', source, re.MULTILINE)
