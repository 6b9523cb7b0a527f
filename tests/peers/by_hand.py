"""Types the commands of docs/verify-by-hand.md as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/verify-by-hand.md"


def typed(bundle: Path, signers: Path, signer: str) -> subprocess.CompletedProcess[str]:
    """Type them where no sealift is on PATH; the first block sets what is the reviewer's own."""
    own, *blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert re.fullmatch(r"export BUNDLE=\S+ SIGNERS=\S+ SIGNER=\S+\n", own)
    tools = bundle.parent / "tools"  # a python3 that has the validator
    tools.mkdir(exist_ok=True)
    (tools / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tools / "python3").chmod(0o755)
    environment = {
        "PATH": f"{tools}:/usr/bin:/bin",
        "TMPDIR": str(bundle.parent),
        "HOME": str(bundle.parent),
        "BUNDLE": str(bundle),
        "SIGNERS": str(signers),
        "SIGNER": signer,
    }
    missing = subprocess.run(("sh", "-c", "command -v sealift"), env=environment, check=False)
    assert missing.returncode != 0
    return subprocess.run(
        ("sh", "-c", "".join(blocks)), env=environment, capture_output=True, text=True, check=False
    )
