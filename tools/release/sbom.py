"""Print a software bill of materials (CycloneDX 1.6, JSON), without a network.

sbom.py                                  the packages of this environment, and Debian's: for an image, inside of it
sbom.py --path /opt/cuda                 and the Python packages in this folder
sbom.py --lock requirements/run.txt      the locked packages with which the wheel runs, and not those that build it
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

# How a lock file names what the package itself requires.
PROJECT = "scrivano (pyproject.toml)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", action="append", default=[])
    parser.add_argument("--lock", type=Path)
    given = parser.parse_args()
    if given.lock is None:
        components = [*_python(given.path), *_debian()]
        version = next(one["version"] for one in components if one["name"] == "scrivano")
    else:
        components, version = list(_locked(given.lock.read_text())), _version()
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "scrivano", "version": version}},
        "components": sorted(components, key=lambda one: str(one["purl"])),
    }
    json.dump(document, sys.stdout, indent=1)
    print()


def _python(paths: Iterable[str]) -> Iterator[dict[str, Any]]:
    for found in distributions(path=[*sys.path, *paths]):
        licence = found.metadata.get("License-Expression")
        yield {
            **_pypi(found.name, found.version),
            **({"licenses": [{"expression": licence}]} if licence else {}),
        }


def _pypi(name: str, version: str) -> dict[str, Any]:
    name = re.sub(r"[-_.]+", "-", name).lower()
    return {"type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{name}@{quote(version)}"}


def _debian() -> Iterator[dict[str, Any]]:
    if shutil.which("dpkg-query") is None:
        return
    form = "${Package}\t${Version}\t${Architecture}\n"
    listed = subprocess.run(
        ["dpkg-query", "--show", f"--showformat={form}"], capture_output=True, text=True, check=True
    )
    for line in listed.stdout.splitlines():
        name, version, architecture = line.split("\t")
        purl = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}"
        yield {"type": "library", "name": name, "version": version, "purl": purl}


def _version() -> str:
    text = (Path(__file__).parents[2] / "src" / "scrivano" / "__init__.py").read_text()
    return re.findall(r'^__version__ = "(.*)"$', text, re.MULTILINE)[0]


def _locked(text: str) -> Iterator[dict[str, Any]]:
    """What the package requires, directly or not. A lock file says after each package what requires it.

    A package may be there twice, with versions for different Pythons.
    """
    entries = [
        (*found[0], {line.removeprefix("via ").strip() for line in re.findall(r"^    #\s+(.+)", entry, re.MULTILINE)})
        for entry in re.split(r"\n(?=\S)", text)
        if (found := re.findall(r"^([\w.-]+)==([^\s;]+)(?: ; ([^\\\n]+))?", entry))
    ]
    wanted, before = {PROJECT}, set[str]()
    while wanted != before:
        before = set(wanted)
        wanted |= {name for name, _, _, requirers in entries if requirers & before}
    for name, version, marker, _ in entries:
        if name in wanted:
            condition = {"scope": "optional", "properties": [{"name": "marker", "value": marker.strip()}]}
            yield {**_pypi(name, version), **(condition if marker else {})}


if __name__ == "__main__":
    main()
