"""The page in a real browser, against a served program: what people do with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import Window, chromium, window
from media_files import Kind, repeated, samples, write, write_wav
from playwright.sync_api import Browser, Page, Route, expect
from served import CATALOG, DATA, Served, served, until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1500)]

CLIP = "en-exact-0.flac"
# A minute: it is still heard when a test looks.
LONG = "en-it-mixed-0.flac"
TEXT = CATALOG[CLIP]["text"]
VIDEO = Kind(codec="libopus", rate=48000, picture=True, picture_codec="libvpx")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("page"), IDLE_TIMEOUT_SECS="0") as server:
        yield server


@pytest.fixture
def opened(browser: Browser, server: Served) -> Iterator[Window]:
    with window(browser, server.url) as opened:
        opened.page.goto(server.url)
        yield opened


@pytest.fixture
def page(opened: Window) -> Page:
    return opened.page


def choose(page: Page, *paths: Path) -> None:
    page.get_by_test_id("files").set_input_files([str(path) for path in paths])


def done(server: Served, name: str = CLIP, **fields: str) -> dict[str, Any]:
    return server.ended(server.submit(name, queue="true", keep_audio="true", **fields))


TIME = "media => media.currentTime"


def open_job(page: Page, server: Served, job: dict[str, Any]) -> None:
    page.goto(f"{server.url}/#/jobs/{job['id']}")
    expect(page.get_by_role("button", name="Download")).to_be_visible()


# Recordings


def test_a_dropped_file_becomes_text(page: Page, server: Served) -> None:
    content = list((DATA / CLIP).read_bytes())
    transfer = page.evaluate_handle(
        """(bytes) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "dropped.flac", { type: "audio/flac" }));
            return data;
        }""",
        content,
    )
    page.dispatch_event("main", "dragenter", {"dataTransfer": transfer})
    expect(page.get_by_text("Let go to transcribe")).to_be_visible()
    page.dispatch_event("main", "drop", {"dataTransfer": transfer})

    page.get_by_role("link", name="dropped.flac").click()

    for word in re.findall(r"\w+", TEXT):
        expect(page.locator(".transcript")).to_contain_text(word)
    expect(page.locator(".facts")).to_contain_text("Done")
    expect(page.locator(".facts")).to_contain_text("English")


def test_files_are_picked_with_their_language_and_task(page: Page, server: Served) -> None:
    page.get_by_role("combobox", name="Language").select_option("it")
    page.get_by_role("radio", name="Translate to English").check()
    with page.expect_response(lambda response: response.request.method == "PATCH") as sent:
        choose(page, DATA / "it-exact-0.flac", DATA / "it-exact-2.flac")

    assert sent.value.status == 204
    for name in ("it-exact-0.flac", "it-exact-2.flac"):
        expect(page.get_by_role("link", name=name)).to_be_visible()
    newest = server.http.get("/jobs?limit=2").json()["jobs"]
    assert {(job["filename"], job["task"], job["language"]) for job in newest} == {
        ("it-exact-0.flac", "translate", "it"),
        ("it-exact-2.flac", "translate", "it"),
    }


def test_of_a_folder_only_recordings_are_sent(page: Page, tmp_path: Path) -> None:
    folder = tmp_path / "folder" / "inner"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("no recording")
    (folder / "in-a-folder.flac").write_bytes((DATA / CLIP).read_bytes())

    page.get_by_test_id("folder").set_input_files(str(tmp_path / "folder"))

    expect(page.get_by_role("link", name="in-a-folder.flac")).to_be_visible()
    expect(page.get_by_text("Left out, because they are no recordings (1)")).to_be_visible()
    expect(page.get_by_role("link", name="notes.txt")).to_have_count(0)


PASTE = """(file) => {
    const data = new DataTransfer();
    if (file.text) data.setData("text/plain", file.text);
    else data.items.add(new File([new Uint8Array(file.bytes)], file.name, { type: "audio/flac" }));
    document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
}"""


def test_a_file_and_an_address_are_pasted(page: Page, server: Served) -> None:
    source = done(server)
    page.evaluate(PASTE, {"name": "pasted.flac", "bytes": list((DATA / CLIP).read_bytes())})
    page.get_by_role("link", name="pasted.flac").click()
    expect(page.locator(".facts")).to_contain_text("Done")
    page.get_by_role("link", name="All transcripts", exact=True).click()

    page.evaluate(PASTE, {"text": f"{server.url}/jobs/{source['id']}/audio"})
    expect(page.get_by_role("link", name="audio", exact=True).first).to_be_visible()
    page.get_by_role("searchbox").focus()
    page.evaluate(PASTE.replace("document.body", "document.activeElement"), {"text": "https://example.org/"})
    expect(page.get_by_role("region", name="Uploads")).to_have_count(0)


def test_the_microphone_is_recorded(page: Page, server: Served) -> None:
    page.get_by_role("button", name="Record", exact=True).click()
    page.get_by_role("button", name="Start recording").click()
    expect(page.get_by_role("timer")).to_contain_text("0:01")
    page.get_by_role("button", name="Stop and transcribe").click()

    page.get_by_role("link", name=re.compile("Recording .*webm")).click()
    expect(page.locator(".facts")).to_contain_text("Done")


def test_a_recording_at_an_address_is_fetched_by_the_server(page: Page, server: Served) -> None:
    source = done(server)
    page.get_by_role("button", name="Address").click()
    page.get_by_label("Address of a recording").fill(f"{server.url}/jobs/{source['id']}/audio")
    page.get_by_role("button", name="Transcribe", exact=True).click()

    expect(page.get_by_role("link", name="audio", exact=True)).to_be_visible()


def test_what_is_no_recording_says_why_and_can_be_deleted(page: Page, tmp_path: Path) -> None:
    (tmp_path / "letter.mp3").write_text("Dear Sir or Madam")
    choose(page, tmp_path / "letter.mp3")
    row = page.get_by_role("listitem").filter(has_text="letter.mp3")

    expect(row).to_contain_text("not a recording")
    row.get_by_role("button", name="Delete letter.mp3").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)


# The list


def test_words_are_searched_in_all_transcripts(page: Page, server: Served) -> None:
    job = done(server, "it-exact-2.flac")
    word = job["segments"][0]["text"].split()[-1].strip(".,?!")

    page.get_by_role("searchbox").fill(word.upper())

    row = page.get_by_role("listitem").filter(has_text="it-exact-2.flac").first
    expect(row.locator("mark").first).to_have_text(re.compile(word, re.IGNORECASE))
    page.get_by_role("searchbox").fill("zebrafish")
    expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()


def test_a_running_job_is_cancelled_and_tried_again(browser: Browser, tmp_path: Path) -> None:
    long = repeated(tmp_path / "long.wav", seconds=900)
    with served(tmp_path / "data", KEEP_AUDIO="true") as server, window(browser, server.url) as opened:
        page = opened.page
        page.goto(server.url)
        choose(page, long)
        row = page.get_by_role("listitem").filter(has_text=long.name)
        expect(row).to_contain_text(re.compile(r"part \d+ of \d+"))
        row.get_by_role("button", name="Cancel").click()
        expect(row).to_contain_text("Cancelled")
        row.get_by_role("button", name="again").click()
        expect(row).to_contain_text(re.compile(r"Waiting|%"))
        row.get_by_role("button", name="Cancel").click()
        expect(row).to_contain_text("Cancelled")


# A transcript


def test_a_clicked_word_is_heard_and_follows_the_sound(page: Page, server: Served) -> None:
    job = done(server, LONG)
    open_job(page, server, job)
    word = job["segments"][0]["words"][3]

    page.locator('[data-word="3"]').first.click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.locator(".words .now")).to_have_count(1)
    page.keyboard.press("k")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    heard = page.locator(".player > audio").evaluate(TIME)

    assert word["start"] - 0.1 <= heard < job["duration_secs"]
    assert page.evaluate("document.querySelector('.wave canvas, .wave div').getBoundingClientRect().width") > 500


def test_a_word_that_is_clicked_before_the_recording_is_there_is_heard_once_it_is(page: Page, server: Served) -> None:
    job = done(server, LONG)
    # Held until the handler is gone.
    page.route("**/audio*", lambda _: None)
    open_job(page, server, job)
    page.locator('[data-word="3"]').first.click()
    expect(page.locator(".words .now")).to_have_count(1)
    assert page.locator(".player > audio").count() == 0
    page.unroute("**/audio*")

    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    assert page.locator(".player > audio").evaluate(TIME) >= job["segments"][0]["words"][3]["start"] - 0.1


def test_the_recording_is_asked_for_again_when_the_server_could_not_be_reached(page: Page, server: Served) -> None:
    refused: list[str] = []

    def refuse_once(route: Route) -> None:
        if refused:
            route.continue_()
        else:
            refused.append(route.request.method)
            route.abort()

    page.route("**/audio*", refuse_once)
    open_job(page, server, done(server))

    expect(page.get_by_role("button", name="Play", exact=True)).to_be_enabled()
    assert refused == ["HEAD"]


def test_keys_move_through_the_recording(page: Page, server: Served) -> None:
    job = done(server, LONG)
    open_job(page, server, job)
    audio = page.locator(".player > audio")
    until(lambda: audio.evaluate("audio => audio.readyState > 0"))

    page.keyboard.press("l")
    until(lambda: audio.evaluate(TIME) > 4.9)
    page.keyboard.press("j")
    until(lambda: audio.evaluate(TIME) < 0.1)
    page.keyboard.press("n")
    page.keyboard.press("n")
    until(lambda: audio.evaluate(TIME) >= job["segments"][1]["start"] - 0.05)
    page.get_by_label("Position").focus()
    page.keyboard.press("ArrowUp")
    until(lambda: audio.evaluate(TIME) > 30)
    page.keyboard.press("Escape")
    page.locator("body").click(position={"x": 5, "y": 400})
    page.keyboard.press("e")
    expect(page.get_by_label("Text of the segment")).to_be_focused()


def test_a_correction_is_in_the_download_and_can_be_taken_back(page: Page, server: Served) -> None:
    job = done(server)
    open_job(page, server, job)
    first = page.locator("[data-position='0']")
    first.hover()
    first.get_by_role("button", name="Edit the text").click()
    page.get_by_label("Text of the segment").fill("The actor will arrive.")
    page.keyboard.press("Enter")
    expect(first).to_contain_text("The actor will arrive.")

    page.get_by_role("button", name="Download").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("radio", name="SRT").check()
    dialog.get_by_role("radio", name="BBC").check()
    expect(dialog.get_by_text(re.compile(r"within the limits|exceed a limit"))).to_be_visible()
    with page.expect_download() as download:
        dialog.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "en-exact-0.srt"
    assert "The actor will arrive." in download.value.path().read_text()

    page.reload()
    first.hover()
    first.get_by_role("button", name="Edit the text").click()
    page.get_by_role("button", name="Restore the original").click()
    expect(first.locator(".words")).to_have_text(job["segments"][0]["text"])
    until(lambda: server.job(job["id"])["segments"] == job["segments"])


def test_every_format_can_be_taken_away(page: Page, server: Served) -> None:
    open_job(page, server, done(server))
    for format, ending in {"TXT": "txt", "VTT": "vtt", "JSON+": "json", "TSV": "tsv", "LRC": "lrc"}.items():
        page.get_by_role("button", name="Download").click()
        page.get_by_role("dialog").get_by_role("radio", name=re.compile(f"^{re.escape(format)} ")).check()
        with page.expect_download() as download:
            page.get_by_role("dialog").get_by_role("button", name="Download").click()
        assert download.value.suggested_filename == f"en-exact-0.{ending}"
        assert "week" in download.value.path().read_text()


def test_a_doubtful_word_is_marked(page: Page, server: Served) -> None:
    job = done(server, "en-clean-short-00.flac")
    doubtful = [word for segment in job["segments"] for word in segment["words"] if word["probability"] < 0.5]
    open_job(page, server, job)

    expect(page.locator(".words .doubtful")).to_have_count(len(doubtful))


def test_a_video_is_shown_with_its_subtitles(page: Page, server: Served, tmp_path: Path) -> None:
    clip = write(tmp_path / "clip.webm", samples(DATA / CLIP), VIDEO)
    answer = server.http.post(
        "/jobs", files={"audio": ("clip.webm", clip.read_bytes())}, data={"queue": "true", "keep_audio": "true"}
    )
    job = server.ended(answer.json()["job_id"])
    open_job(page, server, job)

    until(lambda: page.evaluate("document.querySelector('video')?.textTracks[0]?.cues?.length > 0"))
    cue = page.evaluate("document.querySelector('video').textTracks[0].cues[0].text")
    assert cue.split()[0] in TEXT


def test_of_a_call_the_channels_are_speakers_with_names(page: Page, server: Served, tmp_path: Path) -> None:
    audio = samples(DATA / CLIP).astype(np.int16)
    silence = np.zeros(len(audio), np.int16)
    call = write_wav(tmp_path / "call.wav", [np.concatenate([audio, silence]), np.concatenate([silence, audio])])
    page.get_by_text("More options").click()
    expect(page.get_by_label("Who speaks on them")).to_have_count(0)
    page.get_by_label("Tell speakers apart").check()
    page.get_by_role("combobox", name="Channels").select_option("mix")
    expect(page.get_by_label("Who speaks on them")).to_have_count(0)
    page.get_by_role("combobox", name="Channels").select_option("split")
    page.get_by_label("Who speaks on them").fill("agent, customer,")
    page.screenshot(path=tmp_path / "options.png", full_page=True)
    choose(page, call)

    submitted = until(lambda: next(iter(named(server, "call.wav")), None))
    assert submitted is not None
    job = server.ended(submitted["id"])
    assert [one["name"] for one in job["speakers"]] == ["agent", "customer"]
    open_job(page, server, job)
    expect(page.locator(".transcript")).to_contain_text("customer")


def named(server: Served, filename: str) -> list[dict[str, Any]]:
    return [job for job in server.http.get("/jobs").json()["jobs"] if job.get("filename") == filename]


def test_who_speaks_is_shown_while_a_job_runs(opened: Window, server: Served) -> None:
    """The events of the stream are those of the test, so that they come when the page is looked at."""
    job = done(server, speakers="true", num_speakers="2")
    page = opened.page
    first = {**job["segments"][0], "type": "segment", "speaker": None, "words": []}
    events = [
        {"type": "progress", "percent": 10, "chunk": 1, "chunks_total": 9},
        first,
        {"type": "speakers", "speakers": [{"id": "S1", "name": "Ada", "seconds": 3.5}], "segments": ["S1"]},
    ]
    body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    running = {**job, "status": "running", "progress": 10, "segments": [], "speakers": None}
    page.route(f"**/jobs/{job['id']}", lambda route: route.fulfill(json=running))
    page.route("**/stream*", lambda route: route.fulfill(body=body, content_type="text/event-stream"))
    page.goto(f"{server.url}/#/jobs/{job['id']}")

    expect(page.get_by_role("list", name="Speakers")).to_contain_text("Ada")
    expect(page.locator(".transcript .speaker")).to_have_text("Ada")


def test_speakers_are_named_and_merged(page: Page, server: Served) -> None:
    job = done(server, speakers="true", num_speakers="2")
    assert [one["name"] for one in job["speakers"]] == ["Speaker 1", "Speaker 2"]
    open_job(page, server, job)
    speakers = page.get_by_role("list", name="Speakers")

    def call(name: str, new: str) -> None:
        speakers.get_by_role("button", name=name).click()
        page.get_by_role("textbox", name="Name").fill(new)
        page.get_by_role("button", name="Save").click()

    call("Speaker 2", "Guest")
    expect(speakers.get_by_role("button", name="Guest")).to_be_visible()
    expect(page.locator(".transcript")).to_contain_text("Guest")
    call("Speaker 1", "guest")
    expect(speakers.get_by_role("button")).to_have_count(1)
    expect(page.locator(".transcript")).not_to_contain_text("Speaker 1")

    until(lambda: [one["name"] for one in server.job(job["id"])["speakers"]] == ["Guest"])
    stored = server.job(job["id"])
    assert {segment["speaker"] for segment in stored["segments"]} == {"S2"}


# The model, and the last hour


def test_the_model_is_loaded_and_unloaded(page: Page, server: Served) -> None:
    server.load()
    button = page.get_by_role("button", name=re.compile("^Model nano"))
    expect(button).to_contain_text("Ready")
    button.click()
    page.get_by_role("button", name="Unload").click()
    expect(button).to_contain_text("Not loaded")
    page.get_by_role("button", name="Load", exact=True).click()
    expect(button).to_contain_text("Ready")


def test_the_last_hour_is_drawn(page: Page, server: Served) -> None:
    until(lambda: len(server.http.get("/history").json()["samples"]) >= 2)
    page.get_by_role("link", name="Monitor").click()

    for title in ("Queue", "Throughput", "Memory", "Model at work"):
        chart = page.get_by_role("region", name=title, exact=True)
        expect(chart.locator("polyline").first).to_have_attribute("points", re.compile(r"\d"))
    server.submit(CLIP, queue="true")


# Languages, and how it is reached


def test_it_speaks_italian(browser: Browser, server: Served) -> None:
    with window(browser, server.url, locale="it-IT") as opened:
        page = opened.page
        page.goto(server.url)
        expect(page.get_by_text("Trascina qui le registrazioni")).to_be_visible()
        assert page.evaluate("document.documentElement.lang") == "it"
        page.get_by_role("button", name="Preferenze").click()
        page.get_by_role("radio", name="English").check()
        page.reload()
        expect(page.get_by_text("Drop recordings here")).to_be_visible()


def test_programs_are_led_to_the_interface_as_before(server: Served) -> None:
    asked = server.http.get("/", headers={"Accept": "application/json"}, follow_redirects=False)
    assert (asked.status_code, asked.headers["Location"]) == (307, "docs")
    page = server.http.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.status_code == 200
    policy = page.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    nonces = {re.search(r"'nonce-([^']+)'", server.http.get("/").headers["Content-Security-Policy"]) for _ in range(2)}
    assert len({nonce[1] for nonce in nonces if nonce}) == 2


def test_its_files_are_cached_and_it_can_be_installed(server: Served) -> None:
    page = server.http.get("/").text
    for name in re.findall(r'(?:src|href)="([^"]+)"', page):
        answer = server.http.get(f"/{name}")
        assert answer.status_code == 200, name
        immutable = "immutable" in answer.headers["Cache-Control"]
        assert immutable is bool(re.search(r"-[\w-]{8}\.\w+$", name)), name
    manifest = server.http.get("/assets/page/manifest.webmanifest")
    assert manifest.headers["Content-Type"].startswith("application/manifest+json")
    icons = json.loads(manifest.text)["icons"]
    assert {icon["sizes"] for icon in icons} == {"192x192", "512x512", "any"}
    for icon in icons:
        assert server.http.get(f"/assets/page/{icon['src']}").status_code == 200
