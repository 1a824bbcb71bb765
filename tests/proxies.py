"""Proxies in front of a server, which is below `/speech/to/text` and `/named`; only of the latter it is told."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from free_ports import free_port
from served import until

SEARCHED = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
PROXIES = ["nginx", "caddy", "haproxy"]

NGINX = """
daemon off; pid {folder}/pid; error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    client_max_body_size 0;
    proxy_request_buffering off;
    server {{
        listen 127.0.0.1:{port};
        proxy_read_timeout {timeout_s}s; proxy_send_timeout {timeout_s}s;
        location /speech/to/text/ {{ proxy_pass {url}/; }}
        location /named/ {{ proxy_pass {url}/; proxy_set_header X-Forwarded-Prefix /named; }}
    }}
}}
"""

CADDY = """
{{
    admin off
    auto_https off
    storage file_system {folder}
}}
http://127.0.0.1:{port} {{
    handle_path /speech/to/text/* {{
        reverse_proxy {host}
    }}
    handle_path /named/* {{
        reverse_proxy {host} {{
            header_up X-Forwarded-Prefix /named
            transport http {{
                response_header_timeout {timeout_s}s
                read_timeout {timeout_s}s
            }}
        }}
    }}
}}
"""

HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client {timeout_s}s
    timeout server {timeout_s}s
frontend outside
    bind 127.0.0.1:{port}
    http-request set-header X-Forwarded-Prefix /named if {{ path_beg /named/ }}
    http-request replace-path ^/(speech/to/text|named)/(.*) /\\2
    default_backend scrivano
backend scrivano
    server one {host}
"""

CONFIGS = {"nginx": NGINX, "caddy": CADDY, "haproxy": HAPROXY}
COMMANDS = {
    "nginx": ["-p", "{folder}", "-e", "stderr", "-c"],
    "caddy": ["run", "--adapter", "caddyfile", "--config"],
    "haproxy": ["-db", "-f"],
}


def _connects(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def proxied(kind: str, url: str, folder: Path, timeout_s: int = 60) -> Iterator[str]:
    """A proxy in front of the server at `url`, that ends what is silent for so many seconds; yields its address."""
    program = shutil.which(kind, path=SEARCHED)
    if program is None:
        pytest.skip(f"no {kind} here")
    port = free_port()
    values = {"folder": folder, "port": port, "url": url, "host": urlsplit(url).netloc, "timeout_s": timeout_s}
    config = folder / "conf"
    config.write_text(CONFIGS[kind].format(**values))
    command = [program, *(part.format(**values) for part in COMMANDS[kind]), str(config)]
    process = subprocess.Popen(command, env=os.environ | {"HOME": str(folder)})
    try:
        until(lambda: _connects(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)
