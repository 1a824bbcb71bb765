from __future__ import annotations

import base64
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from types import MappingProxyType

import pytest
from pydantic import ValidationError

from scrivano.domain.errors import StartError
from scrivano.server.settings import Settings, allowed, variable


def message_for(
    environ: Mapping[str, str] = MappingProxyType({}),
    *,
    flags: Mapping[str, object] | None = None,
    file: Path | None = None,
) -> str:
    with pytest.raises(StartError) as caught:
        Settings.load(flags, file, environ)
    message = str(caught.value)
    assert "\n" not in message
    return message


def settings_file(folder: Path, text: str) -> Path:
    path = folder / "scrivano.toml"
    path.write_text(text)
    return path


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = Settings.load({}, None, {})

    assert (settings.host, settings.port, settings.cuda_device) == ("127.0.0.1", 8080, (0,))
    assert (settings.idle_timeout_secs, settings.gpu_poll_interval_secs) == (300, 30)
    assert settings.whisper_model is None
    assert settings.data_dir.name == "scrivano"


def test_flags_take_precedence_over_the_environment_and_the_environment_over_the_file(tmp_path: Path) -> None:
    file = settings_file(tmp_path, "port = 1\nbeam_size = 1\ncuda_device = 1\n")

    settings = Settings.load({"port": 3}, file, {"PORT": "2", "BEAM_SIZE": "2"})

    assert (settings.port, settings.beam_size, settings.cuda_device) == (3, 2, (1,))


def test_empty_values_count_as_unset() -> None:
    settings = Settings.load({"port": None}, None, {"PORT": "", "WHISPER_MODEL": "", "DATA_DIR": ""})

    assert settings == Settings.load({}, None, {})


def test_values_may_be_written_in_capitals_and_with_a_tilde() -> None:
    environ = {"DEVICE": "CPU", "LOG_LEVEL": "WARNING", "WORD_TIMESTAMPS": "no", "DATA_DIR": "~/x"}

    settings = Settings.load({}, None, environ)

    assert (settings.device, settings.log_level, settings.word_timestamps) == ("cpu", "warning", False)
    assert settings.data_dir == Path.home() / "x"


def test_networks_are_a_comma_separated_list() -> None:
    settings = Settings.load({}, None, {"ALLOW_NETWORKS": "10.0.0.0/8, ::1/128"})

    assert settings.allow_networks == (IPv4Network("10.0.0.0/8"), IPv6Network("::1/128"))
    assert Settings.load({}, None, {"ALLOW_NETWORKS": "none"}).allow_networks == ()
    assert Settings.load({}, None, {}).allow_networks is None


@pytest.mark.parametrize("origin", ["https://*.example.org", "https://app.example.org:*", "http://*", "*.example.org"])
def test_an_origin_that_matches_no_page_is_refused(origin: str) -> None:
    assert message_for({"CORS_ORIGINS": origin}).endswith(
        "it must be origins like https://app.example.org, separated by commas, loopback, or *"
    )


def test_development_adds_the_pages_of_this_machine() -> None:
    given = Settings.load({}, None, {"CORS_ORIGINS": "https://app.example.org"})

    assert given.for_development().cors_origins == ("https://app.example.org", "loopback")
    assert Settings.load({}, None, {}).for_development() == Settings.load({}, None, {"CORS_ORIGINS": "loopback"})


def test_origins_are_as_browsers_send_them() -> None:
    given = "https://App.example.org:443/, http://localhost:3000, http://[::1]:80, https://bücher.example, *"

    settings = Settings.load({}, None, {"CORS_ORIGINS": given})

    assert settings.cors_origins == (
        "https://app.example.org",
        "http://localhost:3000",
        "http://[::1]",
        "https://xn--bcher-kva.example",
        "*",
    )


def test_pages_that_may_show_the_server_in_a_frame_are_origins_or_self() -> None:
    given = Settings.load({}, None, {"PAGE_FRAME_ANCESTORS": "self, https://App.example.org:443/"})

    assert given.page_frame_ancestors == ("self", "https://app.example.org")
    assert Settings.load({}, None, {"PAGE_FRAME_ANCESTORS": "'self'"}).page_frame_ancestors == ("self",)
    for wrong in ("loopback", "none'; script-src *", "app.example.org"):
        assert "it must be self, or origins" in message_for({"PAGE_FRAME_ANCESTORS": wrong})


def test_webhook_secrets_never_appear_in_messages() -> None:
    first, second = base64.b64encode(b"1" * 24).decode(), base64.b64encode(b"2" * 32).decode()

    settings = Settings.load({}, None, {"WEBHOOK_SECRET": f"whsec_{first}, {second}"})

    assert [one.get_secret_value() for one in settings.webhook_secret or ()] == [b"1" * 24, b"2" * 32]
    assert first not in repr(settings)
    assert "111" not in repr(settings)
    for bad in ("hunter2", base64.b64encode(b"3" * 23).decode(), f"{first},"):
        message = message_for({"WEBHOOK_SECRET": bad})
        assert message.startswith("WEBHOOK_SECRET is invalid: it must be base64")
        assert bad not in message


def test_the_variable_host_is_ignored() -> None:
    environ = {"HOST": "x86_64-conda-linux-gnu", "SCRIVANO_HOST": "0.0.0.0"}

    assert Settings.load({}, None, environ).host == "0.0.0.0"
    assert Settings.load({}, None, {"HOST": "elsewhere"}).host == "127.0.0.1"


@pytest.mark.parametrize(
    ("name", "value", "must_be"),
    [
        ("PORT", "eighty", "a whole number from 0 to 65535"),
        ("PORT", "65536", "a whole number from 0 to 65535"),
        ("BEAM_SIZE", "0", "a whole number from 1 to 10"),
        ("DEVICE", "tpu", "one of auto, cpu, cuda"),
        ("ADMISSION", "maybe", "one of strict, queue"),
        ("WORD_TIMESTAMPS", "perhaps", "true or false"),
        ("IDLE_TIMEOUT_SECS", "nan", "a number from 0"),
        ("MAX_AUDIO_SECS", "0", "a number above 0 to 31536000"),
        ("MAX_AUDIO_SECS", "1e300", "a number above 0 to 31536000"),
        ("CPU_THREADS", "100000", "a whole number from 0 to 1024"),
        ("UPLOAD_EXPIRY_HOURS", "1e300", "a number above 0 to 876000"),
        ("MAX_UPLOAD_BYTES", "1.5", "a whole number from 1"),
        ("RETENTION_HOURS", "0", "a number above 0 to 876000"),
        ("RETENTION_HOURS", "1e300", "a number above 0 to 876000"),
        ("ALLOW_NETWORKS", "10.0.0.1/8", "networks like 10.0.0.0/8 and fd00::/8, separated by commas, or none"),
        ("FORWARDED_ALLOW_IPS", "traefik", "addresses and networks like 10.0.0.0/8, separated by commas, or *"),
        ("FORWARDED_ALLOW_IPS", "10.0.0.1/8", "addresses and networks like 10.0.0.0/8, separated by commas, or *"),
        ("FORWARDED_ALLOW_IPS", "*,::1", "addresses and networks like 10.0.0.0/8, separated by commas, or *"),
        ("ALLOW_NETWORKS", "10.0.0.0/8,", "networks like 10.0.0.0/8 and fd00::/8, separated by commas, or none"),
    ],
)
def test_a_bad_value_is_reported_with_the_allowed_values(name: str, value: str, must_be: str) -> None:
    assert message_for({name: value}) == f"{name} is {value!r}: it must be {must_be}"


def test_a_bad_value_is_reported_with_the_name_of_the_flag_or_key(tmp_path: Path) -> None:
    file = settings_file(tmp_path, "port = [1]\n")

    assert message_for(flags={"beam_size": 11}).startswith("--beam-size is 11:")
    assert message_for(file=file).startswith(f"port in {file} is [1]:")


def test_several_bad_values_are_reported_in_one_line() -> None:
    message = message_for({"PORT": "x", "DEVICE": "y"})

    assert "PORT" in message
    assert "DEVICE" in message


def test_a_value_with_a_line_break_stays_in_one_line() -> None:
    assert r"'cpu\n\n'" in message_for({"DEVICE": "cpu\n\n"})


def test_an_unknown_key_of_the_file_is_an_error_but_not_an_unknown_variable(tmp_path: Path) -> None:
    file = settings_file(tmp_path, "prot = 80\n")

    assert "prot in" in message_for(file=file)
    assert Settings.load({}, None, {"PROT": "80"}) == Settings.load({}, None, {})


@pytest.mark.parametrize("content", [b"port =", b"\xff\xfe"])
def test_a_file_that_is_not_toml_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)

    assert "is not a TOML file" in message_for(file=path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    assert "cannot read the settings file" in message_for(file=tmp_path / "none.toml")


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings.load({}, None, {}).port = 1


def test_every_setting_has_its_own_variable_and_a_description() -> None:
    assert len({variable(name) for name in Settings.model_fields}) == len(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert allowed(field), name


def test_a_database_url_is_of_postgres_and_never_shown() -> None:
    settings = Settings.load(environ={"DATABASE_URL": "postgres://user:hidden@host/name"})
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://user:hidden@host/name"
    assert "hidden" not in repr(settings)

    with pytest.raises(StartError, match="must be a URL like postgresql://") as refused:
        Settings.load(environ={"DATABASE_URL": "mysql://user:hidden@host/name"})
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "listens"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("localhost:0", ("localhost", 0)),
        ("[::]:9464", ("::", 9464)),
        ("[::1]:65535", ("::1", 65535)),
    ],
)
def test_a_dispatcher_listens_at_an_address_and_a_port(text: str, listens: tuple[str, int]) -> None:
    assert Settings.load(environ={"DISPATCHER_LISTEN": text}).dispatcher_listen == listens


@pytest.mark.parametrize("text", ["9464", ":9464", "127.0.0.1", "::1:9464", "127.0.0.1:65536", "a,b:1", "http://a:1"])
def test_an_address_without_a_port_is_refused_with_an_example(text: str) -> None:
    assert "127.0.0.1:9464" in message_for({"DISPATCHER_LISTEN": text})
