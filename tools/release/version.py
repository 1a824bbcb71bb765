"""Print the version of the package. `--tag v1.2.3`: fail unless the tag names it and the changelog has an entry for it.

The version is in `src/scrivano/__init__.py` and nowhere else; the chart's and the add-on's are compared with it.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

COPIES = {
    "deploy/helm/scrivano/Chart.yaml": r'^appVersion: "(.*)"$',
    "deploy/homeassistant/scrivano/config.yaml": r'^version: "(.*)"$',
    "deploy/homeassistant/scrivano/build.yaml": r":([\d.]+)-cpu$",
}


def version() -> str:
    return found(ROOT / "src/scrivano/__init__.py", r'^__version__ = "(.*)"$')[0]


def found(path: Path, pattern: str) -> list[str]:
    return re.findall(pattern, path.read_text(), re.MULTILINE)


def problems(tag: str | None) -> list[str]:
    here = version()
    wrong = [name for name, pattern in COPIES.items() if set(found(ROOT / name, pattern)) != {here}]
    listed = [f"{name} has another version than {here}" for name in wrong]
    if tag is not None and tag != f"v{here}":
        listed.append(f"the tag is {tag}, and the package is {here}")
    if tag is not None and not found(ROOT / "CHANGELOG.md", rf"^## \[?{re.escape(here)}\]?"):
        listed.append(f"CHANGELOG.md has no entry for {here}")
    return listed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tag")
    listed = problems(parser.parse_args().tag)
    for problem in listed:
        print(problem, file=sys.stderr)
    print(version())
    return 1 if listed else 0


if __name__ == "__main__":
    sys.exit(main())
