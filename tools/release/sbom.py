"""Print a software bill of materials (CycloneDX 1.6, JSON) of the environment that runs this, without a network.

Debian's packages are listed too, if this is a Debian system.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from typing import Any


def main() -> None:
    components = sorted([*_python(), *_debian()], key=lambda one: str(one["purl"]))
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "scrivano", "version": _version()}},
        "components": components,
    }
    json.dump(document, sys.stdout, indent=1)
    print()


def _version() -> str:
    return Distribution.from_name("scrivano").version


def _python() -> Iterator[dict[str, Any]]:
    for found in distributions():
        name = found.name.lower().replace("_", "-")
        licence = found.metadata.get("License-Expression")
        yield {
            "type": "library",
            "name": name,
            "version": found.version,
            "purl": f"pkg:pypi/{name}@{found.version}",
            **({"licenses": [{"expression": licence}]} if licence else {}),
        }


def _debian() -> Iterator[dict[str, Any]]:
    if shutil.which("dpkg-query") is None:
        return
    form = "${Package}\t${Version}\t${Architecture}\n"
    listed = subprocess.run(
        ["dpkg-query", "--show", f"--showformat={form}"], capture_output=True, text=True, check=True
    )
    for line in listed.stdout.splitlines():
        name, version, architecture = line.split("\t")
        purl = f"pkg:deb/debian/{name}@{version}?arch={architecture}"
        yield {"type": "library", "name": name, "version": version, "purl": purl}


if __name__ == "__main__":
    main()
