"""What a build machine reads of its release, its registries and its apt."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, cast

from sealift.content import digest_of
from sealift.install.content import control_part
from sealift.oci.image_config import BaseConfig
from sealift.oci.manifest import MANIFEST_TYPES, Manifest, choose, parse_manifest, read_diff_ids
from sealift.release.changes import compare
from sealift.release.lockfile import dump_lock, parse_lock
from sealift.release.parse import load_release
from sealift.site.secrets import parse_secrets
from sealift.sources.access import MIRRORS, server_of
from sealift.sources.apt import _installs
from sealift.sources.apt_config import IsolatedApt, explain, run
from sealift.sources.apt_mirror import parse_index_targets
from sealift.sources.apt_sources import Repository
from sealift.sources.requirements import parse_requirements
from sealift.sources.wheels import TARGETS as TARGETS_OF_SUITES
from tests.fuzz.mutate import Case
from tests.fuzz.target import Target, alone, only
from tests.unit import control_lock, fleet_site, samples

_ROOT = Path(__file__).parents[2]
_LAYERS = [samples.layer(b"one"), samples.layer(b"two")]
_JSON = (b"mediaType", b"digest", b"size", b"annotations", b"config", b"layers", b"manifests", b"platform")


def lock_document() -> dict[str, Any]:
    """A lock that is good in itself."""
    document: dict[str, Any] = json.loads(dump_lock(fleet_site.lock()))
    document["images"]["gateway"]["name"] = samples.GATEWAY
    return document


def _release(case: Case, folder: Path) -> object:
    (folder / "FUZZ.yaml").write_bytes(only(case))
    return load_release(folder / "FUZZ.yaml")


def _lock(case: Case, _: Path) -> object:
    lock = parse_lock(only(case), "FUZZ")
    assert parse_lock(dump_lock(lock), "again") == lock
    return compare(fleet_site.lock(), lock)


def _control(case: Case, _: Path) -> object:
    """What a bare control node takes out of a lock, without any library."""
    return control_part(only(case), "sha256:")


def _manifest(case: Case, _: Path) -> object:
    found = parse_manifest(only(case), "FUZZ")
    return found if isinstance(found, Manifest) else choose(found, samples.IMAGE, "FUZZ")


def _image_config(case: Case, _: Path) -> object:
    content = only(case)
    found = BaseConfig(content, tuple(map(digest_of, _LAYERS)), "FUZZ")
    return found.created, found.with_layer(digest_of(b""), {"A": "1"}, {"b": "2"}, "fuzz")


def _server(case: Case, folder: Path) -> object:
    (folder / "config.json").write_bytes(dict(case).get("config", b"{}"))
    mirrors = dict(case).get("mirrors", b"").decode(errors="surrogateescape")
    return server_of("registry.example", {"DOCKER_CONFIG": str(folder), MIRRORS: mirrors})


class _Apt:
    """apt as far as `sealift lock` listens to it: it says what the case has."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.root = folder
        self._says = dict(case)

    def run(self, *arguments: str) -> str:
        said = self.root / "said"
        said.write_bytes(self._says.get(arguments[0], b""))
        return run(("cat", str(said)), {})


def _apt(case: Case, folder: Path) -> object:
    repository = Repository("vendor", "file:/r/", "./", (), "/k")
    return _installs(cast("IsolatedApt", _Apt(case, folder)), (repository,), ("hello",), "all")


def _text(case: Case) -> str:
    return only(case).decode(errors="replace")


def _dumped(*documents: Any) -> tuple[Case, ...]:
    return alone(*(json.dumps(document).encode() for document in documents))


_HEX = "0" * 64
_DESCRIPTOR = {"mediaType": MANIFEST_TYPES[0], "digest": f"sha256:{_HEX}", "size": 3}
_INDEX = {"manifests": [{**_DESCRIPTOR, "platform": {"os": "linux", "architecture": "amd64"}}]}
_CONFIG = {
    "architecture": "amd64",
    "os": "linux",
    "created": "2026-11-21T12:28:11.123456789Z",
    "config": {"Env": ["PATH=/bin", "A=0"], "Labels": {"a": "b"}},
    "rootfs": {"type": "layers", "diff_ids": [digest_of(layer).digest for layer in _LAYERS]},
    "history": [{"created_by": "x"}, {"empty_layer": True}],
}
_LOGIN = base64.b64encode(b"user:password").decode()
_STANZA = f"""Package: hello
Version: 1:2.0-1
Architecture: amd64
Maintainer: J\u00f6rg <j@example.org>
Filename: ./hello.deb
Size: 9
SHA256: {_HEX}
Depends: libc6
Description: greets
 more
"""
_REQUIREMENTS = f"""# compiled
pip==25.1 --hash=sha256:{_HEX}
setuptools==80.9.0 \\
    --hash=sha256:{_HEX} \\
    --hash=sha256:{_HEX}
gone==1 ; python_version < "3.9" --hash=sha256:{_HEX}
""".encode()
_URI = "'file:/r/hello.deb' hello_1%3a2.0-1_amd64.deb 9 SHA256:" + _HEX + "\n"


TARGETS = (
    Target(
        "release file",
        alone((_ROOT / "releases/demo.yaml").read_bytes()),
        _release,
        (
            *b"!!map !!seq !!bool !!int !!float !!timestamp !!set !!binary !!omap !!pairs".split(),
            *(
                b"<<: ",
                b"&a",
                b"*a",
                b"---",
                b"? ",
                b": ",
                b"- ",
                b"|\n ",
                b"%YAML 9\n",
                b"1:59:59",
                b"2026-99-99",
                b"\t",
            ),
        ),
        cost=20,
    ),
    Target(
        "secrets",
        alone(b"api_keys: {shop: " + b"k" * 32 + b"}\n"),
        lambda case, _: parse_secrets(only(case), Path("FUZZ")),
        (b"!!map", b"!!bool", b"!!int"),
        cost=2,
    ),
    Target("lock", _dumped(lock_document()), _lock, (b"blob", b"packages", b"control", b"sha256:"), cost=2),
    Target(
        "lock, on a bare control node", _dumped(control_lock.lock()), _control, (b"Infinity",), where=": "
    ),
    Target(
        "OCI manifest", _dumped(_INDEX, {"config": _DESCRIPTOR, "layers": [_DESCRIPTOR]}), _manifest, _JSON
    ),
    Target("image config: layers", _dumped(_CONFIG), lambda case, _: read_diff_ids(only(case), 2, "FUZZ")),
    Target(
        "image config: base",
        _dumped(_CONFIG),
        _image_config,
        (b"0001-01-01T00:00:00+23:59", b"9999-12-31T23:59:59-23:59"),
    ),
    Target(
        "docker login and mirrors",
        (
            (
                ("config", json.dumps({"auths": {"registry.example": {"auth": _LOGIN}}}).encode()),
                ("mirrors", b"other=https://mirror.example/a quay.io=http://localhost:5000"),
            ),
        ),
        _server,
        (b"http://", b"https://", b"[::1]", b"[", b"@", b"\xc3\xa9", b":99999999", b"=="),
        where="",
    ),
    Target(
        "requirements",
        alone(_REQUIREMENTS),
        lambda case, _: parse_requirements(only(case), "FUZZ", TARGETS_OF_SUITES["trixie"]),
        (
            b"==",
            b" ; ",
            b"extra == 'x'",
            b"\\\n",
            b"--hash=sha256:",
            b" @ https://x",
            b"-r ",
            b"[x]",
            b"(" * 99,
        ),
    ),
    Target(
        "apt's answers",
        ((("apt-get", _URI.encode()), ("apt-cache", _STANZA.encode())),),
        _apt,
        (b"Filename: ", b"Package: ", b"SHA256: ", b"Size: ", b"'", b"_", b"%00", b"../", b"\xff"),
        where="",
        cost=10,
    ),
    Target(
        "apt's errors", alone(b"E: Unable to locate\nE: more\nW: x\n"), lambda case, _: explain(_text(case))
    ),
    Target(
        "apt's mirrors",
        alone(b"http://m/debian/ trixie Debian\nhttp://m/debian-security/ trixie-security Debian-Security\n"),
        lambda case, _: parse_index_targets(_text(case)),
        where="apt: ",
    ),
)
