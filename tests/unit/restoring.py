"""A host in a folder of the test, with tools that only write down what they are told, for `restore.sh`."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from sealift.host.generation import Generation
from sealift.host_paths import ROOT
from tests.unit.test_generation_placing import _place

# Each tool counts its calls, and kills the script that called it at the call that it is told to.
_TOOL = """\
#!/bin/sh
state={state}
echo "$(($(cat $state/calls) + 1))" >$state/calls
[ "$(cat $state/calls)" != "$(cat $state/deadly)" ] || {{ kill -KILL "$(cat $state/pid)"; sleep 5; }}
{body}
"""
_DOCKER = """\
key() { echo "$1" | /usr/bin/tr /: __; }
case "$1 $2" in
    "image inspect") cat "$state/images/$(key "$5")" 2>/dev/null || exit 1 ;;
    "tag "*) cp "$state/images/$(key "$2")" "$state/images/$(key "$3")" ;;
    "load "*)
        rm -rf $state/load && mkdir $state/load && tar -xf - -C $state/load || exit 1
        name=$(sed 's/.*RepoTags":\\["//; s/".*//' $state/load/manifest.json)
        config=$(sed 's/.*Config":"//; s/".*//' $state/load/manifest.json)
        id=sha256:$(sha256sum <$state/load/$config | cut -c 1-64)
        for each in $(grep -o 'blobs/sha256/[0-9a-f]*' $state/load/manifest.json); do
            [ -f $state/load/$each ] || exit 1
        done
        echo "$id" >"$state/images/$(key "$name")"
        echo "$id" >"$state/images/$(key "$id")"
        ;;
    "network inspect") [ -e "$state/networks/$3" ] ;;
    "network create") : >"$state/networks/$4" ;;
    "ps "*) ls $state/projects ;;
    "compose --project-name")
        case "$*" in
            *" up "*)
                file=$5
                [ -f "$file" ] || exit 1
                [ ! -e "$state/broken" ] || exit 1
                sha256sum <"$file" >"$state/projects/$3" ;;
            *" down "*) rm "$state/projects/$3" ;;
        esac ;;
    *) echo "docker $*" >&2; exit 9 ;;
esac
"""
_SYSTEMCTL = 'case $1 in is-*) ;; *) echo "$*" >>$state/units ;; esac'
_APT_GET = """\
for word; do
    case $word in
        *::*) ;;
        *=*) echo "ii  ${word%%=*} ${word#*=}" >"$state/packages/${word%%=*}" ;;
    esac
done
"""
_DPKG = """\
case $1 in --remove) shift; for each; do rm "$state/packages/$each"; done ;; esac
"""
_TOOLS = {
    "docker": _DOCKER,
    "systemctl": _SYSTEMCTL,
    "apt-get": _APT_GET,
    "dpkg": _DPKG,
    "dpkg-query": "cat $state/packages/* 2>/dev/null || :",
    "sync": ":",
    "ln": '/usr/bin/ln "$@"',
    "mv": '/usr/bin/mv "$@"',
}


class RestoredHost:
    """A folder in the place of a whole host."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root, self._state = folder, folder / "sealift", folder / "state"
        self._bin = folder / "bin"
        for each in ("images", "networks", "projects", "packages"):
            (self._state / each).mkdir(parents=True)
        self._bin.mkdir()
        (self.root / "generations").mkdir(parents=True)
        (self.root / "blobs/sha256").mkdir(parents=True)
        for name, body in _TOOLS.items():
            (self._bin / name).write_text(_TOOL.format(state=self._state, body=body))
            (self._bin / name).chmod(0o755)
        self.package("dpkg", "1")

    def here(self, text: str) -> str:
        """A host's paths, in this folder."""
        text = text.replace(ROOT, str(self.root))
        return re.sub(r"(?<![\w./])/(etc|opt)/", rf"{self.folder}/\1/", text)

    def package(self, name: str, version: str) -> None:
        """Have a package installed."""
        (self._state / "packages" / name).write_text(f"ii  {name} {version}\n")

    def image(self, name: str, image_id: str) -> None:
        """Have Docker know an image."""
        for each in (name, image_id):
            (self._state / "images" / re.sub("[/:]", "_", each)).write_text(f"{image_id}\n")

    def blob(self, content: bytes, digest: str) -> None:
        """Have a verified blob in the host store; its name is taken on trust."""
        path = self.root / "blobs/sha256" / digest
        path.write_bytes(content)
        os.utime(path, (1, 1))

    def has(
        self, generation: Generation, links: tuple[str, ...] = (), stood: Mapping[str, str] | None = None
    ) -> None:
        """Have a generation there, and links that lead to it."""
        _place(generation, self.root / "generations")
        own = self.root / "generations" / generation.id
        for name in ("record", "restore.sh"):
            (own / name).write_text(self.here((own / name).read_text()))
        for path, content in (stood or {}).items():
            copy = own / "stood" / self.here(path)[1:]
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(content)
        for link in links:
            self.point(link, generation.id)

    def point(self, link: str, generation: str) -> None:
        """Have a link lead to a generation."""
        (self.root / link).unlink(missing_ok=True)
        (self.root / link).symlink_to(f"generations/{generation}")

    def breaks(self, broken: bool = True) -> None:
        """Have no service come up any more."""
        (self._state / "broken").touch() if broken else (self._state / "broken").unlink()

    def restore(self, link: str = "previous", deadly: int = 0) -> subprocess.CompletedProcess[str]:
        """Run the script of a generation.

        + deadly: the call of a tool at which it is killed
        """
        (self._state / "calls").write_text("0")
        (self._state / "deadly").write_text(str(deadly))
        command = f"echo $$ >{self._state}/pid; exec sh {self.root}/{link}/restore.sh"
        path = f"{self._bin}:/usr/sbin:/usr/bin:/sbin:/bin"
        return subprocess.run(
            ["sh", "-c", command], capture_output=True, text=True, env={"PATH": path}, check=False
        )

    @property
    def calls(self) -> int:
        """How often tools were called since the last start."""
        return int((self._state / "calls").read_text())

    def state(self) -> dict[str, str]:
        """Everything that the script may change: files and links with what they hold."""
        found = {}
        for top in (self.root, self.folder / "etc", self.folder / "opt", *(self._state / d for d in _STATES)):
            for path in sorted(top.rglob("*")):
                name = str(path.relative_to(self.folder))
                if path.is_symlink():
                    found[name] = str(path.readlink())
                elif path.is_file() and not name.startswith(_ASIDE):
                    found[name] = path.read_bytes().decode(errors="replace")
        return found

    def units(self) -> list[str]:
        """What systemd was told."""
        path = self._state / "units"
        return path.read_text().splitlines() if path.exists() else []


_STATES = ("images", "networks", "projects", "packages")
# what may be there or not: Docker keeps images without a name
_ASIDE = ("sealift/blobs/", "sealift/restore.lock", "sealift/returned", "state/images/sha256_")
