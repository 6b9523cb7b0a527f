"""A site's own inventory, made once: hosts, settings, certificates, the first client's key."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyrage
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import SecretStr

from sealift.errors import SealiftError
from sealift.files import sync_folder, write_atomically
from sealift.services import MONITOR_NAME
from sealift.site import certificates
from sealift.site.certificates import CLIENT, SERVER, Names
from sealift.site.secrets import ACCEPTANCE, PROBE, ClientKeys, new_key, seal

TEMPLATES = Path(__file__).parents[2] / "templates" / "site"
FIRST_CLIENT = "first"
_MONITOR = "monitor"  # of the files of the certificate by which figures are read
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")  # of a site: a Python file has it
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:_-]{0,252}")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")  # useradd(8)


@dataclass(frozen=True)
class NewHost:
    """A host of a new inventory: its name there, where it is reached, whether it has a GPU."""

    name: str
    address: str
    gpu: bool = False

    @classmethod
    def parse(cls, text: str, gpu: bool = False) -> NewHost:
        """`NAME` or `NAME=ADDRESS`. Raises SealiftError where it is neither."""
        name, _, address = text.partition("=")
        if not _HOST.fullmatch(name) or (address and not _ADDRESS.fullmatch(address)):
            raise SealiftError(f"{text}: is no host, expected NAME or NAME=ADDRESS, such as llm1=10.0.0.11.")
        return cls(name, address or name, gpu)


@dataclass(frozen=True)
class NewSite:
    """What an inventory is made of.

    + jump: a host that all others are reached through; empty for none
    + ssh_key: private key that this control node logs in with
    + known_hosts: lines of known_hosts(5); may be empty
    + own_ca: whether the site has a CA of its own, which then gets requests to sign
    + monitors: names of the hosts that watch all of them
    + takes_from: inventories of which one must have passed with a bundle; empty where it takes any
    """

    name: str
    hosts: tuple[NewHost, ...]
    release: str
    depot: Path
    user: str
    jump: str
    ssh_key: Path
    known_hosts: bytes
    own_ca: bool
    monitors: tuple[str, ...] = ()
    takes_from: tuple[str, ...] = ()


@dataclass(frozen=True)
class Made:
    """What was made.

    + key: of the first client; shown once
    + requests: for the site's CA to sign
    """

    folder: Path
    client: str
    key: str
    requests: tuple[Path, ...]


def make_site(site: NewSite, base: Path) -> Made:
    """Make an inventory: all of it or nothing, and never in the place of another.

    + base: folder of all inventories

    Raises SealiftError where there is one of this name, or what it is made of is wrong.
    """
    _check(site)
    folder = base / site.name
    if folder.exists():
        raise SealiftError(
            f"{folder}: is there already, expected nothing. It is yours to edit; sealift check {site.name} "
            "looks it over."
        )
    key = new_key()
    files = _files(site, folder, key)
    base.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{site.name}.", dir=base))
    try:
        for name, (content, mode) in files.items():
            write_atomically(new / name, content, mode)
        new.chmod(0o755)
        (new / "tls").chmod(0o755)
        new.rename(folder)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    sync_folder(base)
    requests = tuple(folder / name for name in files if name.endswith(".csr"))
    return Made(folder, FIRST_CLIENT, key.get_secret_value(), requests)


def _check(site: NewSite) -> None:
    wrong = []
    if not _NAME.fullmatch(site.name):
        wrong.append(f"{site.name}: is no name of a site, expected small letters, digits, - and _.")
    names = [host.name for host in site.hosts]
    wrong += [
        f"{name}: is named twice. Name it once." for name in sorted(set(names)) if names.count(name) > 1
    ]
    if not names:
        wrong.append(f"{site.name}: has no hosts. Add --host NAME=ADDRESS, or --gpu for one with a GPU.")
    wrong += [
        f"{name}: is the name of other files in tls/, expected another for a host."
        for name in ("ca", _MONITOR)
        if name in names
    ]
    wrong += [
        f"{name}: is no host of this site, expected one that --host or --gpu names."
        for name in site.monitors
        if name not in names
    ]
    wrong += [
        f"{name}: is no name of an inventory, expected one such as staging."
        for name in site.takes_from
        if not _NAME.fullmatch(name)
    ]
    if not _USER.fullmatch(site.user):
        wrong.append(f"{site.user}: is no name of a user.")
    if site.jump and not _ADDRESS.fullmatch(site.jump):
        wrong.append(f"{site.jump}: is no host. Name the jump host as ssh does.")
    if re.search(r"\s", str(site.ssh_key)):
        wrong.append(f"{site.ssh_key}: has a space in it, which ssh_config takes badly. Move the key.")
    if wrong:
        raise SealiftError("\n".join(wrong))


def _files(site: NewSite, folder: Path, api_key: SecretStr) -> dict[str, tuple[bytes, int]]:
    """Path below the folder: content and mode."""
    render = _renderer(site, folder)
    identity = pyrage.x25519.Identity.generate()
    files = {
        f"{site.name}.py": (render("inventory.py"), 0o644),
        "group_data/all.py": (render("all.py"), 0o644),
        "ssh_config": (render("ssh_config"), 0o644),
        "known_hosts": (site.known_hosts, 0o644),
        "identity": (f"# public key: {identity.to_public()}\n{identity}\n".encode(), 0o600),
        "secrets.age": (
            seal(
                {
                    FIRST_CLIENT: ClientKeys(keys=(api_key,)),
                    # A role of its name is in no release: it may ask for none.
                    ACCEPTANCE: ClientKeys(keys=(new_key(),), roles=(ACCEPTANCE,)),
                    PROBE: ClientKeys(keys=(new_key(),)),
                },
                identity.to_public(),
            ),
            0o600,
        ),
    }
    if any(host.gpu for host in site.hosts):
        files["group_data/gpu.py"] = (render("gpu.py"), 0o644)
    if site.takes_from:
        files["promotion_signers"] = (render("promotion_signers"), 0o644)
    return {**files, **_tls(site)}


def _tls(site: NewSite) -> Mapping[str, tuple[bytes, int]]:
    names = {host.name: Names.of_host(host.name, host.address) for host in site.hosts}
    names |= {_MONITOR: Names((MONITOR_NAME,))}
    if site.own_ca:
        keys = {name: certificates.new_key() for name in names}
        return {f"tls/{name}.key": (certificates.key_pem(key), 0o600) for name, key in keys.items()} | {
            f"tls/{name}.csr": (certificates.signing_request(key, names[name]), 0o644)
            for name, key in keys.items()
        }
    now = datetime.now(UTC)
    authority = certificates.new_authority(site.name, now)
    pairs = {"ca": authority.pair} | {
        name: authority.issue(each, now, CLIENT if name == _MONITOR else SERVER)
        for name, each in names.items()
    }
    return {f"tls/{name}.key": (pair.key, 0o600) for name, pair in pairs.items()} | {
        f"tls/{name}.crt": (pair.certificate, 0o644) for name, pair in pairs.items()
    }


def _renderer(site: NewSite, folder: Path) -> Callable[[str], bytes]:
    """A function that renders a file, by its name."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Python and ssh_config, not HTML
    )
    paths = {"depot": str(site.depot), "folder": str(folder), "ssh_key": str(site.ssh_key)}
    values = {"name": site.name, "hosts": site.hosts, "monitors": site.monitors, "release": site.release}
    values["takes_from"] = site.takes_from
    inputs = {**values, **paths, "user": site.user, "jump": site.jump}
    return lambda name: environment.get_template(f"{name}.j2").render(inputs).encode()
