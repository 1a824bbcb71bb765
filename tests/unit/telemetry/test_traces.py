from __future__ import annotations

import subprocess
import sys

import pytest

from scrivano.domain.errors import StartError
from scrivano.telemetry.traces import tracing

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    "environ",
    [{}, {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, {**ENDPOINT, "OTEL_SDK_DISABLED": "true"}],
)
def test_nobody_asked_for_traces(environ: dict[str, str]) -> None:
    assert tracing(environ) is None


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER"),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
    ],
)
def test_what_cannot_be_had_is_said_at_the_start(environ: dict[str, str], name: str) -> None:
    with pytest.raises(StartError, match=name):
        tracing(environ)


def test_without_the_extra_the_start_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from scrivano.domain.errors import StartError\n"
        "from scrivano.telemetry.traces import tracing\n"
        f"try: tracing({ENDPOINT})\n"
        "except StartError as error: print(error)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "scrivano[telemetry]" in ran.stdout
