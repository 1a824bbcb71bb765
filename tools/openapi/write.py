"""Print the OpenAPI document as JSON, without a running server: PYTHONPATH=src python tools/openapi/write.py"""

from __future__ import annotations

import json
import sys

from scrivano.api.app import create_app


def main() -> None:
    document = create_app(None).openapi()  # type: ignore[arg-type]  # no request is made
    json.dump(document, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
