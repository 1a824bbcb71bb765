"""The TypeScript client: its own tests, its package in an empty project, and the front-end guide in a browser."""

from __future__ import annotations

import functools
import http.server
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import node
import pytest
from browser import CHROMEDRIVER, CHROMIUM, browser
from free_ports import free_port
from installed import must_be_there
from served import DATA, Served, served, until

pytestmark = [pytest.mark.slow, pytest.mark.node, pytest.mark.timeout(1500)]

RECORDING = DATA / "en-exact-0.flac"
WORDS = "next week"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"
TEXT = "const found = document.querySelector(arguments[0]); return found ? found.innerText : '';"

ESM = """
import { openAsBlob } from "node:fs";
import { ScrivanoClient, textOf } from "@scrivano/client";
const client = new ScrivanoClient(process.argv[2]);
console.log(textOf(await client.transcribe(await openAsBlob(process.argv[3]), { queue: true })));
"""
COMMON_JS = """
const { ScrivanoClient, isJobPayload } = require("@scrivano/client");
console.log(new ScrivanoClient("http://host:1/").baseUrl, isJobPayload({ id: "1", status: "done" }));
"""
TYPES = """
import { ScrivanoClient, type Job } from "@scrivano/client";
import type { paths } from "@scrivano/client/openapi";
export const job = (id: string): Promise<Job> => new ScrivanoClient().job(id);
export type Health = paths["/health"]["get"]["responses"][200]["content"]["application/json"]["model_state"];
"""


@pytest.fixture(scope="module")
def client() -> Path:
    node.build_client()
    return node.CLIENT


@pytest.fixture(scope="module")
def guide(client: Path) -> Path:
    """The code of the guide, compiled."""
    node.npm("run", "guide")
    return client / "build" / "guide"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("data"), CORS_ORIGINS="loopback", WEBHOOK_SECRET=SECRET) as server:
        server.load()
        yield server


def test_the_types_are_those_of_the_server(client: Path) -> None:
    node.npm("run", "typecheck")


def test_the_clients_own_tests_pass(client: Path) -> None:
    output = node.run("npx", "vitest", "run", timeout_s=1200)

    assert " passed" in output
    assert "skipped" not in output


def test_the_package_works_in_an_empty_project(client: Path, server: Served, tmp_path: Path) -> None:
    [package] = node.npm("pack", "--silent", "--pack-destination", str(tmp_path)).split()[-1:]
    project = tmp_path / "project"
    project.mkdir()
    (project / "package.json").write_text('{ "private": true }')
    node.npm("install", "--no-progress", "--offline", "--omit=peer", str(tmp_path / package), cwd=project)
    (project / "main.mjs").write_text(ESM)
    (project / "main.cjs").write_text(COMMON_JS)
    (project / "types.mts").write_text(TYPES)

    assert [path.name for path in (project / "node_modules").glob("[!.]*")] == ["@scrivano"]
    assert WORDS in node.run("node", "main.mjs", server.url, str(RECORDING), cwd=project)
    assert node.run("node", "main.cjs", cwd=project).split() == ["http://host:1", "true"]
    tsc = str(client / "node_modules" / "typescript" / "bin" / "tsc")
    options = ["--noEmit", "--strict", "--module", "NodeNext", "--lib", "ES2022,DOM"]
    node.run("node", tsc, *options, "types.mts", cwd=project)


def test_the_package_has_the_servers_version_and_no_addresses_in_its_lock_file() -> None:
    from scrivano import __version__

    assert f'"version": "{__version__}"' in (node.CLIENT / "package.json").read_text()
    assert '"resolved"' not in (node.CLIENT / "package-lock.json").read_text()


@contextmanager
def static_files(folder: Path) -> Iterator[str]:
    """The address of a server for these files, on another port than the one that is tested."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as files:
        threading.Thread(target=files.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{files.server_address[1]}"
        files.shutdown()


@pytest.mark.skipif(
    (CHROMIUM is None or CHROMEDRIVER is None) and not must_be_there("browser"),
    reason="no Chromium with chromedriver here",
)
def test_the_complete_example_of_the_guide_runs_in_a_browser(guide: Path, server: Served, tmp_path: Path) -> None:
    with static_files(guide / "page") as page_url, browser(tmp_path / "profile") as page:
        page.open(f"{page_url}/?server={server.url}")
        until(lambda: page.run(TEXT, "#model") == "Model: ready")
        page.choose_file("input[type=file]", RECORDING)
        until(lambda: page.run(TEXT, "#phase") == "done")

        until(lambda: WORDS in page.run(TEXT, "ol"))
        assert page.run("return document.querySelector('[role=alert]') === null")
        assert page.run("return document.querySelectorAll('button').length") == 2

        server.http.post("/model/unload")
        until(lambda: page.run(TEXT, "#model") == "Model: unloaded")


def test_the_receiver_of_the_guide_takes_signed_webhooks_only(guide: Path, server: Served) -> None:
    port = free_port()
    env = {**node.ENV, "PORT": str(port), "WEBHOOK_SECRET": SECRET}
    command = ["node", str(guide / "compiled" / "receiver.js")]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as receiver:
        try:
            assert receiver.stdout is not None
            assert receiver.stdout.readline() == "listening\n"
            url = f"http://127.0.0.1:{port}/scrivano"
            unsigned = server.http.post(url, json={"type": "model_unloaded"})
            job_id = server.submit(RECORDING.name, webhook_url=url, queue="true")
            job = server.ended(job_id)
            line = f"job {job_id} is done: {len(job['segments'])} segments\n"

            assert (unsigned.status_code, unsigned.text) == (400, "the header webhook-id is missing")
            assert line in iter(receiver.stdout.readline, "")
        finally:
            receiver.terminate()
