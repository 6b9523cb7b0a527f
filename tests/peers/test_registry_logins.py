"""Passwords and tokens of a real registry, Debian's, on loopback: what they open, and who gets them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest

from sealift.errors import SealiftError
from sealift.release.locked import LockedImage
from tests.peers.fetching import NAME, fetched
from tests.peers.front import Answer, Asked, Front, fronting
from tests.peers.registry import Peer, mirrors, serving, skopeo
from tests.peers.tokens import ISSUER, SERVICE, Issuer, issuing

PASSWORD = "correct horse"  # noqa: S105 - of a registry that lives as long as these tests


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, saved: Path) -> Iterator[Peer]:
    """A registry with a password, which has the image."""
    folder = tmp_path_factory.mktemp("guarded")
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (folder / "htpasswd").write_text(f"builder:{hashed}\n")
    with serving(folder, {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}) as peer:
        (folder / "auth").mkdir()
        _log_in(folder / "auth", peer, PASSWORD)
        skopeo(f"docker-archive:{saved}", peer, "acme/tool:1.0", "--authfile", f"{folder}/auth/config.json")
        yield peer


def _log_in(folder: Path, peer: Peer, password: str) -> None:
    """As `docker login` leaves it."""
    auth = base64.b64encode(f"builder:{password}".encode()).decode()
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"auths": {peer.host: {"auth": auth}}}))


def test_the_password_of_docker_login_opens_a_registry(
    guarded: Peer, expected: LockedImage, tmp_path: Path
) -> None:
    _log_in(tmp_path / "docker", guarded, PASSWORD)
    locked = fetched(tmp_path, NAME, mirrors(guarded.port))
    assert locked.config == expected.config
    assert PASSWORD not in locked.model_dump_json()


def test_a_wrong_password_is_refused_and_not_shown(guarded: Peer, tmp_path: Path) -> None:
    _log_in(tmp_path / "docker", guarded, "wrong battery")
    with pytest.raises(SealiftError) as refusal:
        fetched(tmp_path, NAME, mirrors(guarded.port))
    assert str(refusal.value) == (
        f"{guarded.host}: acme/tool/manifests/1.0: the registry refuses this machine's login. "
        f"Run docker login {guarded.host}."
    )


def test_no_password_is_refused_with_a_remedy(guarded: Peer, tmp_path: Path) -> None:
    with pytest.raises(
        SealiftError, match=rf"the registry asks for a login. Run docker login {guarded.host}"
    ):
        fetched(tmp_path, NAME, mirrors(guarded.port))


def _token_auth(issuer: Issuer) -> dict[str, str]:
    return {
        "realm": issuer.url,
        "service": SERVICE,
        "issuer": ISSUER,
        "rootcertbundle": str(issuer.certificate),
    }


def test_a_token_opens_a_registry_and_only_with_the_password(
    tmp_path: Path, saved: Path, expected: LockedImage
) -> None:
    with (
        issuing(tmp_path / "issuer", "builder", PASSWORD) as issuer,
        serving(tmp_path / "registry", {"token": _token_auth(issuer)}) as peer,
    ):
        _log_in(tmp_path / "docker", peer, PASSWORD)
        login = f"{tmp_path}/docker/config.json"
        skopeo(f"docker-archive:{saved}", peer, "acme/tool:1.0", "--authfile", login)
        assert fetched(tmp_path, NAME, mirrors(peer.port)).config == expected.config
        _log_in(tmp_path / "docker", peer, "wrong battery")
        with pytest.raises(SealiftError, match="refuses this machine's login") as refusal:
            fetched(tmp_path, "docker.io/acme/tool:2.0", mirrors(peer.port))
        assert "battery" not in str(refusal.value)


def test_a_token_that_anybody_gets_opens_what_is_public_and_nothing_else(
    tmp_path: Path, saved: Path, expected: LockedImage
) -> None:
    """As Docker Hub has it."""
    with (
        issuing(tmp_path / "issuer", "builder", PASSWORD, public="acme/") as issuer,
        serving(tmp_path / "registry", {"token": _token_auth(issuer)}) as peer,
    ):
        _log_in(tmp_path / "pusher", peer, PASSWORD)
        login = f"{tmp_path}/pusher/config.json"
        for name in ("acme/tool:1.0", "secret/tool:1.0"):
            skopeo(f"docker-archive:{saved}", peer, name, "--authfile", login)
        assert fetched(tmp_path, NAME, mirrors(peer.port)).config == expected.config
        with pytest.raises(SealiftError, match=rf"asks for a login. Run docker login {peer.host}"):
            fetched(tmp_path, "docker.io/secret/tool:1.0", mirrors(peer.port))


def _blobs(front: Front) -> list[Asked]:
    return [asked for asked in front.asked if "/blobs/" in asked.path]


def test_a_login_does_not_go_along_to_another_host(
    guarded: Peer, peer: Peer, saved: Path, expected: LockedImage, tmp_path: Path
) -> None:
    """Registries send their clients to a store of blobs, which answers whoever comes by that address."""
    skopeo(f"docker-archive:{saved}", peer, "acme/tool:1.0")
    with fronting(peer.port, lambda _: None) as store:

        def decide(asked: Asked) -> Answer | None:
            return Answer(307, {"Location": store.url + asked.path}) if "/blobs/" in asked.path else None

        with fronting(guarded.port, decide) as front:
            _log_in(tmp_path / "docker", Peer(front.port), PASSWORD)
            assert fetched(tmp_path, NAME, mirrors(front.port)).config == expected.config
    assert all("Authorization" in asked.headers for asked in _blobs(front))
    assert len(_blobs(store)) == 1 + len(expected.layers)
    assert not any("Authorization" in asked.headers for asked in store.asked)


def test_a_login_goes_along_on_the_same_host(guarded: Peer, expected: LockedImage, tmp_path: Path) -> None:
    def decide(asked: Asked) -> Answer | None:
        moved = asked.path.replace("/v2/old/", "/v2/acme/")
        return Answer(307, {"Location": moved}) if moved != asked.path else None

    with fronting(guarded.port, decide) as front:
        _log_in(tmp_path / "docker", Peer(front.port), PASSWORD)
        locked = fetched(tmp_path, "docker.io/old/tool:1.0", mirrors(front.port))
    assert locked.config == expected.config
