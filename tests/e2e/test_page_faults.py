"""The page when things go wrong, and when there is much of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import node
import pytest
from chromium import Window, chromium, window
from free_ports import free_port
from installed import must_be_there
from media_files import repeated
from node import WEB
from playwright.sync_api import Browser, Page, Route, expect
from served import DATA, Served, served, start, until
from shared_gpu import leave_free, scripted
from store_support import Clock, add, new_job, opened

from scrivano.store.jobs import JobStore

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1500)]

CLIP = "en-exact-0.flac"
DESK, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repeated(tmp_path_factory.mktemp("long") / "long.wav", seconds=900)


def choose(page: Page, *paths: Path) -> None:
    page.get_by_test_id("files").set_input_files([str(path) for path in paths])


# Interruptions


def test_a_reload_in_the_middle_goes_on_and_a_second_tab_sees_the_same(
    browser: Browser, long: Path, tmp_path: Path
) -> None:
    with served(tmp_path) as server, window(browser, server.url) as opened:
        page = opened.page
        page.goto(server.url)
        choose(page, long)
        page.get_by_role("link", name="long.wav").click()
        expect(page.locator(".segment").first).to_be_visible()

        page.reload()
        expect(page.locator(".segment").first).to_be_visible()
        other = page.context.new_page()
        other.goto(server.url)
        expect(other.get_by_role("link", name="long.wav")).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator(".facts")).to_contain_text("Cancelled")
        expect(other.get_by_role("listitem").filter(has_text="long.wav")).to_contain_text("Cancelled")


def test_the_page_recovers_by_itself_when_the_server_was_killed(browser: Browser, long: Path, tmp_path: Path) -> None:
    port = str(free_port())
    first = Served(start(tmp_path, PORT=port))
    with window(browser, first.url) as opened:
        page = opened.page
        page.goto(first.url)
        choose(page, long)
        page.get_by_role("link", name="long.wav").click()
        expect(page.locator(".segment").first).to_be_visible()
        os.kill(first.process.pid, signal.SIGKILL)
        first.close()
        expect(page.get_by_text("The server cannot be reached")).to_be_visible()

        second = Served(start(tmp_path, PORT=port))
        try:
            expect(page.get_by_text("The server cannot be reached")).to_have_count(0)
            expect(page.locator(".facts")).to_contain_text("Done", timeout=600_000)
            [job] = second.http.get("/jobs").json()["jobs"]
            shown = page.locator(".segment").first.locator(".words").inner_text()
            assert shown == second.job(job["id"])["segments"][0]["text"]
        finally:
            second.close()
        # What could not be reached is no fault of the page.
        opened.faults.clear()


def test_an_upload_that_expired_begins_again(browser: Browser, tmp_path: Path) -> None:
    with served(tmp_path) as server, window(browser, server.url) as opened:
        page = opened.page
        uploads: list[str] = []

        def expire(route: Route) -> None:
            if route.request.method == "PATCH" and not uploads:
                uploads.append(route.request.url)
                server.http.delete(
                    route.request.url.removeprefix(server.url), headers={"Tus-Resumable": "1.0.0"}
                ).raise_for_status()
                route.abort()
            else:
                route.continue_()

        page.route("**/uploads/*", expire)
        page.goto(server.url)
        choose(page, DATA / CLIP)

        expect(page.get_by_role("link", name=CLIP)).to_be_visible()
        assert len(uploads) == 1
        assert set(opened.refused) == {"404 /uploads/ID"}


def test_a_full_disk_is_told_and_the_upload_can_be_tried_again(browser: Browser, tmp_path: Path) -> None:
    with served(tmp_path, MIN_FREE_BYTES=str(1 << 60)) as server, window(browser, server.url) as opened:
        page = opened.page
        page.goto(server.url)
        choose(page, DATA / CLIP)

        expect(page.get_by_role("alert")).to_contain_text("disk")
        page.get_by_role("button", name=f"Try {CLIP} again").click()
        expect(page.get_by_role("alert")).to_contain_text("MIN_FREE_BYTES")
        page.get_by_role("button", name=f"Stop the upload of {CLIP}").click()
        expect(page.get_by_role("heading", name="No transcripts yet")).to_be_visible()


def test_a_model_that_waits_for_a_gpu_says_how_much_is_missing(browser: Browser, tmp_path: Path) -> None:
    with scripted(tmp_path, free_mb=512) as (server, memory), window(browser, server.url) as opened:
        page = opened.page
        page.goto(server.url)
        choose(page, DATA / CLIP)
        state = page.get_by_role("button", name=re.compile("^Model large-v3"))
        expect(state).to_contain_text("3.4 GB missing")
        state.click()
        expect(page.get_by_text("Needs 3.9 GB of GPU memory, 512 MB are free: 3.4 GB are missing")).to_be_visible()
        page.keyboard.press("Escape")
        page.get_by_role("link", name=CLIP).click()
        expect(page.get_by_text("Waits for the model large-v3: Waiting for memory")).to_be_visible()

        leave_free(memory, 6000)
        expect(state).to_contain_text(re.compile("large-v3 *2 GB"))
        expect(page.locator(".facts")).to_contain_text("Done")
        opened.refused.clear()


# Keys


def create_key(path: Path) -> str:
    command = [sys.executable, "-m", "scrivano", "keys", "create", "--name", "page"]
    environ = {**os.environ, "API_KEYS_FILE": str(path)}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout.strip()


def test_a_wrong_key_is_told_and_with_the_right_one_everything_works(
    browser: Browser, tmp_path: Path, keys: tuple[Path, str]
) -> None:
    path, secret = keys
    with served(tmp_path / "data", API_KEYS_FILE=str(path)) as server, window(browser, server.url) as opened:
        page = opened.page
        page.goto(server.url)
        page.get_by_label("Key", exact=True).fill("sk-wrong")
        page.get_by_role("button", name="Continue").click()
        expect(page.get_by_role("alert")).to_contain_text("does not know this key")
        page.get_by_label("Key", exact=True).fill(secret)
        page.get_by_role("button", name="Continue").click()
        choose(page, DATA / CLIP)
        page.get_by_role("link", name=CLIP).click()
        expect(page.locator(".facts")).to_contain_text("Done")

        # Anew, so that the sound comes from the server: by a URL that may be opened without the key.
        page.reload()
        page.get_by_role("button", name="Play", exact=True).click()
        until(lambda: page.locator(".player > audio").evaluate("audio => audio.currentTime > 0.2"))
        assert "token=" in page.locator(".player > audio").evaluate("audio => audio.currentSrc")
        assert secret not in page.locator(".player > audio").evaluate("audio => audio.currentSrc")
        page.get_by_role("button", name="Preferences").click()
        page.get_by_role("button", name="Forget the API key").click()
        expect(page.get_by_label("Key", exact=True)).to_be_visible()


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, str]:
    path = tmp_path / "keys.json"
    return path, create_key(path)


# Much of it


def words(count: int, first_second: float) -> list[dict[str, Any]]:
    return [
        {
            "text": f"{' ' if n else ''}word{n}",
            "start": first_second + 0.35 * n,
            "end": first_second + 0.35 * n + 0.3,
            "probability": 0.9 if n % 9 else 0.3,
        }
        for n in range(count)
    ]


HOLE = {"start": 2.0, "end": 16.0}


def publish(store: JobStore, clock: Clock, job_id: str, segments: list[dict[str, Any]], **fields: Any) -> None:
    add(store, new_job(job_id, clock, **fields))
    store.claim(job_id, 60)
    text = " ".join(segment["text"] for segment in segments)
    quality = {"coverage": 0.9, "uncovered": [HOLE], "repaired": 2, "loops_cut": 0, "doubtful": []}
    store.publish_done(
        job_id,
        1,
        json.dumps(segments).encode(),
        language="en",
        duration_secs=4 * 3600.0,
        text=text,
        quality={**quality, "word_probability": 0.9307},
    )


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with 230 jobs, the newest of which is four hours long and has 40,000 words."""
    folder = tmp_path_factory.mktemp("full")
    clock = Clock()
    with opened(folder / "scrivano.db", clock) as store:
        for n in range(229):
            clock.forward(60)
            publish(store, clock, f"job-{n:03}", [], filename=f"meeting {n:03}.mp3")
        clock.forward(60)
        segments = [
            {
                "index": n,
                "start": 3.6 * n,
                "end": 3.6 * n + 3.5,
                "text": "".join(word["text"] for word in words(10, 3.6 * n)),
                "words": words(10, 3.6 * n),
            }
            for n in range(4000)
        ]
        doubtful = ["guessed", "too_fast"]
        segments[3]["quality"] = {"word_probability": 0.31, "doubtful": doubtful, "repaired": False}
        publish(store, clock, "long", segments, filename="four hours.mp3")
    with served(folder, KEEP_AUDIO="true") as server:
        yield server


def test_a_list_of_hundreds_draws_only_what_is_seen_and_stays_smooth(browser: Browser, full: Served) -> None:
    with window(browser, full.url) as opened:
        page = opened.page
        page.goto(full.url)
        expect(page.get_by_role("link", name="four hours.mp3")).to_be_visible()
        before = opened.busy_s()
        page.evaluate(
            """async () => {
                for (let n = 0; n < 120; n++) {
                    window.scrollBy(0, 120);
                    await new Promise(requestAnimationFrame);
                }
            }"""
        )
        per_frame_s = (opened.busy_s() - before) / 120
        assert page.locator(".jobs li").count() < 60
        assert per_frame_s < 0.033

        def at_the_end() -> bool:
            page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
            return page.get_by_role("link", name="meeting 000.mp3").count() == 1

        until(at_the_end)


def test_a_transcript_of_forty_thousand_words_opens_within_two_seconds(browser: Browser, full: Served) -> None:
    with window(browser, full.url) as opened:
        page = opened.page
        page.goto(full.url)
        expect(page.get_by_role("link", name="four hours.mp3")).to_be_visible()
        # The code of the view is loaded once.
        page.goto(f"{full.url}/#/jobs/job-000")
        expect(page.get_by_role("heading", name="meeting 000.mp3")).to_be_visible()
        page.goto(f"{full.url}/#/")
        before = opened.busy_s()
        page.evaluate(
            """async () => {
                location.hash = "#/jobs/long";
                while (!document.querySelector(".segment .words")) await new Promise(requestAnimationFrame);
                await new Promise(requestAnimationFrame);
            }"""
        )
        assert opened.busy_s() - before < 2
        assert page.locator(".segment").count() < 80

        def at_the_end() -> bool:
            page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
            return page.locator("[data-position='3999']").count() == 1

        until(at_the_end)
        opened.refused.clear()


def test_speech_without_text_is_shown_where_it_is(browser: Browser, full: Served) -> None:
    with window(browser, full.url) as opened:
        page = opened.page
        page.goto(f"{full.url}/#/jobs/long")

        expect(page.get_by_text("Places with speech but no text: 1")).to_be_visible()
        rows = page.locator(".segments [role=listitem]")
        expect(rows.nth(1)).to_contain_text("14 s of speech without text")
        expect(rows.nth(0)).to_contain_text("word0")
        opened.refused.clear()


@pytest.mark.parametrize(
    ("locale", "line", "reasons"),
    [
        (
            "en-GB",
            "Speech with text: 90 % · Certainty of the words: 93 % · Gaps filled at a second attempt: 2 · "
            "Doubtful segments: 1",
            "Doubtful: the model was unsure of the words, nobody speaks so fast",
        ),
        (
            "it-IT",
            "Parlato con testo: 90 % · Certezza delle parole: 93 % · Vuoti colmati al secondo tentativo: 2 · "
            "Segmenti dubbi: 1",
            "Dubbio: il modello non era sicuro delle parole, nessuno parla così in fretta",
        ),
    ],
)
def test_how_far_the_text_can_be_trusted_is_shown(
    browser: Browser, full: Served, locale: str, line: str, reasons: str
) -> None:
    with window(browser, full.url, locale=locale) as opened:
        opened.page.goto(f"{full.url}/#/jobs/long")

        expect(opened.page.get_by_text(line)).to_be_visible()
        expect(opened.page.locator("[data-position='3']").get_by_text(reasons)).to_be_visible()
        opened.refused.clear()


# For everybody


def axe_source() -> str:
    path = WEB / "node_modules" / "axe-core" / "axe.min.js"
    if not path.exists() and shutil.which("npm") is None:
        assert not must_be_there("node"), "CI installs Node"
        pytest.skip("no Node here, with which axe is installed")
    node.install(WEB)
    return path.read_text()


def violations(opened: Window, axe: str) -> list[str]:
    known = list(opened.faults)
    opened.page.evaluate(axe)
    found = opened.page.evaluate("async () => (await axe.run()).violations")
    # axe itself tries styles that the policy forbids.
    opened.faults[:] = known
    return [
        f"{one['id']}: {one['help']}: {node['target']} {node['failureSummary']}"
        for one in found
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(
    browser: Browser, tmp_path: Path, theme: str, size: dict[str, int]
) -> None:
    axe = axe_source()
    with served(tmp_path) as server, window(browser, server.url, viewport=size, color_scheme=theme) as opened:
        page = opened.page
        page.goto(server.url)
        expect(page.get_by_role("heading", name="No transcripts yet")).to_be_visible()
        found = {"empty": violations(opened, axe)}
        failed = server.submit("silence-0.flac", queue="true", audio_track="7")
        job = server.ended(server.submit(CLIP, queue="true", keep_audio="true"))
        server.ended(failed)
        page.reload()
        expect(page.get_by_role("link", name=CLIP)).to_be_visible()
        page.get_by_text("More options").click()
        found["list"] = violations(opened, axe)
        page.get_by_role("button", name="Model nano").click()
        found["model"] = violations(opened, axe)
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Preferences").click()
        found["preferences"] = violations(opened, axe)
        page.keyboard.press("Escape")
        page.goto(f"{server.url}/#/jobs/{job['id']}")
        expect(page.locator(".wave:not(.flat)")).to_be_visible()
        found["transcript"] = violations(opened, axe)
        page.locator("[data-word='0']").first.click()
        expect(page.locator(".words .now")).to_have_count(1)
        page.keyboard.press("k")
        found["heard"] = violations(opened, axe)
        page.keyboard.press("e")
        expect(page.get_by_label("Text of the segment")).to_be_visible()
        found["edited"] = violations(opened, axe)
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Download").click()
        page.get_by_role("radio", name="SRT").check()
        found["download"] = violations(opened, axe)
        page.keyboard.press("Escape")
        wide = [page.evaluate("document.documentElement.scrollWidth - innerWidth")]
        page.goto(f"{server.url}/#/jobs/{failed}")
        expect(page.get_by_role("alert")).to_be_visible()
        found["failed"] = violations(opened, axe)
        until(lambda: len(server.http.get("/history").json()["samples"]) >= 2)
        page.goto(f"{server.url}/#/monitor")
        expect(page.get_by_role("region", name="Queue")).to_be_visible()
        found["monitor"] = violations(opened, axe)
        page.goto(f"{server.url}/#/")
        wide.append(page.evaluate("document.documentElement.scrollWidth - innerWidth"))
        opened.refused.clear()

    assert {name: faults for name, faults in found.items() if faults} == {}
    assert max(wide) <= 0


def test_it_can_be_used_with_the_keyboard_alone(browser: Browser, full: Served) -> None:
    with window(browser, full.url) as opened:
        page = opened.page
        page.goto(full.url)
        expect(page.get_by_role("link", name="four hours.mp3")).to_be_visible()
        focused: list[str] = []
        for _ in range(40):
            page.keyboard.press("Tab")
            focused.append(
                page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.innerText")
            )
            if "four hours" in focused[-1]:
                break
        page.keyboard.press("Enter")

        expect(page.get_by_role("heading", name="four hours.mp3")).to_be_visible()
        assert {"Choose files", "Folder", "Record"} <= {text.strip() for text in focused}
        opened.refused.clear()


def test_a_style_that_the_policy_forbids_is_noticed(browser: Browser, full: Served) -> None:
    """The check that all tests of the page rely on."""
    with window(browser, full.url) as opened:
        opened.page.goto(full.url)
        opened.page.evaluate("document.head.insertAdjacentHTML('beforeend', '<style>a { color: red }</style>')")
        assert "style-src" in until(lambda: opened.faults)[0]
        opened.faults.clear()
