"""`scrivano models pull`, `list` and `remove`, with a hub on loopback, and a server that has no network afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hub import FILES, REPOSITORY, hub
from served import CATALOG, served, text_of, until

CLIP = "en-exact-0.flac"
NOWHERE = "http://127.0.0.1:9"


def environment(home: Path, endpoint: str, **more: str) -> dict[str, str]:
    names = {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "NO_PROXY": "*", "COLUMNS": "200"}
    return {**os.environ, **names, **more}


def models(env: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scrivano", "models", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)


def blob(home: Path, name: str) -> Path:
    [found] = home.glob(f"hub/models--*/snapshots/*/{name}")
    return found.resolve()


def test_a_pulled_model_is_listed_served_without_a_network_and_removed(tmp_path: Path) -> None:
    home = tmp_path / "hf"
    with hub() as server:
        pulled = models(environment(home, server.url), "pull", REPOSITORY)
    assert (pulled.returncode, pulled.stderr.splitlines()[-1]) == (0, f"{REPOSITORY}: 100 % of 14 MB")

    offline = environment(home, NOWHERE)
    assert f"{REPOSITORY} " in models(offline, "list").stdout
    assert "downloaded and intact" in models(offline, "pull", REPOSITORY).stdout
    for forced in ("", "1"):
        env = {"WHISPER_MODEL": REPOSITORY, "HF_HOME": str(home), "HF_ENDPOINT": NOWHERE, "HF_HUB_OFFLINE": forced}
        with served(tmp_path / f"data{forced}", **env) as running:
            assert text_of(running.ended(running.submit(CLIP, queue="true"))) == CATALOG[CLIP]["text"]

    removed = models(offline, "remove", REPOSITORY)
    assert (removed.returncode, "removed, 14 MB freed" in removed.stdout) == (0, True)
    assert f"{REPOSITORY} " not in models(offline, "list").stdout
    assert models(offline, "remove", REPOSITORY).returncode == 1


def test_a_download_goes_on_after_the_connection_broke_and_after_a_kill(tmp_path: Path) -> None:
    def breaking(name: str, first: int) -> int | None:
        return 1_000_000 if name == "model.bin" and first < 3_000_000 else None

    with hub(breaking) as server:
        env = environment(tmp_path, server.url)
        server.limit = lambda name, first: 1_000_000 if name == "model.bin" else None
        with subprocess.Popen(
            [sys.executable, "-m", "scrivano", "models", "pull", REPOSITORY], env=env, stderr=subprocess.DEVNULL
        ) as process:
            until(lambda: ("model.bin", 2_000_000) in server.requests)
            process.send_signal(signal.SIGKILL)
        server.requests.clear()
        server.limit = breaking
        done = models(env, "pull", REPOSITORY)

    assert done.returncode == 0, done.stderr
    offsets = [first for name, first in server.requests if name == "model.bin"]
    assert offsets[0] > 0
    assert offsets == sorted(offsets)
    assert blob(tmp_path, "model.bin").read_bytes() == FILES["model.bin"]


def test_a_damaged_file_is_found_and_downloaded_again(tmp_path: Path) -> None:
    with hub() as server:
        env = environment(tmp_path, server.url)
        assert models(env, "pull", REPOSITORY).returncode == 0
        for name in ("model.bin", "tokenizer.json"):
            path = blob(tmp_path, name)
            path.write_bytes(b"?" + path.read_bytes()[1:])
        again = models(env, "pull", REPOSITORY)

    assert "model.bin, tokenizer.json had wrong bytes, and is downloaded again" in again.stdout
    assert again.returncode == 0
    for name in ("model.bin", "tokenizer.json"):
        assert blob(tmp_path, name).read_bytes() == FILES[name]


def test_bytes_that_are_not_those_of_the_hash_are_not_kept(tmp_path: Path) -> None:
    with hub() as server:
        server.wrong.add("model.bin")
        done = models(environment(tmp_path, server.url), "pull", REPOSITORY)

    assert (done.returncode, "model.bin arrived with wrong bytes" in done.stderr) == (1, True)
    assert not list(tmp_path.glob("hub/models--*/blobs/*"))


def test_a_full_disk_is_known_before_the_download(tmp_path: Path) -> None:
    with hub() as server:
        server.claimed_bytes["model.bin"] = 10**15
        done = models(environment(tmp_path, server.url), "pull", REPOSITORY)

    assert (done.returncode, "free some space, or set HF_HOME" in done.stderr) == (1, True)
    assert server.requests == []


def test_the_models_of_a_list_are_pulled_and_one_that_is_missing_fails_alone(tmp_path: Path) -> None:
    wanted = tmp_path / "models.txt"
    wanted.write_text(
        f"\ufeff# for the machine in the basement\n\nsomeone/nothing\n{REPOSITORY}  # speaks English\nnano\n"
    )
    with hub() as server:
        done = models(environment(tmp_path / "hf", server.url), "pull", "--all", str(wanted))

    assert done.returncode == 1
    assert "someone/nothing: http://127.0.0.1" in done.stderr
    assert f"{REPOSITORY}: downloaded, 14 MB" in done.stdout
    assert "nano: part of this package" in done.stdout


@pytest.mark.parametrize(
    ("portal", "other_json", "reason"),
    [
        ("/api/", None, "does not answer as a hub does"),
        (None, f"/api/models/{REPOSITORY}", "does not answer as a hub does"),
        (None, f"/api/models/{REPOSITORY}/tree", "the download broke off"),
        (f"/{REPOSITORY}/resolve", None, "the download of model.bin broke off"),
    ],
)
def test_what_is_no_hub_is_said_in_one_line_and_the_other_models_are_tried(
    tmp_path: Path, portal: str | None, other_json: str | None, reason: str
) -> None:
    with hub() as server:
        server.portal, server.other_json = ({path} if path else set() for path in (portal, other_json))
        done = models(environment(tmp_path, server.url), "pull", REPOSITORY, "nano")

    said = [line for line in done.stderr.splitlines() if " % of " not in line]
    assert (done.returncode, len(said), reason in done.stderr) == (1, 1, True), done.stderr
    assert done.stdout == "nano: part of this package\n"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [((), "name a model"), (("huge",), "unknown model 'huge'"), (("--all", "/nowhere"), "cannot read the list")],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, arguments: tuple[str, ...], reason: str) -> None:
    done = models(environment(tmp_path, NOWHERE), "pull", *arguments)

    assert (done.returncode, reason in done.stderr) == (2, True)
