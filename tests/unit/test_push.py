"""What the scripts for live files and keys do in a folder of the test, beside a Docker that is none."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr

from sealift.bundle.build import build
from sealift.clients.push import settings_of
from sealift.depot.importing import import_bundle
from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.facts.generation import expected_live
from sealift.host.behind import Behind
from sealift.host.client_inputs import clients_values
from sealift.host.generation import (
    Generation,
    RenderedFile,
    clients_files,
    hosts_files,
    live_path,
    version_of,
)
from sealift.host.given import SiteFiles
from sealift.host.record import PLACE
from sealift.host.wanted import applied_to
from sealift.host_paths import CURRENT, LIVE, PREVIOUS, ROOT
from sealift.live.push import _ASK, Stands, packed, parse_stands, script
from sealift.operations.live import go_back, taking
from sealift.progress import silent
from sealift.release.role import Role
from sealift.services import ALLOWED, BUDGET, CLUSTERS, FRONT, GATEWAY, KEYS, LIMITS
from sealift.site.inventory import Host
from tests.unit import tiny
from tests.unit.fleet_site import site_settings, wanted
from tests.unit.samples import MODEL
from tests.unit.test_generation import LAB, TEMPLATES, rendered
from tests.unit.test_generation_placing import _place

SHOP = {"shop": (SecretStr("key-of-shop"),)}
ROLES = {"shop": ("chat",)}
NEW = clients_files(clients_values(LAB, SiteFiles(SHOP, b"", b"", ROLES)), TEMPLATES)
STATS = GATEWAY.live.versions if GATEWAY.live else {}
STAT, FRONT_STATS = STATS[KEYS], FRONT.live.versions if FRONT.live else {}
KEYS_FILE, ALLOWED_FILE, LIMITS_FILE = (live_path(GATEWAY, name) for name in (KEYS, ALLOWED, LIMITS))
OF_GATEWAY = {path: file for path, file in NEW.items() if path.startswith("gateway/")}


class FakeHost:
    """A folder in the place of sealift's, and a Docker whose gateway says what it is told to say."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "sealift"
        self._bin = folder / "bin"
        self._bin.mkdir(parents=True)
        docker = self._bin / "docker"
        docker.write_text(f"#!/bin/sh\ncase $1 in ps) echo id ;; exec) cat {folder}/says ;; esac\n")
        docker.chmod(0o755)
        self._says = folder / "says"
        self.says("")

    def says(self, keys: str) -> None:
        """The gateway says that it goes by this version of its keys; nothing where that is empty."""
        self._says.write_text(f'{STAT}: "{keys}"\n' if keys else "")

    def goes_by(self, files: Mapping[str, RenderedFile]) -> None:
        """Every service says that it goes by these live files."""
        lines = (
            f'{ {**FRONT_STATS, **STATS}[Path(path).name] }: "{version_of(file.content)}"'
            for path, file in files.items()
        )
        self._says.write_text("\n".join(lines) + "\n")

    def take(self, files: Mapping[str, RenderedFile]) -> str:
        """Give it live files; what came of it."""
        return self.run(script(self.stands(), files), packed(files))

    def run(self, script: str, data: bytes = b"") -> str:
        """Run a script of ours; give what it printed."""
        script = script.replace(ROOT, str(self.root)).replace("+ 10))", "+ 1))")
        path = f"{self._bin}:/usr/sbin:/usr/bin:/sbin:/bin"
        ran = subprocess.run(
            ["sh", "-c", script], input=data, capture_output=True, env={"PATH": path}, check=False
        )
        assert ran.returncode == 0, ran.stderr.decode()
        return ran.stdout.decode()

    def has(self, generation: Generation, link: str) -> None:
        """Have a generation there, and a link that leads to it."""
        (self.root / "generations").mkdir(parents=True, exist_ok=True)
        _place(generation, self.root / "generations")
        (self.root / Path(link).name).symlink_to(f"generations/{generation.id}")

    def stands(self) -> dict[str, Stands]:
        said = self.run(_ASK).replace(str(self.root), ROOT)
        return parse_stands("h1", said)

    def ids(self) -> dict[str, str]:
        return {Path(link).name: stands.id for link, stands in self.stands().items()}

    def keys(self) -> str:
        """The version of the keys in place."""
        return version_of((self.root / "live/gateway" / KEYS).read_bytes())


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path)


def test_live_files_are_those_of_the_generation_and_private(host: FakeHost) -> None:
    target = wanted()
    host.has(target.generation, CURRENT)
    stray = host.root / "live/gateway/stray.yaml"
    for folder in (stray.parent, host.root / "live/older", host.root / "live/gateway/tls.yaml"):
        folder.mkdir(parents=True)
    stray.touch()
    (host.root / "live").chmod(0o755)
    host.run(f"set -eu\n{PLACE}\nplace_live {CURRENT} {LIVE}")
    placed = {str(path.relative_to(host.root / "live")): path for path in (host.root / "live").rglob("*")}
    modes = {name: f"{path.stat().st_mode & 0o777:o}" for name, path in placed.items()}
    expected = {name: mode for name, (mode, _) in expected_live(target).items() if name != "."}
    assert modes == expected and (host.root / "live").stat().st_mode & 0o777 == 0o700
    for name, file in target.generation.live(GATEWAY).items():
        assert placed[f"gateway/{name}"].read_bytes() == file.content


def test_going_back_brings_the_generation_before_but_no_key_of_it(host: FakeHost) -> None:
    before, after = rendered(), rendered(keys={"other": (SecretStr("another"),)})
    host.has(before, PREVIOUS)
    host.has(after, CURRENT)
    host.run(f"{PLACE}\nplace_live {CURRENT} {LIVE}")
    for path in (host.root / "generations").glob("*/restore.sh"):
        path.unlink()  # an older sealift made none
    host.run(go_back("gateway has not taken its configuration"))
    assert host.ids() == {"current": after.id, "previous": before.id}  # what has proved itself stays
    (host.root / "unconfirmed").touch()
    host.run(go_back("gateway has not taken its configuration"))
    assert host.ids() == {"current": before.id}
    assert not (host.root / "unconfirmed").exists()
    assert host.keys() == version_of(after.files[f"gateway/live/{KEYS}"].content)
    for name, file in before.live(GATEWAY).items():
        if name != KEYS:
            assert (host.root / "live/gateway" / Path(name).name).read_bytes() == file.content


@pytest.mark.parametrize(("says", "code"), [("0123456789abcdef", 0), ("another", 1), ("", 2)])
def test_a_service_goes_by_its_files_only_when_it_says_so(host: FakeHost, says: str, code: int) -> None:
    host.says(says)
    answer = f"{taking(GATEWAY, {STAT: '0123456789abcdef'})}\nwait_taken; echo $?"
    assert host.run(answer) == f"{code}\n"


def test_keys_make_the_generation_that_an_apply_would_make(host: FakeHost) -> None:
    host.has(rendered(), CURRENT)
    host.goes_by(NEW)
    assert host.take(NEW) == "taken\n"
    applied = rendered(keys=SHOP, allowed=ROLES)
    (stands,) = host.stands().values()
    assert stands.id == applied.id
    assert stands.files == {path: (file.mode, file.sha256) for path, file in applied.files.items()}
    assert host.keys() == version_of(NEW[KEYS_FILE].content)
    assert len(list((host.root / "generations").iterdir())) == 2  # a folder and its link
    assert list(host.root.glob(".*")) == []


def test_the_generation_to_go_back_to_gets_the_keys_too(host: FakeHost) -> None:
    before, now = rendered(bundle=f"sha256:{'d' * 64}"), rendered()
    host.has(before, PREVIOUS)
    host.has(now, CURRENT)
    host.goes_by(NEW)
    assert host.take(NEW) == "taken\n"
    for stands in host.stands().values():
        for path, file in OF_GATEWAY.items():
            assert stands.files[path] == (0o600, file.sha256)
    ids = host.ids()
    assert ids.keys() == {"current", "previous"} and not {before.id, now.id} & set(ids.values())
    assert len(list((host.root / "generations").iterdir())) == 4


def test_two_generations_that_differed_in_keys_alone_become_one(host: FakeHost) -> None:
    host.has(rendered(keys={"other": (SecretStr("another"),)}), PREVIOUS)
    host.has(rendered(), CURRENT)
    host.goes_by(NEW)
    assert host.take(NEW) == "taken\n"
    assert len(set(host.ids().values())) == 1 and host.ids().keys() == {"current", "previous"}


def test_keys_that_the_gateway_refuses_leave_the_host_as_it_was(host: FakeHost) -> None:
    before, now = rendered(bundle=f"sha256:{'d' * 64}"), rendered()
    host.has(before, PREVIOUS)
    host.has(now, CURRENT)
    host.says("another")
    assert host.take(NEW) == "refused gateway\n"
    assert host.ids() == {"current": now.id, "previous": before.id}
    assert host.keys() == version_of(now.files[f"gateway/live/{KEYS}"].content)
    assert len(list((host.root / "generations").iterdir())) == 4


def test_a_gateway_that_does_not_answer_has_the_keys_for_when_it_starts(host: FakeHost) -> None:
    now = rendered()
    host.has(now, CURRENT)
    assert host.take(NEW) == "silent gateway\n"
    assert host.ids()["current"] != now.id
    assert host.keys() == version_of(NEW[KEYS_FILE].content)


def test_the_same_keys_once_more_change_nothing(host: FakeHost) -> None:
    now = rendered()
    host.has(now, CURRENT)
    same = {path: now.files[path] for path in OF_GATEWAY}
    host.goes_by(same)
    assert host.take(same) == "taken\n"
    assert host.ids() == {"current": now.id}


def test_half_of_the_keys_are_not_placed(host: FakeHost) -> None:
    now = rendered()
    host.has(now, CURRENT)
    whole = packed(NEW)
    for cut in (whole[:700], whole.replace(b"key-of-shop", b"key-of-shoq"), b""):
        with pytest.raises(AssertionError):
            host.run(script(host.stands(), NEW), cut)
        assert host.ids() == {"current": now.id} and list(host.root.glob(".*")) == []


def test_a_generation_of_an_older_sealift_gets_what_it_knows(host: FakeHost) -> None:
    now = rendered()
    older = {path: file for path, file in now.files.items() if not path.endswith((ALLOWED, BUDGET, CLUSTERS))}
    host.has(dataclasses.replace(now, files=older), CURRENT)
    assert host.stands()[CURRENT].known(NEW) == (KEYS_FILE, LIMITS_FILE)
    host.goes_by({path: NEW[path] for path in (KEYS_FILE, LIMITS_FILE)})
    assert host.take(NEW) == "taken\n"
    assert host.keys() == version_of(NEW[KEYS_FILE].content)
    assert not (host.root / "live/gateway" / ALLOWED).exists()


def test_front_doors_get_the_keys_in_the_same_step(host: FakeHost) -> None:
    now = rendered(LAB, FRONT.name)
    host.has(now, CURRENT)
    host.goes_by(NEW)
    assert host.take(NEW) == "taken\n"
    assert host.ids() == {"current": rendered(LAB, FRONT.name, keys=SHOP, allowed=ROLES).id}
    host.says("another")
    assert host.take({path: now.files[path] for path in NEW}) == "refused front\n"
    assert host.keys() == version_of(NEW[KEYS_FILE].content)


def test_hosts_behind_a_front_door_change_without_anything_else(host: FakeHost) -> None:
    now, drained = rendered(LAB, FRONT.name, fleet=_fleet(False)), _fleet(True)
    host.has(now, CURRENT)
    new = hosts_files(drained, TEMPLATES)
    host.goes_by(new)
    assert host.take(new) == "taken\n"
    assert host.ids() == {"current": rendered(LAB, FRONT.name, fleet=drained).id}


def _fleet(drained: bool) -> tuple[Behind, ...]:
    return (Behind("h2", "10.0.0.2", 8443, ("chat",), 4096, 300, drained),)


def test_no_key_stands_in_the_script(host: FakeHost) -> None:
    host.has(rendered(), CURRENT)
    assert "key-of-shop" not in script(host.stands(), NEW)


@pytest.mark.parametrize("said", ["$(reboot)\n", "0123456789ab\nentry\tx", "0123456789ab\n"])
def test_a_generation_that_cannot_be_read_is_an_error_of_its_host(said: str) -> None:
    with pytest.raises(SealiftError, match=r"^h1: .* cannot be read"):
        parse_stands("h1", f"sealift-generation={CURRENT} {said}")


def test_limits_go_by_what_the_roles_of_the_release_ask_for(tmp_path: Path) -> None:
    made = tiny.site(tmp_path)
    roles = {"chat": Role(model=MODEL, parallel=3)}
    lock = made.lock.model_copy(update={"release": made.lock.release.model_copy(update={"roles": roles})})
    build(lock, made.sources, tmp_path / "parallel", made.key, silent)
    depot = Depot(tmp_path / "depot")
    known = site_settings(depot=str(depot.path), release=lock.release.reference)
    host = Host("h1", frozenset(), known)
    assert settings_of(host) == known  # not imported: keys must go all the same
    import_bundle(depot, tmp_path / "parallel", made.allowed, silent)
    assert settings_of(host).ollama.num_parallel == 3
    assert settings_of(host) == applied_to(known, lock, frozenset())
