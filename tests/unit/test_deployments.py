"""The files by which Scrivano is deployed name settings, ports and routes that exist."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from scrivano.api.app import create_app
from scrivano.server.settings import Settings, variable

ROOT = Path(__file__).parents[2]
SETTINGS = {variable(name) for name in Settings.model_fields}
# Variables of other programs: Python, the hub's cache, CUDA and its container toolkit, the loader.
OTHERS = {
    "CUDA_CACHE_PATH", "DEBIAN_FRONTEND", "HF_HOME", "HOME", "LD_LIBRARY_PATH", "NVIDIA_DRIVER_CAPABILITIES",
    "NVIDIA_VISIBLE_DEVICES", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED",
}  # fmt: skip
DOCKERFILE = (ROOT / "Dockerfile").read_text()
UNIT = (ROOT / "deploy" / "systemd" / "scrivano.service").read_text()


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def compose(name: str) -> dict[str, Any]:
    text = (ROOT / name).read_text().replace("!reset []", "[]")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_the_image_sets_only_variables_that_exist() -> None:
    blocks = re.findall(r"^ENV ((?:.*\\\n)*.*)", DOCKERFILE, re.MULTILINE)
    names = {name for block in blocks for name in re.findall(r"(\w+)=", block)}

    assert {"DATA_DIR", "SCRIVANO_HOST", "HF_HOME"} <= names
    assert names <= SETTINGS | OTHERS


def test_what_the_image_copies_is_in_its_context() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
            assert source in allowed, source


def test_every_base_image_can_be_pinned() -> None:
    images = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    stages = set(re.findall(r"^FROM .+ AS (\S+)", DOCKERFILE, re.MULTILINE))
    arguments = set(re.findall(r"^ARG (\w+_IMAGE)=\S+:\S+$", DOCKERFILE, re.MULTILINE))

    assert {image for image in images if image not in stages} == {f"${{{name}}}" for name in arguments}


@pytest.mark.parametrize("name", ["compose.yaml", "deploy/compose/cuda.yaml", "deploy/compose/caddy.yaml"])
def test_compose_names_settings_and_volumes_that_exist(name: str) -> None:
    services = compose(name)["services"]
    volumes = {**compose("compose.yaml")["volumes"], **compose(name).get("volumes", {})}

    assert set(services["scrivano"].get("environment", {})) <= SETTINGS
    for service in services.values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in volumes or (ROOT / source).exists(), volume


def test_the_probes_of_the_chart_are_routes_and_its_settings_exist() -> None:
    chart = ROOT / "deploy" / "helm" / "scrivano"
    template = (chart / "templates" / "statefulset.yaml").read_text()
    routes = set(create_app(None).openapi()["paths"])  # type: ignore[arg-type]  # no request is made
    values = yaml.safe_load((chart / "values.yaml").read_text())

    assert set(re.findall(r"path: (/\w+), port", template)) <= routes
    assert set(values["settings"]) <= SETTINGS
    assert set(re.findall(r"- name: ([A-Z_]+)", template)) <= SETTINGS


def test_helm_renders_the_chart_with_every_option() -> None:
    helm = pytest.importorskip("helm_python", reason="pip install helm-python-sdk")
    every = {
        "gpu": {"enabled": True},
        "apiKeys": {"existingSecret": "keys"},
        "settingsSecret": "more",
        "service": {"wyoming": {"enabled": True}},
        "ingress": {"enabled": True, "className": "nginx", "tlsSecret": "tls", "annotations": {"a": "b"}},
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "persistence": {"models": {"enabled": False}, "data": {"existingClaim": "mine"}},
    }
    chart = ROOT / "deploy" / "helm" / "scrivano"
    for values, kinds in (({}, "PPSS"), (every, "ISSS")):
        assert helm.lint(str(chart), values, strict=True)["errors"] == []
        rendered = helm.Chart.load(str(chart)).render(values)
        documents = [
            one for name, text in rendered.items() if name.endswith(".yaml") for one in yaml.safe_load_all(text)
        ]
        assert "".join(sorted(one["kind"][0] for one in documents if one)) == kinds


def test_the_unit_sets_only_variables_that_exist() -> None:
    names = set(re.findall(r"(?:^Environment=| )([A-Z_]+)=", "\n".join(re.findall(r"^Environment=.*", UNIT, re.M))))

    assert {"DATA_DIR", "HF_HOME"} <= names <= SETTINGS | OTHERS


def test_the_options_of_the_add_on_become_valid_settings(tmp_path: Path) -> None:
    folder = ROOT / "deploy" / "homeassistant" / "scrivano"
    options = yaml.safe_load((folder / "config.yaml").read_text())["options"]

    environ = module(folder / "run.py").settings({**options, "watch_folder": str(tmp_path)})

    assert set(environ) <= SETTINGS | OTHERS
    settings = Settings.load(environ=environ)
    assert (settings.whisper_model, settings.wyoming_port, settings.watch_folder) == ("base", 10300, tmp_path)


def test_all_copies_of_the_version_are_the_package_s() -> None:
    release = module(ROOT / "tools" / "release" / "version.py")

    assert release.problems(None) == []
    assert release.problems("v9.9.9") == ["the tag is v9.9.9, and the package is " + release.version()] + [
        problem for problem in release.problems("v9.9.9") if "CHANGELOG" in problem
    ]


def test_the_bill_of_materials_lists_the_packages() -> None:
    command = [sys.executable, str(ROOT / "tools" / "release" / "sbom.py")]
    document = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    purls = {one["purl"].partition("@")[0] for one in document["components"]}
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert {"pkg:pypi/ctranslate2", "pkg:pypi/scrivano"} <= purls


@pytest.mark.parametrize(
    "script", ["deploy/docker/entrypoint.sh", "deploy/docker/check.sh", "tools/release/pin_images.sh"]
)
def test_scripts_are_valid(script: str) -> None:
    text = (ROOT / script).read_text()
    shell = "bash" if text.startswith("#!/usr/bin/env bash") else "sh"

    assert subprocess.run([shell, "-n", str(ROOT / script)]).returncode == 0


def test_the_workflows_run_what_developers_run() -> None:
    workflows = {path: yaml.safe_load(path.read_text()) for path in ROOT.glob(".*/workflows/*.yml")}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = [
        step["run"]
        for workflow in workflows.values()
        for job in workflow["jobs"].values()
        for step in job["steps"]
        if "run" in step
    ]

    assert sum("bash .ci/run" in command for command in commands) == 2
    for command in commands:
        for line in re.findall(r"^make (.+)$", command, re.MULTILINE):
            assert set(line.split()) <= targets, line
        for path in re.findall(r"(?:bash|python) ((?:\.ci|deploy|tools)/\S+)", command):
            assert (ROOT / path).exists(), path
