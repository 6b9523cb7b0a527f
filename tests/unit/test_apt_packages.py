"""Packages, with the machine's own apt: from a signed repository into a lock, and out of a depot again."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sealift.content import digest_of
from sealift.depot import repository
from sealift.depot.needed import needed_blobs
from sealift.errors import SealiftError
from sealift.files import write_atomically
from sealift.release.locked import Lock, LockedPackage
from sealift.release.types import Release
from sealift.sources.apt import lock_packages
from sealift.sources.apt_config import IsolatedApt
from sealift.sources.apt_sources import Repository, blame, key_digests, place, read_keys
from sealift.sources.resolve import packages_that_are_too_old
from tests.unit import samples


def _deb(folder: Path, name: str, version: str, **more: str) -> Path:
    """A real, empty package."""
    root = folder / f"{name}-root"
    fields = {"Package": name, "Version": version, "Architecture": "amd64", "Maintainer": "Jörg <j@x.org>"}
    fields |= {key.replace("_", "-"): value for key, value in more.items()}
    lines = "".join(f"{key}: {value}\n" for key, value in fields.items())
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(f"{lines}Description: {name}\n more about it\n")
    deb = folder / "apt" / f"{name}.deb"
    subprocess.run(["dpkg-deb", "--build", "-Zgzip", str(root), str(deb)], check=True, capture_output=True)
    return deb


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A signed flat repository: `tool` needs `library`, which needs `core`, which every host has."""
    (tmp_path / "apt").mkdir()
    _deb(tmp_path, "core", "1", Essential="yes", Multi_Arch="foreign")
    _deb(tmp_path, "library", "1:2.0-1", Depends="core (>= 1)")
    _deb(tmp_path, "tool", "3~rc1", Depends="library, core", Recommends="unwanted")
    _deb(tmp_path, "unwanted", "1")
    _deb(tmp_path, "gpu-tool", "1", Depends="tool | unwanted, core")
    _sign(tmp_path / "apt", b"\n".join(map(_stanza, sorted((tmp_path / "apt").glob("*.deb")))))
    return tmp_path


def _stanza(deb: Path) -> bytes:
    fields = subprocess.run(["dpkg-deb", "--field", str(deb)], check=True, capture_output=True).stdout
    blob = digest_of(deb.read_bytes())
    return fields + f"Filename: ./{deb.name}\nSize: {blob.size}\nSHA256: {blob.hex}\n".encode()


def _sign(folder: Path, packages: bytes) -> None:
    key = repository.site_key(folder.parent / "key.pgp")
    now = datetime.now(UTC)
    release = repository.release_file(packages, "test", now)
    (folder / "Packages").write_bytes(packages)
    (folder / "InRelease").write_bytes(repository.clearsign(release, key))
    (folder / "key.asc").write_bytes(repository.certificate(key))


def _release(control: dict[str, list[str]] | None = None, **more: tuple[str, ...]) -> Release:
    vendor = {"path": "apt", "key": "apt/key.asc", "suites": ["./"]}
    wanted = {"all": ("tool",), "gpu": ("gpu-tool",), **more}
    return samples.release(packages={"sources": {"vendor": vendor}, **wanted}, control=control)


def _packages(release: Release, sources: Path) -> tuple[LockedPackage, ...]:
    return lock_packages(release, samples.machine(sources), read_keys(release, sources))


def _lock(sources: Path) -> Lock:
    return Lock(release=_release(), packages=_packages(_release(), sources), images={}, models={})


def test_the_closure_is_what_a_minimal_host_lacks(sources: Path) -> None:
    found = {package.name: package for package in _packages(_release(), sources)}
    assert {name: package.groups for name, package in found.items()} == {
        "gpu-tool": ("gpu",),
        "library": ("all",),
        "tool": ("all",),
    }
    library = found["library"]
    assert (library.version, library.path, library.source) == ("1:2.0-1", "library.deb", "vendor")
    assert library.fields["Maintainer"] == "Jörg <j@x.org>"
    assert library.fields["Description"] == "library"
    assert found["tool"].fields["Depends"] == "library, core"


def test_what_base_brings_is_not_carried(sources: Path) -> None:
    found = _packages(_release(base=("library",)), sources)
    assert [package.name for package in found] == ["gpu-tool", "tool"]


def test_the_control_node_is_another_machine_than_a_host(sources: Path) -> None:
    """It gets what it lacks, though every host has that; and what both get is locked once."""
    wanted = {"base": ["unwanted"], "packages": ["library", "tool"]}
    found = _packages(_release(base=("library",), control=wanted), sources)
    assert {package.name: package.groups for package in found} == {
        "gpu-tool": ("gpu",),
        "library": ("control",),
        "tool": ("all", "control"),
    }
    lock = Lock(release=_release(), packages=found, images={}, models={})
    assert [package.name for package in lock.packages_for(frozenset({"gpu", "control"}))] == [
        "gpu-tool",
        "tool",
    ]


def test_what_is_on_a_bare_control_node_is_not_carried(sources: Path) -> None:
    wanted = {"base": ["library"], "packages": ["library", "unwanted"]}
    found = _packages(_release(control=wanted), sources)
    assert {package.name: package.groups for package in found if "control" in package.groups} == {
        "unwanted": ("control",)
    }
    with pytest.raises(SealiftError, match="nowhere"):
        _packages(_release(control={"base": ["nowhere"], "packages": []}), sources)


def test_a_host_needs_its_groups_packages_only(sources: Path) -> None:
    lock = _lock(sources)
    lock = lock.model_copy(update={"release": lock.release.model_copy(update={"images": {}})})
    assert len(needed_blobs(lock, frozenset())) == 2
    assert len(needed_blobs(lock, frozenset({"gpu", "other"}))) == 3


def test_packages_that_do_not_exist_are_all_named(sources: Path) -> None:
    with pytest.raises(SealiftError, match=r"(?s)no-such-thing.*nor-this"):
        _packages(_release(all=("no-such-thing", "nor-this")), sources)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [(b"Filename: ./", b"Filename: ./../apt/", "path"), (b"SHA256: ", b"SHA256: 0", "blob.digest")],
)
def test_a_repository_that_gives_what_no_lock_may_hold_is_refused(
    sources: Path, old: bytes, new: bytes, place: str
) -> None:
    _sign(sources / "apt", (sources / "apt" / "Packages").read_bytes().replace(old, new))
    with pytest.raises(SealiftError, match=rf"its index gives a {place} of .*Mend the repository"):
        _packages(_release(), sources)


def test_a_repository_altered_after_signing_is_refused(sources: Path) -> None:
    packages = sources / "apt" / "Packages"
    packages.write_bytes(packages.read_bytes().replace(b"3~rc1", b"3~rc2"))
    with pytest.raises(SealiftError, match=r"Hash Sum mismatch|File has unexpected size"):
        _packages(_release(), sources)


def test_a_repository_signed_by_another_key_is_refused(sources: Path) -> None:
    other = repository.site_key(sources / "other.pgp")
    (sources / "apt" / "key.asc").write_bytes(repository.certificate(other))
    with pytest.raises(SealiftError, match=r"NO_PUBKEY|not signed|verif"):
        _packages(_release(), sources)


def _host(lock: Lock, sources: Path, root: Path) -> IsolatedApt:
    """An apt that knows the release's repository and a host with the essential package."""
    made = repository.sign(lock, repository.site_key(root / "apt-key.pgp"), datetime.now(UTC))
    folder = root / "repository"
    files = (("key.asc", made.key), ("InRelease", made.inrelease), ("Packages", made.packages))
    for name, content in files:
        write_atomically(folder / name, content)
    (folder / "pool").mkdir()
    for package in lock.packages:
        (folder / repository.pool_path(package)).symlink_to(sources / "apt" / package.path)
    apt = IsolatedApt.make(root / "host")
    line = f"deb [signed-by={folder / 'key.asc'}] file:{folder} ./\n"
    (apt.root / "sources.list").write_text(line)
    core = "Package: core\nVersion: 1\nArchitecture: amd64\nMulti-Arch: foreign\nEssential: yes\n"
    (apt.root / "status").write_text(f"{core}Status: install ok installed\n\n")
    return apt


def test_apt_installs_from_the_signed_repository_of_a_release(sources: Path, tmp_path: Path) -> None:
    apt = _host(_lock(sources), sources, tmp_path / "site")
    apt.run("apt-get", "update", "--error-on=any")
    plan = apt.run("apt-get", "install", "--simulate", "tool=3~rc1", "library=1:2.0-1", "gpu-tool=1")
    assert sorted(line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")) == [
        "gpu-tool",
        "library",
        "tool",
    ]
    uris = apt.run("apt-get", "install", "--print-uris", "-qq", "library")
    assert "pool/library_1%253a2.0-1_amd64.deb" in uris or "pool/library_1%3a2.0-1_amd64.deb" in uris


def test_apt_fetches_what_the_lock_names(sources: Path, tmp_path: Path) -> None:
    lock = _lock(sources)
    apt = _host(lock, sources, tmp_path / "site")
    apt.run("apt-get", "update", "--error-on=any")
    result = subprocess.run(
        ["apt-get", "download", "library=1:2.0-1"],
        cwd=tmp_path,
        env=apt.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    library = next(package for package in lock.packages if package.name == "library")
    (arrived,) = tmp_path.glob("library_*.deb")
    assert arrived.stat().st_size == library.blob.size


def test_the_sites_key_is_private_and_does_not_expire(tmp_path: Path) -> None:
    key = repository.site_key(tmp_path / "apt-key.pgp")
    again = repository.site_key(tmp_path / "apt-key.pgp")
    assert (tmp_path / "apt-key.pgp").stat().st_mode & 0o777 == 0o600
    assert key.extract_certificate().expiration is None
    assert repository.certificate(again) == repository.certificate(key)
    assert b"PRIVATE" not in repository.certificate(key)


@pytest.mark.parametrize("form", ["armored", "binary", "keyring"])
def test_a_key_is_taken_in_any_form_and_named_by_its_bytes(sources: Path, form: str) -> None:
    path = sources / "apt/key.asc"
    certificate = repository.site_key(sources / "key.pgp").extract_certificate()
    other = repository.site_key(sources / "other.pgp").extract_certificate()
    content = {
        "armored": str(certificate).encode(),
        "binary": bytes(certificate),
        "keyring": bytes(other) + bytes(certificate),
    }[form]
    path.write_bytes(content)
    keys = read_keys(_release(), sources)
    assert key_digests(keys) == {"vendor": digest_of(content).digest}
    assert lock_packages(_release(), samples.machine(sources), keys)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "key.asc: not found below .*, named by packages.sources.vendor. Put it"),
        (lambda path: path.write_text("<html>404"), "is no OpenPGP key, expected the public one"),
        (lambda path: path.write_text(""), "is no OpenPGP key"),
        (lambda path: path.write_bytes(path.read_bytes()[:400]), "is no OpenPGP key"),
        (
            lambda path: path.write_bytes(bytes(repository.site_key(path.with_name("own")))),
            "is a private key, expected the public one of packages.sources.vendor. Export that alone",
        ),
        (
            lambda path: path.write_text(str(repository.site_key(path.with_name("own")))),
            "is a private key",
        ),
        (lambda path: (path.unlink(), path.symlink_to("/etc/hostname")), "key.asc: not found below"),
    ],
)
def test_what_is_no_vendors_key_is_refused(
    sources: Path, spoil: Callable[[Path], object], message: str
) -> None:
    spoil(sources / "apt/key.asc")
    with pytest.raises(SealiftError, match=message):
        read_keys(_release(), sources)


def test_a_package_is_of_the_source_that_is_nearest() -> None:
    main, vendor = (
        Repository(source, uri, "trixie", ("main",), "key")
        for source, uri in (("debian", "http://m/debian/"), ("vendor", "http://m/debian/vendor/"))
    )
    for known in ((main, vendor), (vendor, main)):
        assert place("http://m/debian/vendor/./a%2bb.deb", known) == ("vendor", "a+b.deb")
        assert place("http://m/debian/pool/a.deb", known) == ("debian", "pool/a.deb")
        assert blame("Failed http://m/debian/vendor x\nnothing", known) == (
            "packages.sources.vendor: Failed http://m/debian/vendor x\nnothing"
        )
    with pytest.raises(SealiftError, match="is in none of the release's repositories"):
        place("http://m/other/a.deb", (main, vendor))


@pytest.mark.parametrize(
    ("name", "version", "too_old"),
    [
        ("docker-compose", "1.29.2-3", True),
        ("docker-compose", "2.26.1-4", False),
        ("docker.io", "20.10.24+dfsg1-1+deb12u1+b6", True),
        ("docker.io", "26.1.5+dfsg1-9+deb13u1+b1", False),
        ("docker-ce", "5:24.0.9-1~debian.12~bookworm", True),
        ("docker-ce", "5:28.0.1-1~debian.12~bookworm", False),
        ("docker-ce", "5:25.0.0-1~debian.12~bookworm", False),
        ("docker-cli", "20.10.24", False),
    ],
)
def test_a_docker_that_hosts_cannot_be_run_with_is_refused(name: str, version: str, too_old: bool) -> None:
    lines = packages_that_are_too_old((samples.package(name, b"", version=version),))
    assert [line.partition(",")[0] for line in lines] == (
        [f"packages: {name} {version} is too old"] if too_old else []
    )
    assert all("docs/sources.md" in line for line in lines)
