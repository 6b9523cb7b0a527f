"""What the demo makes is the same bytes each time, in the formats that Docker and apt read."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from demo.archive import EPOCH, ImageSettings, Member, image_config, write_docker_archive, write_tar
from demo.images import is_kept, normalise
from demo.nvidia import deb_control, deb_name, packages_index
from demo.watch_images import write_difference
from sealift.errors import SealiftError
from sealift.release.types import Image
from tests.unit.samples import lock_image

SETTINGS = ImageSettings(entrypoint=("/bin/true",), command=(), ports=("80/tcp",))


def test_a_tar_file_is_the_same_whoever_wrote_its_input_and_when(tmp_path: Path) -> None:
    for number, mode in enumerate((0o600, 0o777)):
        source = tmp_path / "source"
        source.write_text("hello")
        source.chmod(mode)
        write_tar(tmp_path / f"{number}.tar", [Member("a", None, 0o755), Member("a/b", source)])
    assert (tmp_path / "0.tar").read_bytes() == (tmp_path / "1.tar").read_bytes()
    with tarfile.open(tmp_path / "0.tar") as tar:
        entry = tar.getmember("a/b")
        assert (entry.uid, entry.gid, entry.mode, entry.mtime) == (0, 0, 0o644, EPOCH)


def test_an_image_is_read_by_the_resolver_with_the_id_that_was_computed(tmp_path: Path) -> None:
    layers = [tmp_path / "base.tar", tmp_path / "top.tar"]
    for layer in layers:
        write_tar(layer, [Member(layer.name, layer.name.encode())])
    name = "localhost/sealift/test:1.0"
    image_id = write_docker_archive(tmp_path / "image.tar", name, layers, SETTINGS)
    again = write_docker_archive(tmp_path / "again.tar", name, layers, SETTINGS)
    assert image_id == again
    assert (tmp_path / "image.tar").read_bytes() == (tmp_path / "again.tar").read_bytes()

    locked = lock_image(Image(name=name, archive="image.tar"), tmp_path)
    assert locked.image_id == image_id
    assert [layer.hex for layer in locked.layers] == [
        hashlib.sha256(layer.read_bytes()).hexdigest() for layer in layers
    ]


def test_an_image_config_has_what_docker_needs() -> None:
    config = json.loads(image_config(SETTINGS, ["0" * 64]))
    assert (config["os"], config["architecture"]) == ("linux", "amd64")
    assert config["created"] == "2026-11-01T00:00:00Z"
    assert config["config"]["ExposedPorts"] == {"80/tcp": {}}
    assert config["rootfs"] == {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]}


def test_the_base_keeps_licences_and_loses_what_is_of_the_build_machine() -> None:
    assert is_kept("usr/share/doc/bash/copyright")
    assert is_kept("usr/share/common-licenses/Apache-2.0")
    assert is_kept("etc/hosts.allow")
    assert not is_kept("usr/share/doc/bash/README")
    assert not is_kept("etc/apt/sources.list")
    assert not is_kept("etc/resolv.conf")
    assert not is_kept("var/log")


def test_the_base_is_the_same_in_whatever_order_and_time_it_was_packed(tmp_path: Path) -> None:
    names = ["./usr/bin/bash", "./usr/bin/a-link", "./etc/hostname", "./etc/passwd"]
    for number, order in enumerate((names, names[:1] + names[:0:-1])):
        with tarfile.open(tmp_path / f"{number}.tar", "w") as tar:
            for name in order:
                entry = tarfile.TarInfo(name)
                entry.mtime = EPOCH + 1000 + number
                if name.endswith("link"):
                    entry.type, entry.linkname = tarfile.LNKTYPE, "./usr/bin/bash"
                    tar.addfile(entry)
                else:
                    entry.size = 2
                    tar.addfile(entry, io.BytesIO(b"hi"))
        normalise(tmp_path / f"{number}.tar", tmp_path / f"{number}.out")
    assert (tmp_path / "0.out").read_bytes() == (tmp_path / "1.out").read_bytes()
    with tarfile.open(tmp_path / "0.out") as tar:
        assert tar.getnames() == ["etc/passwd", "usr/bin/bash", "usr/bin/a-link"]
        assert tar.getmember("usr/bin/a-link").linkname == "usr/bin/bash"


def _root(path: Path, files: dict[str, bytes]) -> Path:
    write_tar(path, [Member(name, content) for name, content in sorted(files.items())])
    return path


def test_a_layer_has_what_a_program_adds_to_the_base_by_upstreams_names(tmp_path: Path) -> None:
    base = {"usr/bin/bash": b"bash", "var/lib/dpkg/status": b"old", "etc/passwd": b"root"}
    more = {"var/lib/dpkg/status": b"new", "etc/passwd": b"root, and a user of today", "var/lib/x/y": b""}
    lower = _root(tmp_path / "base.tar", base)
    whole = _root(tmp_path / "whole.tar", {**base, **more, "usr/bin/debians": b"a program"})
    write_difference(whole, lower, tmp_path / "layer.tar", {"usr/bin/debians": "usr/bin/upstreams"})
    with tarfile.open(tmp_path / "layer.tar") as tar:
        assert tar.getnames() == ["usr/bin/upstreams", "var/lib/dpkg/status"]
    with pytest.raises(SealiftError, match="lacks usr/bin/gone"):
        write_difference(whole, lower, tmp_path / "layer.tar", {"usr/bin/gone": "usr/bin/x"})


def test_the_package_index_names_the_package_by_its_digest() -> None:
    index = packages_index(deb_control(26512), b"deb").decode()
    fields = dict(line.split(": ", 1) for line in index.splitlines() if ": " in line and line[0] != " ")
    assert fields["Package"] == "nvidia-container-toolkit-base"
    assert fields["Version"] == "1.20.0-1"
    assert fields["Filename"] == deb_name() == "nvidia-container-toolkit-base_1.20.0-1_amd64.deb"
    assert (fields["Size"], fields["SHA256"]) == ("3", hashlib.sha256(b"deb").hexdigest())
    assert index.endswith("\n\n")
    assert "built for the demo" in index
