"""Mirrors and logins of a build machine: what is unsafe or broken is refused, and no password is shown."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from sealift.errors import SealiftError
from sealift.sources.access import apt_mirror, is_safe, server_of


def _environment(folder: Path, auths: object = None, mirrors: str = "") -> dict[str, str]:
    (folder / "config.json").write_text(json.dumps({"auths": auths or {}, "credsStore": "desktop"}))
    return {"DOCKER_CONFIG": str(folder), "SEALIFT_MIRRORS": mirrors}


def _encoded(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    ("registry", "mirrors", "base"),
    [
        ("quay.io", "", "https://quay.io"),
        ("docker.io", "", "https://registry-1.docker.io"),
        ("localhost:5000", "", "http://localhost:5000"),
        ("127.0.0.1:5000", "", "http://127.0.0.1:5000"),
        ("docker.io", "quay.io=https://q docker.io=https://m/hub/", "https://m/hub"),
        ("docker.io", "docker.io=http://[::1]:5000", "http://[::1]:5000"),
    ],
)
def test_where_a_registry_is_reached(tmp_path: Path, registry: str, mirrors: str, base: str) -> None:
    assert server_of(registry, _environment(tmp_path, mirrors=mirrors)).base == base


@pytest.mark.parametrize(
    ("mirror", "message"),
    [
        ("docker.io=http://mirror.example.org", "is not safe, expected https://"),
        ("docker.io=http://127.0.0.1.example.org", "is not safe, expected https://"),
        ("docker.io=ftp://127.0.0.1", "is not safe, expected https://"),
        ("docker.io=https://[", "is not understood"),
        ("docker.io", "is not understood, expected REGISTRY=https://HOST"),
        ("docker.io=https://user:secret@mirror.example.org", "a login goes to docker login"),
    ],
)
def test_an_unsafe_mirror_is_refused(tmp_path: Path, mirror: str, message: str) -> None:
    with pytest.raises(SealiftError, match=message) as refusal:
        server_of("docker.io", _environment(tmp_path, mirrors=mirror))
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("source", "mirrors", "base"),
    [
        ("docker", "", None),
        ("docker", "apt:nvidia=https://m/nvidia docker=https://m", None),
        (
            "docker",
            "docker.io=https://hub apt:docker=http://m.example:8080/docker/",
            "http://m.example:8080/docker/",
        ),
        ("docker.io", "docker.io=https://hub", None),
    ],
)
def test_where_a_vendors_packages_are_fetched(source: str, mirrors: str, base: str | None) -> None:
    assert apt_mirror(source, {"SEALIFT_MIRRORS": mirrors}) == base


@pytest.mark.parametrize(
    "address", ["", "file:/srv", "m.example", "https://reader:secret@m.example/", "https://m.example/?secret"]
)
def test_a_mirror_that_apt_would_misread_is_refused(address: str) -> None:
    message = "SEALIFT_MIRRORS: the setting for 'apt:docker' is not understood, expected apt:SOURCE=https://"
    with pytest.raises(SealiftError, match=message) as refusal:
        apt_mirror("nvidia", {"SEALIFT_MIRRORS": f"apt:docker={address}"})
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    "url", ["http://example.org", "//127.0.0.1/x", "https:", "https://[", "", "file:///etc/passwd"]
)
def test_only_tls_and_this_machine_are_safe(url: str) -> None:
    assert not is_safe(url)


def test_a_login_is_of_the_host_that_is_asked(tmp_path: Path) -> None:
    auths = {
        "https://index.docker.io/v1/": _encoded("hub:one"),
        "https://quay.io": _encoded("quay:two:three"),
        "m.example.org": _encoded("mirror:four"),
    }
    environment = _environment(tmp_path, auths)
    hub, quay, other = (server_of(name, environment).login for name in ("docker.io", "quay.io", "ghcr.io"))
    assert hub is not None
    assert quay is not None
    assert (hub.user, quay.password, other) == ("hub", "two:three", None)
    assert "two:three" not in repr(quay)
    mirrored = server_of("docker.io", {**environment, "SEALIFT_MIRRORS": "docker.io=https://m.example.org"})
    assert mirrored.login is not None
    assert mirrored.login.user == "mirror"


@pytest.mark.parametrize(
    "auths", [{"quay.io": {"auth": "c2VjcmV0"}}, {"quay.io": {"auth": "secret!"}}, ["secret"]]
)
def test_a_broken_login_is_refused_and_not_shown(tmp_path: Path, auths: object) -> None:
    with pytest.raises(SealiftError, match=r"is not as docker login writes it\. Log in again\.") as refusal:
        server_of("quay.io", _environment(tmp_path, auths))
    assert "ecret" not in str(refusal.value)
    assert "c2Vj" not in str(refusal.value)
