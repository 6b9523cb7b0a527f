"""A host that is what its record says, and each way in which it is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sealift.errors import SealiftError
from sealift.fleet.recorded import compared
from sealift.host.record import RECORD, parse_record
from tests.unit.test_restore import OLD

_TEXT = OLD.generation.files[RECORD].content.decode()
_RECORD = parse_record("h1", _TEXT)
_SPEC = _RECORD.services["sealift-gateway"][0]
GOOD = "\n".join(
    (
        *(f"record={line}" for line in _TEXT.splitlines()),
        *(f"package={name} {version}" for name, version in _RECORD.packages.items()),
        *(f"file={path} {mode} {digest}" for path, (mode, digest) in _RECORD.files.items()),
        *(f"manifest={digest} {path}" for path, digest in _RECORD.manifests.items()),
        *(f"image={name} {image_id}" for name, image_id in _RECORD.images.items()),
        *(
            f"runs={project}|running|healthy|{spec}|{image}"
            for project, (spec, image) in _RECORD.services.items()
        ),
        "end=",
    )
)


def test_a_host_that_is_as_recorded_differs_in_nothing() -> None:
    assert compared("h1", GOOD) == ()
    assert compared("h1", GOOD.replace("end=", "package=vim 9\nruns=shop-web|exited||x|y\nend=")) == ()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda s: s.replace("\npackage=pv 1", "\npackage=pv 2"), "package pv 2, expected 1"),
        (lambda s: s.replace("\npackage=pv 1", ""), "package pv missing, expected 1"),
        (lambda s: s.replace("file=/opt/tools/tool 755", "file=/opt/tools/tool 777"), "tools/tool differs"),
        (lambda s: s.replace("file=/opt/tools/tool", "file=/opt/x"), "file /opt/tools/tool missing"),
        (lambda s: s.replace("end=", "manifest=00 registry.ollama.ai/library/x/1\nend="), "x/1 is too much"),
        (lambda s: s.replace("healthy", "unhealthy", 1), "service sealift-ollama unhealthy"),
        (lambda s: s.replace("running|healthy", "exited|", 1), "service sealift-ollama exited"),
        (lambda s: s.replace("runs=sealift-gateway", "runs=else"), "service sealift-gateway missing"),
        (lambda s: s.replace("end=", "runs=sealift-x|running||a|b\nend="), "service sealift-x is too much"),
        (lambda s: s.replace("end=", "lacks=live file gateway/live/keys.yaml\nend="), "keys.yaml: differs"),
        (
            lambda s: s.replace("|".join(_RECORD.services["sealift-gateway"]), f"{_SPEC}|sha256:00"),
            "service sealift-gateway runs image sha256:00, expected",
        ),
        (
            lambda s: s.replace(f"healthy|{_SPEC}", "healthy|other"),
            "service sealift-gateway runs with another configuration",
        ),
    ],
)
def test_each_difference_is_told(spoil: Callable[[str], str], said: str) -> None:
    (line,) = compared("h1", spoil(GOOD))
    assert said in line


@pytest.mark.parametrize("said", ["", "end=", GOOD.removesuffix("end=")])
def test_without_a_record_nothing_is_compared(said: str) -> None:
    with pytest.raises(SealiftError, match=r"h1: .*has no record"):
        compared("h1", said)
