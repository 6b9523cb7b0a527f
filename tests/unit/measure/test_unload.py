"""A host's model is put out of memory: the script, with stand-ins of ssh, docker and ollama."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from sealift.depot.store import StoredRelease
from sealift.errors import SealiftError
from sealift.fleet.survey import Target
from sealift.measure import run
from sealift.measure.run import Subject, unload
from sealift.site.inventory import Host
from tests.unit.fleet_site import BUNDLE, MODEL, lock, site_settings

# `ollama ps` lists the model, under the name of another role, until it was told to stop so many times.
STAND_INS = {
    "ssh": 'for last; do :; done\nexec sh -c "$last"\n',
    "docker": '[ "$1" != ps ] || exec echo 0123456789ab\nshift 2\nexec "$@"\n',
    "ollama": """\
if [ "$1" = stop ]; then echo "$2" >>{folder}/stopped; exit; fi
echo "NAME ID SIZE"
[ "$(wc -l <{folder}/stopped)" -ge {times} ] || echo "other:latest 0123 2 GB"
echo "foreign:latest 4567 1 GB"
""",
}


def stand_in(folder: Path, patch: pytest.MonkeyPatch, times: int) -> Subject:
    """A host where the model is gone after so many words."""
    for name, script in STAND_INS.items():
        (folder / name).write_text(
            "#!/bin/sh\n" + script.replace("{folder}", str(folder)).replace("{times}", str(times))
        )
        (folder / name).chmod(0o755)
    patch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    target = Target(Host("h1", frozenset(), site_settings()), StoredRelease(BUNDLE, lock()))
    return Subject(target, "chat", MODEL, SecretStr("key"), (MODEL, "chat:latest", "other:latest"))


def test_a_model_is_gone_once_none_of_its_names_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unload(stand_in(tmp_path, monkeypatch, 3))
    assert (tmp_path / "stopped").read_text().split() == ["chat"] * 3


def test_a_model_that_others_keep_loaded_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_UNLOAD", run._UNLOAD.replace(f"+ {run._UNLOAD_S}", "+ 1"))
    with pytest.raises(SealiftError, match=r"h1: .*: other:latest stays loaded, since others ask it"):
        unload(stand_in(tmp_path, monkeypatch, 1000))
