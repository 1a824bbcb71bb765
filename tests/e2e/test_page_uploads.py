"""Uploads that the page began and did not end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Window, chromium, window
from playwright.sync_api import Browser, Page, Request, Route, expect
from served import DATA, Served, served, until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1500)]

CLIP = "en-exact-0.flac"
ARRIVED = 20_000
# As in a window that keeps nothing.
KEEPS_NO_FILES = "Object.defineProperty(window, 'indexedDB', { value: undefined })"


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
        opened.page.on("dialog", lambda dialog: dialog.accept())
        yield opened


def choose(page: Page, path: Path, place: str = "files") -> None:
    page.get_by_test_id(place).set_input_files(str(path))


class Interruption:
    """Lets a part of the first file arrive, then nothing more until `end`. `started`: how many uploads were begun;
    `continued_at`: the offsets of what was sent after the end."""

    def __init__(self, page: Page, server: Served) -> None:
        self.started = 0
        self.continued_at: list[int] = []
        self.arrived = False
        self._page, self._server = page, server
        page.context.route("**/uploads/*", self._part)
        page.context.on("request", self._count)

    def end(self) -> None:
        self._page.context.unroute("**/uploads/*", self._part)

    def _part(self, route: Route) -> None:
        request = route.request
        if request.method == "PATCH" and not self.arrived:
            headers = {name: request.headers[name] for name in ("tus-resumable", "upload-offset", "content-type")}
            part = (DATA / CLIP).read_bytes()[:ARRIVED]
            path = request.url.removeprefix(self._server.url)
            self._server.http.patch(path, content=part, headers=headers).raise_for_status()
            self.arrived = True
        if request.method == "PATCH":
            route.abort()
        else:
            route.continue_()

    def _count(self, request: Request) -> None:
        self.started += request.method == "POST" and request.url.endswith("/uploads")
        if request.method == "PATCH" and self.arrived:
            self.continued_at.append(int(request.headers["upload-offset"]))


def interrupted(page: Page, server: Served, path: Path) -> Interruption:
    interruption = Interruption(page, server)
    page.goto(server.url)
    choose(page, path)
    until(lambda: page.evaluate("document.readyState") and interruption.arrived)
    return interruption


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Of another name in each test."""
    path = tmp_path / f"{tmp_path.name}.flac"
    path.write_bytes((DATA / CLIP).read_bytes())
    return path


def test_an_upload_goes_on_by_itself_after_a_reload(opened: Window, server: Served, clip: Path) -> None:
    page = opened.page
    interruption = interrupted(page, server, clip)
    until(lambda: page.evaluate(KEPT) == [clip.name])
    page.reload()
    interruption.end()

    expect(page.get_by_role("link", name=clip.name)).to_be_visible()
    assert interruption.started == 1
    assert interruption.continued_at[-1] == ARRIVED
    expect(page.get_by_role("region", name="Uploads")).to_have_count(0)
    until(lambda: page.evaluate(KEPT) == [])
    assert page.evaluate("Object.keys(localStorage).filter((name) => name.startsWith('scrivano.upload.'))") == []


# The names of the files that the browser keeps.
KEPT = """() => new Promise((resolve) => {
    const opening = indexedDB.open("scrivano");
    opening.onsuccess = () => {
        const database = opening.result;
        const files = database.transaction("files").objectStore("files").getAll();
        files.onsuccess = () => {
            database.close();
            resolve(files.result.map(({ name }) => name));
        };
    };
})"""


def test_where_the_browser_keeps_no_file_it_is_asked_for_again(
    opened: Window, server: Served, clip: Path, tmp_path: Path
) -> None:
    page = opened.page
    page.add_init_script(KEEPS_NO_FILES)
    interruption = interrupted(page, server, clip)
    page.reload()
    row = page.get_by_role("listitem").filter(has_text=clip.name)
    expect(row).to_contain_text("20 kB of")
    expect(row).to_contain_text("choose the file again")
    assert row.get_by_role("alert").count() == 0
    interruption.end()

    changed = tmp_path / "other" / clip.name
    changed.parent.mkdir()
    changed.write_bytes(clip.read_bytes() + b"more")
    choose(page, changed, "again")
    expect(page.get_by_text("This is another file, or it was changed")).to_be_visible()
    choose(page, clip, "again")

    expect(page.get_by_role("link", name=clip.name)).to_be_visible()
    assert interruption.started == 1
    assert interruption.continued_at[-1] == ARRIVED


def test_a_file_that_is_chosen_as_at_first_continues_its_upload(opened: Window, server: Served, clip: Path) -> None:
    page = opened.page
    page.add_init_script(KEEPS_NO_FILES)
    interruption = interrupted(page, server, clip)
    page.reload()
    expect(page.get_by_role("listitem").filter(has_text=clip.name)).to_contain_text("choose the file again")
    interruption.end()
    choose(page, clip)

    expect(page.get_by_role("link", name=clip.name)).to_have_count(1)
    assert interruption.started == 1


def test_an_interrupted_upload_is_given_up_or_begun_again(opened: Window, server: Served, clip: Path) -> None:
    page = opened.page
    page.add_init_script(KEEPS_NO_FILES)
    interruption = interrupted(page, server, clip)
    url = page.evaluate("Object.keys(localStorage).find((name) => name.startsWith('scrivano.upload.'))")
    path = url.removeprefix(f"scrivano.upload.{server.url}")
    page.reload()
    page.get_by_role("button", name=f"Stop the upload of {clip.name}").click()

    expect(page.get_by_role("region", name="Uploads")).to_have_count(0)
    until(lambda: server.http.get(path).status_code == 404)
    page.reload()
    expect(page.get_by_role("searchbox").or_(page.get_by_role("heading", name="No transcripts yet"))).to_be_visible()
    expect(page.get_by_text(clip.name)).to_have_count(0)
    interruption.end()


def test_an_upload_that_expired_while_the_page_was_away_begins_again(
    opened: Window, server: Served, clip: Path
) -> None:
    page = opened.page
    page.add_init_script(KEEPS_NO_FILES)
    interruption = interrupted(page, server, clip)
    url = page.evaluate("Object.keys(localStorage).find((name) => name.startsWith('scrivano.upload.'))")
    page.goto("about:blank")
    path = url.removeprefix(f"scrivano.upload.{server.url}")
    server.http.delete(path, headers={"Tus-Resumable": "1.0.0"}).raise_for_status()
    interruption.end()
    page.goto(server.url)
    choose(page, clip, "again")

    expect(page.get_by_role("link", name=clip.name)).to_be_visible()
    assert interruption.started == 2
    assert set(opened.refused) == {"404 /uploads/ID"}


# What a tab is told when it asks which uploads other tabs send.
LISTEN = """new BroadcastChannel("scrivano.uploads").addEventListener("message", ({ data }) => {
    if (data.mine) window.told = data.mine;
});"""


def test_another_tab_leaves_an_upload_to_the_tab_that_sends_it(opened: Window, server: Served, clip: Path) -> None:
    page = opened.page
    interruption = interrupted(page, server, clip)
    other = page.context.new_page()
    sent: list[Request] = []
    other.on("request", lambda request: sent.append(request) if request.method == "PATCH" else None)
    other.add_init_script(LISTEN)
    other.goto(server.url)
    other.wait_for_function("window.told")
    interruption.end()

    expect(page.get_by_role("link", name=clip.name)).to_be_visible()
    expect(other.get_by_role("link", name=clip.name)).to_be_visible()
    assert interruption.started == 1
    assert sent == []
