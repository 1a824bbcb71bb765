"""The files by which Scrivano is deployed name settings, ports and routes that exist."""

from __future__ import annotations

import importlib.util
import json
import os
import plistlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from scrivano import __version__
from scrivano.api.app import create_app
from scrivano.cli.local_ray import RAY_SETTINGS
from scrivano.server.settings import Settings, variable

ROOT = Path(__file__).parents[2]
SETTINGS = {variable(name) for name in Settings.model_fields}
# Variables of other programs: Python, the hub's cache, CUDA and its container toolkit, the loader.
OTHERS = {
    "CUDA_CACHE_PATH", "DEBIAN_FRONTEND", "HF_HOME", "HOME", "LD_LIBRARY_PATH", "NVIDIA_DRIVER_CAPABILITIES",
    "NVIDIA_VISIBLE_DEVICES", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED",
}  # fmt: skip
# Variables of Ray, and of clients of S3, which a cluster has beside its settings.
OF_A_CLUSTER = {"AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_SECRET_ACCESS_KEY"} | {
    "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_USAGE_STATS_ENABLED", *RAY_SETTINGS,
}  # fmt: skip
CHART = ROOT / "deploy" / "helm" / "scrivano"
CLUSTER_FILES = ROOT / "deploy" / "compose" / "cluster"
CLUSTER: dict[str, Any] = {
    "settings": {"WHISPER_MODEL": "large-v3"},
    "cluster": {
        "enabled": True,
        "databaseSecret": "database",
        "storage": {"url": "s3://recordings/scrivano", "secret": "bucket", "environment": {"AWS_REGION": "here"}},
        "ray": {"tokenSecret": "token"},
    },
}
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
    text = re.sub(r"!(reset|override)\b", "", (ROOT / name).read_text())
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


def test_both_lists_of_packages_of_the_image_agree() -> None:
    plain, with_ray = (
        set(re.findall(r"^[\w.-]+==\S+", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE))
        for name in ("image", "image-ray")
    )
    [ray] = [one.partition("==")[2] for one in with_ray - plain if one.startswith("ray==")]

    assert plain < with_ray
    assert yaml.safe_load((CHART / "values.yaml").read_text())["cluster"]["ray"]["version"] == ray


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
    for file in services["scrivano"].get("env_file", []):
        assert file["required"] is False
    for service in services.values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in volumes or (ROOT / source).exists(), volume


def test_the_probes_of_the_chart_are_routes_and_its_settings_exist() -> None:
    template = (CHART / "templates" / "statefulset.yaml").read_text()
    routes = set(create_app(None).openapi()["paths"])  # type: ignore[arg-type]  # no request is made
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    assert set(re.findall(r"path: (/\w+), port", template)) <= routes
    assert set(values["settings"]) <= SETTINGS
    assert set(re.findall(r"- name: ([A-Z_]+)", template)) <= SETTINGS
    computed = set(re.findall(r'set \$settings "(\w+)"', (CHART / "templates" / "_helpers.tpl").read_text()))
    assert {"API_KEYS_FILE", "FORWARDED_ALLOW_IPS"} <= computed <= SETTINGS


IMAGE = {"image": {"repository": "registry.example/scrivano"}}


def rendered(values: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects that the chart makes. Skips the test without Helm."""
    helm = pytest.importorskip("helm_python", reason="pip install helm-python-sdk")
    given = {**IMAGE, **values}
    assert helm.lint(str(CHART), given, strict=True)["errors"] == []
    files = helm.Chart.load(str(CHART)).render(given)
    documents = [one for name, text in files.items() if name.endswith(".yaml") for one in yaml.safe_load_all(text)]
    return [one for one in documents if one]


def one_of(kind: str, values: dict[str, Any]) -> dict[str, Any]:
    return next(one for one in rendered(values) if one["kind"] == kind)


def pod(values: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = one_of("StatefulSet", values)["spec"]["template"]["spec"]
    return found


def kinds(documents: list[dict[str, Any]]) -> str:
    return "".join(sorted(one["kind"][0] for one in documents))


def test_helm_renders_the_chart_with_every_option() -> None:
    every = {
        "gpu": {"enabled": True},
        "apiKeys": {"existingSecret": "keys"},
        "settingsSecret": "more",
        "runtimeClassName": "nvidia",
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "tlsSecret": "tls",
            "annotations": {"a": "b"},
            "proxies": "*",
        },
        "serviceMonitor": {
            "enabled": True,
            "labels": {"release": "prometheus"},
            "apiKeySecret": {"name": "prometheus"},
        },
        "persistence": {"models": {"enabled": False}, "data": {"existingClaim": "mine"}},
    }

    assert kinds(rendered({})) == "PPSS"
    assert kinds(rendered(every)) == "ISSS"
    assert kinds(rendered({"service": {"wyoming": {"enabled": True}}, "openshift": True})) == "PPSS"


def test_the_chart_s_cluster_sets_only_variables_that_exist() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())["cluster"]
    templates = "".join(path.read_text() for path in (CHART / "templates" / "cluster").iterdir())

    assert set(values["dispatchers"]["settings"]) <= SETTINGS
    assert {name: str(value) for name, value in values["ray"]["environment"].items()} == {
        **RAY_SETTINGS,
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    assert set(re.findall(r"(?:- name: |dict )\"?([A-Z_]{4,})", templates)) <= SETTINGS | OF_A_CLUSTER


def test_the_chart_s_cluster_gives_each_part_what_it_needs_and_no_more() -> None:
    documents = rendered(CLUSTER)
    ray = next(one for one in documents if one["kind"] == "RayCluster")["spec"]
    deployments = {one["metadata"]["name"]: one["spec"]["template"] for one in documents if one["kind"] == "Deployment"}
    pods = {
        "server": deployments["release-name-scrivano"],
        "dispatcher": deployments["release-name-scrivano-dispatcher"],
        "head": ray["headGroupSpec"]["template"],
        **{group["groupName"]: group["template"] for group in ray["workerGroupSpecs"]},
    }
    has = {name: variables(pod) for name, pod in pods.items()}

    assert {name for name, found in has.items() if "DATABASE_URL" in found} == {"server", "dispatcher"}
    assert {name for name, found in has.items() if "RAY_AUTH_TOKEN" in found} == set(pods) - {"server"}
    assert {name for name, found in has.items() if "AWS_REGION" in found} == set(pods) - {"head"}
    assert {variable["name"] for variable in ray["autoscalerOptions"]["env"]} == has["head"]
    assert set.union(*has.values()) <= SETTINGS | OF_A_CLUSTER
    for pod in pods.values():
        [container] = pod["spec"]["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in pod["spec"]["volumes"]}


def test_the_probes_of_the_chart_s_dispatchers_are_routes_at_the_port_where_they_listen() -> None:
    monitored = {**CLUSTER, "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}}
    documents = rendered(monitored)
    [dispatcher] = [
        one for one in documents if one["metadata"]["name"].endswith("-dispatcher") and one["kind"] == "Deployment"
    ]
    template = dispatcher["spec"]["template"]
    [container] = template["spec"]["containers"]
    [port] = container["ports"]
    listens = next(one["value"] for one in container["env"] if one["name"] == "DISPATCHER_LISTEN")
    probes = [container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")]
    monitor = next(one["spec"] for one in documents if one["kind"] == "PodMonitor")
    policy = next(
        one["spec"]
        for one in documents
        if one["metadata"]["name"] == "release-name-scrivano-dispatcher" and one["kind"] == "NetworkPolicy"
    )

    assert Settings.load(environ={"DISPATCHER_LISTEN": listens}).dispatcher_listen == ("::", port["containerPort"])
    assert [probe["path"] for probe in probes] == ["/livez", "/livez", "/health"]
    assert {probe["port"] for probe in probes} == {port["name"]}
    assert (monitor["podMetricsEndpoints"][0]["port"], policy["ingress"]) == (
        port["name"],
        [{"ports": [{"port": port["name"]}]}],
    )
    for selector in (monitor["selector"], policy["podSelector"]):
        assert selector["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert "PodMonitor" not in {one["kind"] for one in rendered(CLUSTER)}


def test_the_chart_s_gpu_nodes_start_from_none_and_nothing_runs_on_the_head() -> None:
    ray = next(one for one in rendered(CLUSTER) if one["kind"] == "RayCluster")["spec"]
    cpu, gpu = ray["workerGroupSpecs"]
    limits = gpu["template"]["spec"]["containers"][0]["resources"]["limits"]

    assert ray["enableInTreeAutoscaling"]
    assert (gpu["replicas"], gpu["minReplicas"], gpu["rayStartParams"]["num-gpus"]) == (0, 0, "1")
    assert limits["nvidia.com/gpu"] == 1
    assert (cpu["minReplicas"], cpu["rayStartParams"]["num-gpus"]) == (1, "0")
    head = ray["headGroupSpec"]["rayStartParams"]
    assert (head["num-cpus"], head["num-gpus"], head["include-dashboard"]) == ("0", "0", "false")
    assert all(isinstance(value, str) for group in (cpu, gpu) for value in group["rayStartParams"].values())


def test_the_chart_s_cluster_selects_its_own_pods() -> None:
    documents = rendered(CLUSTER)
    by_kind = {one["kind"]: one for one in documents if one["kind"] != "Deployment"}
    labels = {
        one["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]: one["spec"]["template"]
        for one in documents
        if one["kind"] == "Deployment"
    }
    for component, template in labels.items():
        selects = by_kind["Service"]["spec"]["selector"].items() <= template["metadata"]["labels"].items()
        assert selects == (component == "server")
    policy = by_kind["NetworkPolicy"]["spec"]
    assert policy["ingress"] == [{"from": [{"podSelector": policy["podSelector"]}]}]
    assert policy["podSelector"]["matchExpressions"][0]["values"] == ["dispatcher", "ray"]
    assert by_kind["RayCluster"]["spec"]["headGroupSpec"]["template"]["metadata"]["labels"].items() >= {
        ("app.kubernetes.io/component", "ray"),
        ("app.kubernetes.io/instance", "release-name"),
    }


def test_the_documented_values_of_a_cluster_make_one() -> None:
    [values] = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "cluster-deploy.md").read_text(), re.DOTALL)
    documents = rendered(yaml.safe_load(values))
    [ray] = [one["spec"] for one in documents if one["kind"] == "RayCluster"]
    gpu = ray["workerGroupSpecs"][1]["template"]["spec"]

    assert kinds(documents) == "DDNPRS"
    assert gpu["containers"][0]["image"] == f"registry.example.org/scrivano:{__version__}-ray-cuda"
    assert {"name": "models", "persistentVolumeClaim": {"claimName": "models"}} in gpu["volumes"]
    assert gpu["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]


def test_the_chart_s_cluster_without_ray_is_several_servers() -> None:
    documents = rendered({**CLUSTER, "cluster": {**CLUSTER["cluster"], "ray": {"enabled": False}}})
    [deployment] = [one for one in documents if one["kind"] == "Deployment"]

    assert kinds(documents) == "DPS"
    assert "EXECUTOR" not in variables(deployment["spec"]["template"])


ONE_POD = {
    "apiKeys": {"existingSecret": "keys"},
    "gpu": {"enabled": True},
    "ingress": {"enabled": True, "proxies": "*"},
    "openshift": True,
    "runtimeClassName": "nvidia",
}


@pytest.mark.parametrize("values", [{}, ONE_POD, CLUSTER], ids=["defaults", "one pod", "cluster"])
def test_the_objects_of_the_chart_are_valid(values: dict[str, Any]) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate").validate
    for document in rendered(values):
        if document["kind"] != "RayCluster":
            validate(document, "1.30", strict=True)
            continue
        groups = [document["spec"]["headGroupSpec"], *document["spec"]["workerGroupSpecs"]]
        for template in (group["template"] for group in groups):
            pod = {"apiVersion": "v1", "kind": "Pod", **template}
            validate(pod, "1.30", strict=True)


def variables(pod: dict[str, Any]) -> set[str]:
    """The names of a pod template's variables; none is there twice."""
    names = [one["name"] for container in pod["spec"]["containers"] for one in container["env"]]
    assert len(names) == len(set(names))
    return set(names)


def test_the_documented_pod_of_a_restore_is_valid_and_has_the_volume_of_the_chart() -> None:
    [text] = re.findall(r"<<END\n(.*?)END\n", (ROOT / "docs" / "backup.md").read_text(), re.DOTALL)
    document = yaml.safe_load(text)
    chart = pod({})

    assert document["spec"]["volumes"][0] in chart["volumes"]
    assert document["spec"]["containers"][0]["volumeMounts"][0] in chart["containers"][0]["volumeMounts"]
    assert document["spec"]["securityContext"].items() <= chart["securityContext"].items()
    pytest.importorskip("kubernetes_validate").validate(document, "1.30", strict=True)


def test_compose_s_cluster_sets_only_variables_that_exist() -> None:
    files = {
        path.name: yaml.safe_load(path.read_text().replace("!override", "")) for path in CLUSTER_FILES.glob("*.yaml")
    }
    services = {(name, key): service for name, file in files.items() for key, service in file["services"].items()}
    examples = {path.name for path in (CLUSTER_FILES / "env").iterdir()}

    assert files["ray.yaml"]["services"]["ray"]["environment"].keys() >= RAY_SETTINGS.keys()
    for (name, key), service in services.items():
        if key != "caddy":
            assert set(service.get("environment", {})) <= SETTINGS | OF_A_CLUSTER, name
        for file in service.get("env_file", []):
            path = file if isinstance(file, str) else file["path"]
            assert f"{Path(path).name}.example" in examples, name
        if "extends" in service:
            assert service["extends"]["service"] in files[service["extends"]["file"]]["services"]
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert (
                source in files[name].get("volumes", {}) or source.startswith("$") or (CLUSTER_FILES / source).exists()
            )
    assert "env/database.env" not in files["ray.yaml"]["services"]["ray"]["env_file"]
    assert "env/ray.env" not in files["ray-server.yaml"]["services"]["server"]["env_file"]


def test_examples_of_variables_name_ones_that_exist() -> None:
    for path in (CLUSTER_FILES / "env").iterdir():
        names = set(re.findall(r"^#?([A-Z_]+)=", path.read_text(), re.MULTILINE))
        assert names <= SETTINGS | OF_A_CLUSTER, path


def test_the_pod_of_the_chart_has_what_its_values_say() -> None:
    several = {
        "settings": {"BLOB_CACHE_BYTES": 10737418240, "DOCS": False, "WHISPER_MODEL": "small"},
        "apiKeys": {"existingSecret": "keys"},
        "ingress": {"enabled": True, "proxies": "10.244.0.0/16"},
        "runtimeClassName": "nvidia",
    }
    environ = {one["name"]: one["value"] for one in pod(several)["containers"][0]["env"]}

    assert environ == {
        "API_KEYS_FILE": "/keys/keys.json",
        "BLOB_CACHE_BYTES": "10737418240",
        "DOCS": "false",
        "FORWARDED_ALLOW_IPS": "10.244.0.0/16",
        "WHISPER_MODEL": "small",
    }
    assert Settings.load(environ=environ).blob_cache_bytes == 10737418240
    assert pod(several)["runtimeClassName"] == "nvidia"
    assert pod({})["securityContext"]["runAsUser"] == 10001
    assert not {"runAsUser", "runAsGroup", "fsGroup"} & pod({"openshift": True})["securityContext"].keys()
    assert pod({"openshift": True})["securityContext"]["runAsNonRoot"]


def test_prometheus_sends_a_key_where_the_server_wants_one() -> None:
    keys = {"apiKeys": {"existingSecret": "keys"}}
    monitor = {"enabled": True, "apiKeySecret": {"name": "prometheus"}}

    [with_key] = one_of("ServiceMonitor", {**keys, "serviceMonitor": monitor})["spec"]["endpoints"]
    [without] = one_of("ServiceMonitor", {"serviceMonitor": {"enabled": True}})["spec"]["endpoints"]

    assert with_key["authorization"] == {"credentials": {"name": "prometheus", "key": "key"}}
    assert "authorization" not in without


def test_the_servers_of_a_cluster_have_what_the_values_say_and_nodes_what_they_need() -> None:
    values = {
        **CLUSTER,
        "settings": {"BLOB_CACHE_BYTES": 10737418240},
        "apiKeys": {"existingSecret": "keys"},
        "ingress": {"enabled": True, "proxies": "*"},
        "openshift": True,
        "runtimeClassName": "nvidia",
    }
    documents = rendered(values)
    deployments = {one["metadata"]["name"]: one["spec"]["template"] for one in documents if one["kind"] == "Deployment"}
    server, dispatcher = (deployments[f"release-name-scrivano{end}"]["spec"] for end in ("", "-dispatcher"))
    environ = {one["name"]: one.get("value") for one in server["containers"][0]["env"]}
    ray = one_of("RayCluster", values)["spec"]
    nodes = [group["template"]["spec"] for group in (ray["headGroupSpec"], *ray["workerGroupSpecs"])]

    assert (environ["FORWARDED_ALLOW_IPS"], environ["API_KEYS_FILE"]) == ("*", "/keys/keys.json")
    assert environ["BLOB_CACHE_BYTES"] == "10737418240"
    assert not {"API_KEYS_FILE", "FORWARDED_ALLOW_IPS"} & {one["name"] for one in dispatcher["containers"][0]["env"]}
    for spec in (server, dispatcher, *nodes):
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & spec["securityContext"].keys()
    assert [spec.get("runtimeClassName") for spec in (server, dispatcher, *nodes)] == [None] * 4 + ["nvidia"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"image": {"repository": ""}}, "set image.repository"),
        ({"apiKeys": {"existingSecret": "keys"}, "service": {"wyoming": {"enabled": True}}}, "exclude each other"),
        ({"apiKeys": {"existingSecret": "keys"}, "serviceMonitor": {"enabled": True}}, "apiKeySecret.name"),
    ],
)
def test_values_that_cannot_work_are_refused_with_the_reason(values: dict[str, Any], said: str) -> None:
    pytest.importorskip("helm_python", reason="pip install helm-python-sdk")
    with pytest.raises(Exception, match=said):
        rendered(values)


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


def test_no_deployment_decides_otherwise_than_the_server_whether_jobs_wait() -> None:
    for path in (
        ROOT / "compose.yaml",
        CHART / "values.yaml",
        ROOT / "deploy/homeassistant/scrivano/run.py",
        ROOT / "Dockerfile",
    ):
        assert "ADMISSION" not in path.read_text(), path


def test_all_copies_of_the_version_are_the_package_s() -> None:
    release = module(ROOT / "tools" / "release" / "version.py")

    assert release.problems(None) == []
    assert release.problems("v9.9.9") == ["the tag is v9.9.9, and the package is " + release.version()] + [
        problem for problem in release.problems("v9.9.9") if "CHANGELOG" in problem
    ]


def bill_of_materials(*options: str) -> set[tuple[str, str]]:
    command = [sys.executable, str(ROOT / "tools" / "release" / "sbom.py"), *options]
    document = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    component = document["metadata"]["component"]
    assert (component["name"], component["version"]) == (
        "scrivano",
        module(ROOT / "tools/release/version.py").version(),
    )
    return {(one["purl"].partition(":")[2].partition("/")[0], one["name"]) for one in document["components"]}


def test_the_bill_of_materials_of_an_environment_has_its_packages_and_those_of_more_folders(tmp_path: Path) -> None:
    metadata = tmp_path / "nvidia_cublas_cu12-12.9.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: nvidia-cublas-cu12\nVersion: 12.9\n")

    here = bill_of_materials()
    with_cuda = bill_of_materials("--path", str(tmp_path))

    assert {("pypi", "ctranslate2"), ("pypi", "scrivano"), ("pypi", "pytest")} <= here
    assert with_cuda - here == {("pypi", "nvidia-cublas-cu12")}


def test_the_bill_of_materials_of_the_wheel_has_what_runs_it_and_nothing_that_builds_or_tests_it() -> None:
    listed = {name for _, name in bill_of_materials("--lock", str(ROOT / "requirements" / "run.txt"))}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = {re.split(r"[^\w-]", text)[0] for text in project["dependencies"]}

    assert required | {"starlette", "tokenizers", "numpy"} <= listed
    assert not {"pytest", "mypy", "hatchling", "editables", "pathspec", "pip"} & listed


def test_the_images_list_what_they_ship_and_not_what_builds_them() -> None:
    """The list is made where nothing but the final image's files is."""
    stages = {name: text for text, name in re.findall(r"(FROM \S+ AS (\S+)(?:\n(?!FROM).*)*)", DOCKERFILE)}

    assert stages["bom"].startswith("FROM python ")
    assert stages["cpu"].startswith("FROM python ")
    for image in ("cpu", "cuda"):
        made = "bom" if image == "cpu" else "bom-cuda"
        copied = f"COPY --from={made} /sbom.cdx.json /opt/scrivano/sbom.cdx.json"
        assert copied in stages[image]
        sources = set(re.findall(r"COPY --from=(\S+)", stages[image])) - {made}
        assert sources == set(re.findall(r"COPY --from=(\S+)", stages[made]))


@pytest.mark.parametrize(
    "script",
    [
        ".ci/run",
        "deploy/docker/entrypoint.sh",
        "deploy/docker/check.sh",
        "tools/release/forge.sh",
        "tools/release/image.sh",
        "tools/release/pin_images.sh",
    ],
)
def test_scripts_are_valid(script: str) -> None:
    text = (ROOT / script).read_text()
    shell = "bash" if text.startswith("#!/usr/bin/env bash") else "sh"

    assert subprocess.run([shell, "-n", str(ROOT / script)]).returncode == 0


GH = """#!/bin/sh
echo "$1 $2" >> calls
case "$2" in view) test -e release ;; create) test ! -e release && touch release ;; esac
"""


def test_a_release_on_github_may_be_made_again_and_is_published_only_where_its_owner_says_so(tmp_path: Path) -> None:
    steps = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]["publish"]["steps"]
    [script] = [step["run"] for step in steps if "gh release" in step.get("run", "")]
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GITHUB_REF_NAME": "v1.2.3"}

    for _ in range(2):
        subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=env, check=True)

    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == [f"release {name}" for name in ("view", "create", "upload", "view", "upload")]
    assert {step.get("if") for step in steps if "pypi" in str(step)} == {"vars.PUBLISH_TO_PYPI == 'true'"}


def test_the_workflows_run_what_developers_run() -> None:
    workflows = {path: yaml.safe_load(path.read_text()) for path in ROOT.glob(".*/workflows/*.yml")}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = [
        step["run"]
        for workflow in workflows.values()
        for job in workflow["jobs"].values()
        for step in job.get("steps", ())
        if "run" in step
    ]

    assert sum("bash .ci/run" in command for command in commands) == 2
    assert sum("tools/release/image.sh" in command for command in commands) == 4
    for command in commands:
        for line in re.findall(r"^make (.+)$", command, re.MULTILINE):
            assert set(line.split()) <= targets, line
        for path in re.findall(r"(?:bash|python) ((?:\.ci|deploy|tools)/\S+)", command):
            assert (ROOT / path).exists(), path


def test_nothing_is_published_that_was_not_tested_and_scanned() -> None:
    release = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]
    forge = yaml.safe_load((ROOT / ".gitea/workflows/ci.yml").read_text())["jobs"]

    def before(jobs: dict[str, Any], name: str) -> set[str]:
        needs = jobs[name].get("needs", [])
        direct = {needs} if isinstance(needs, str) else set(needs)
        return direct | {more for one in direct for more in before(jobs, one)}

    assert release["tests"]["uses"] == "./.github/workflows/ci.yml"
    for jobs, tests in ((release, "tests"), (forge, "test")):
        for name, job in jobs.items():
            commands = "\n".join(step.get("run", "") for step in job.get("steps", ()))
            if "docker push" in commands or "imagetools create" in commands or "gh release" in commands:
                assert tests in before(jobs, name), name
            if "docker push" in commands:
                assert commands.index("tools/release/image.sh") < commands.index("docker push"), name
    steps = (ROOT / "tools/release/image.sh").read_text()
    assert re.search(r"check\.sh.*trivy.*--exit-code 1", steps, re.DOTALL)


def test_every_action_is_pinned_to_a_commit() -> None:
    for path in ROOT.glob(".*/workflows/*.yml"):
        for used in re.findall(r"uses: (\S+.*)", path.read_text()):
            assert re.fullmatch(r"\./\S+|[\w./-]+@[0-9a-f]{40} # v[\d.]+", used), f"{path.name}: {used}"


def test_gitea_and_forgejo_read_one_folder() -> None:
    """Gitea reads .gitea/workflows, Forgejo does where there is no .forgejo/workflows."""
    assert not (ROOT / ".forgejo").exists()
    assert (ROOT / ".gitea" / "workflows" / "ci.yml").exists()


def test_the_launch_daemon_s_folders_are_made_by_its_first_lines() -> None:
    path = ROOT / "deploy" / "launchd" / "io.github.scrivano.plist"
    daemon, steps = plistlib.loads(path.read_bytes()), path.read_text().partition("-->")[0]

    assert set(daemon["EnvironmentVariables"]) <= SETTINGS | OTHERS
    files = [daemon["StandardOutPath"], *daemon["EnvironmentVariables"].values()]
    for folder in {str(Path(file).parent) for file in files}:
        assert re.search(rf"mkdir -p .*{re.escape(folder)}", steps), folder
    assert f"{daemon['ProgramArguments'][0].removesuffix('/bin/scrivano')}/bin/pip install" in steps
    assert f"/Users/{daemon['UserName']}" in steps


@pytest.mark.parametrize("name", ["scrivano-ray.service", "scrivano-dispatcher.service"])
def test_the_units_of_a_cluster_are_documented_and_set_only_what_exists(name: str) -> None:
    text = (ROOT / "deploy" / "systemd" / name).read_text()

    assert set(re.findall(r"^Environment=(\w+)=", text, re.MULTILINE)) <= SETTINGS
    assert "Restart=always" in text
    assert name in (ROOT / "docs" / "cluster-deploy.md").read_text()


@pytest.mark.parametrize("name", ["scrivano-cuda.conf", "scrivano-keys.conf", "scrivano-watch.conf"])
def test_the_additions_to_the_unit_set_only_what_exists(name: str) -> None:
    text = (ROOT / "deploy" / "systemd" / name).read_text()
    settings = set(re.findall(r"^Environment=(\w+)=", text, re.MULTILINE))

    assert settings <= SETTINGS
    assert name in UNIT
