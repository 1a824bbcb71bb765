"""Fetching recordings from real servers on this machine, plain and with TLS."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scrivano.domain.errors import AddressRefused, FetchFailed, TooLarge
from scrivano.files.blob_writer import Blob
from scrivano.files.folder_blobs import FolderBlobs
from scrivano.net.address_policy import AddressPolicy
from scrivano.net.guarded_transport import GuardedTransport, unpooled
from scrivano.submission.disk_sink import FLUSH_BYTES, upload_limit
from scrivano.submission.fetch import Downloads, filename_of
from scrivano.submission.recording import Recording

RECORDING = os.urandom(3 * FLUSH_BYTES + 17)


class Handler(BaseHTTPRequestHandler):
    """Its paths are its faults."""

    def do_GET(self) -> None:
        fault: Callable[[], None] = getattr(self, self.path.strip("/").partition("/")[0])
        fault()

    def whole(self) -> None:
        self._answer(200, RECORDING)

    def elsewhere(self) -> None:
        self._answer(302, b"", Location="/whole")

    def missing(self) -> None:
        self._answer(404, b"not here")

    def part(self) -> None:
        self._answer(206, b"half")

    def packed(self) -> None:
        self._answer(200, b"x", **{"Content-Encoding": "gzip"})

    def empty(self) -> None:
        self._answer(200, b"")

    def cut(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"only this")

    def endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(bytes(65536))
        except OSError:  # the client has had enough
            pass

    def stalled(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"RIFF")
        stop: threading.Event = self.server.stop  # type: ignore[attr-defined]
        stop.wait(20)

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.stop = threading.Event()  # type: ignore[attr-defined]
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        # A client that hangs up over our certificate is what the test wants to see.
        server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.stop.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving() as port:
        yield port


class Names:
    """A resolver that gives its answers one after another, the last one for ever."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    async def __call__(self, host: str) -> Sequence[str]:
        return [self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]]


def fetch(
    folder: Path,
    url: str,
    *,
    names: Names | None = None,
    one: AddressPolicy | None = None,
    verify: ssl.SSLContext | bool = True,
    timeout_s: float = 20,
    max_bytes: int | None = None,
) -> tuple[Blob, str | None]:
    async def call() -> tuple[Blob, str | None]:
        guard = GuardedTransport(
            one or AddressPolicy(), resolve=names or Names("127.0.0.1"), inner=unpooled(verify=verify)
        )
        downloads = Downloads(guard, timeout_s)
        try:
            async with Recording(FolderBlobs(folder), "job", upload_limit(max_bytes)) as recording:
                async with downloads.open(url) as download:
                    recording.expect(download.size_bytes or 0)
                    await recording.sink.receive(download.chunks)
                await recording.settle()
                return recording.commit(), download.filename
        finally:
            await downloads.close()

    return asyncio.run(call())


def kept(folder: Path) -> list[Path]:
    return list((folder / "uploads").iterdir())


def test_a_recording_is_streamed_to_its_place(tmp_path: Path, port: int) -> None:
    blob, filename = fetch(tmp_path, f"http://files.test:{port}/whole/my%20talk%C3%A8.mp3?key=secret")

    assert blob == Blob(hashlib.sha256(RECORDING).hexdigest(), len(RECORDING))
    assert filename == "my talkè.mp3"
    assert (tmp_path / "uploads" / "job").read_bytes() == RECORDING


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("elsewhere", "answered 302, a redirect"),
        ("missing", "answered 404"),
        ("part", "answered 206"),
        ("packed", "Content-Encoding"),
        ("cut", "cannot be fetched"),
        ("stalled", "was not complete after"),
    ],
)
def test_what_is_no_whole_recording_is_refused_and_leaves_nothing(
    tmp_path: Path, port: int, path: str, says: str
) -> None:
    with pytest.raises(FetchFailed, match=says):
        fetch(tmp_path, f"http://files.test:{port}/{path}", timeout_s=1 if path == "stalled" else 20)

    assert not kept(tmp_path)


@pytest.mark.parametrize("path", ["whole", "endless"])
def test_a_recording_over_the_limit_is_not_fetched_to_its_end(tmp_path: Path, port: int, path: str) -> None:
    with pytest.raises(TooLarge, match="MAX_UPLOAD_BYTES"):
        fetch(tmp_path, f"http://files.test:{port}/{path}", max_bytes=2 * FLUSH_BYTES)

    assert not kept(tmp_path)


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with serving() as gone:
        pass

    with pytest.raises(FetchFailed, match="cannot be fetched"):
        fetch(tmp_path, f"http://files.test:{gone}/whole")


def test_a_name_that_leads_here_only_the_second_time_is_never_connected_to(tmp_path: Path, port: int) -> None:
    own = AddressPolicy.of(None, private_by_default=False)

    for answer in ("127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0"):
        with pytest.raises(AddressRefused):
            fetch(tmp_path, f"http://rebinding.test:{port}/whole", names=Names(answer, "127.0.0.1"), one=own)

    # The other way round, what was checked is what is connected to, whatever the name says later.
    names = Names("127.0.0.1", "169.254.169.254")
    blob, _ = fetch(tmp_path, f"http://rebinding.test:{port}/whole", names=names)
    assert blob.size_bytes == len(RECORDING)
    assert names.answers == ["169.254.169.254"]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://a.test/talk.mp3?x=y.wav#z", "talk.mp3"),
        ("http://a.test/..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("http://a.test/a/", None),
        ("http://a.test", None),
        ("http://a.test/%FF%00.wav", "\ufffd\0.wav"),
    ],
)
def test_the_file_is_named_after_the_urls_last_part(url: str, name: str | None) -> None:
    assert filename_of(url) == name


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For the name files.test alone, in one file with its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=files.test", "-addext", "subjectAltName=DNS:files.test", "-days", "2"]
    subprocess.run([*command, "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


@pytest.fixture(scope="module")
def tls_port(certificate: Path) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(context) as port:
        yield port


def test_tls_checks_the_name_and_not_the_address(tmp_path: Path, certificate: Path, tls_port: int) -> None:
    verify = ssl.create_default_context(cafile=f"{certificate}.crt")

    blob, _ = fetch(tmp_path, f"https://files.test:{tls_port}/whole", verify=verify)

    assert blob.size_bytes == len(RECORDING)
    for host in ("other.test", "127.0.0.1"):
        with pytest.raises(FetchFailed, match="certificate"):
            fetch(tmp_path, f"https://{host}:{tls_port}/whole", verify=verify)


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path, tls_port: int) -> None:
    with pytest.raises(FetchFailed, match="certificate"):
        fetch(tmp_path, f"https://files.test:{tls_port}/whole")
