"""Asks gateways and front doors every call with every key: `python -m tests.lab.asking FILE`.

FILE is JSON with `ca`, `asked` as pairs of a host's name and a URL, `keys` by what they are (null for none),
and `calls` as method, path and body. Prints the statuses as JSON, by URL, key and call.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

from sealift.fleet.named_host import NamedHost

_ANSWER_S = 120
_HEADERS = {"x-sealift-client": "first"}  # forged, which helps nobody


def _statuses(told: dict[str, Any], name: str, url: str) -> dict[str, dict[str, int]]:
    """What one of them says."""
    found: dict[str, dict[str, int]] = {}
    with requests.Session() as session:
        session.trust_env = False
        session.mount("https://", NamedHost(name))
        session.verify = told["ca"]
        for kind, key in told["keys"].items():
            headers = {**_HEADERS, **({"Authorization": f"Bearer {key}"} if key else {})}
            found[kind] = {
                f"{method} {path}": session.request(
                    method, url + path, json=body, headers=headers, timeout=_ANSWER_S
                ).status_code
                for method, path, body in told["calls"]
            }
    return found


def main(told: dict[str, Any]) -> None:
    """Ask all at the same time."""
    with ThreadPoolExecutor() as pool:
        asked = {url: pool.submit(_statuses, told, name, url) for name, url in told["asked"]}
    print(json.dumps({url: each.result() for url, each in asked.items()}))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
