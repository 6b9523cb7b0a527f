"""A site's own rules, judged on the control node by the promtool of the release, out of the depot."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from sealift.blob import Blob
from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.release.locked import LockedImage
from sealift.site import rule_check
from sealift.site.rule_check import NoPromtoolError, judge_rules
from tests.watch_tools import layers

RIGHT = """
groups:
  - name: site
    rules:
      - alert: QueueLong
        expr: envoy_http_downstream_rq_active > 20
        for: 10m
        labels: {severity: warning}
        annotations: {summary: "{{ $labels.host }}: {{ $value }} requests wait."}
"""


@pytest.fixture(scope="module")
def depot(tmp_path_factory: pytest.TempPathFactory) -> Depot:
    return Depot(tmp_path_factory.mktemp("depot"))


def _image(depot: Depot, *contents: bytes) -> LockedImage:
    """An image of these layers, which are put into the depot."""
    depot.store.folder.mkdir(parents=True, exist_ok=True)
    blobs = []
    for content in contents:
        hexadecimal = hashlib.sha256(content).hexdigest()
        (depot.store.folder / hexadecimal).write_bytes(content)
        blobs.append(Blob(digest=f"sha256:{hexadecimal}", size=len(content)))
    return LockedImage(name="localhost/sealift/prometheus:1", config=blobs[0], layers=tuple(blobs))


@pytest.fixture(scope="module")
def image(depot: Depot) -> LockedImage:
    """The demo's image of Prometheus, in a depot."""
    with layers("prometheus") as found:
        return _image(depot, *(layer.read() for layer in found))


def _layer(name: str, content: bytes) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return written.getvalue()


def _rules(folder: Path, text: str) -> Path:
    path = folder / "rules.yml"
    path.write_text(text)
    return path


def test_right_rules_pass(depot: Depot, image: LockedImage, tmp_path: Path) -> None:
    judge_rules(_rules(tmp_path, RIGHT), depot, image)


@pytest.mark.parametrize(
    ("given", "wrong", "said"),
    [
        ("active > 20", "active >", 'group "site", rule 1, "QueueLong": could not parse expression'),
        ("for: 10m", "for: soon", "not a valid duration string"),
        ("annotations:", "annotation:", "field annotation not found"),
        ("$value }}", "$value ", 'annotation "summary": template'),
        ("groups:", "group:", "field group not found"),
        ("  - name: site", "\t- name: site", "found character that cannot start any token"),
        (RIGHT, "- 3", "cannot unmarshal"),
    ],
)
def test_wrong_rules_are_refused_in_promtools_words(
    given: str, wrong: str, said: str, depot: Depot, image: LockedImage, tmp_path: Path
) -> None:
    path = _rules(tmp_path, RIGHT.replace(given, wrong))
    with pytest.raises(SealiftError) as caught:
        judge_rules(path, depot, image)
    assert not isinstance(caught.value, NoPromtoolError)
    *lines, last = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}: promtool: ") for line in lines)
    assert said in "\n".join(lines)
    assert last == f"{path}: is refused. Correct it, or take it out of monitoring.rules."


def test_what_promtool_quotes_cannot_move_a_terminals_cursor(
    depot: Depot, image: LockedImage, tmp_path: Path
) -> None:
    path = _rules(tmp_path, RIGHT.replace("active > 20", "'\\x1b[2J\u202e' >"))
    with pytest.raises(SealiftError) as caught:
        judge_rules(path, depot, image)
    assert "".join(str(caught.value).splitlines()).isprintable()


def test_a_layer_that_was_altered_is_not_run(image: LockedImage, depot: Depot, tmp_path: Path) -> None:
    other = Depot(tmp_path / "other")
    ran = tmp_path / "ran"
    altered = _image(other, _layer("usr/bin/promtool", f"#!/bin/sh\ntouch {ran}\n".encode()))
    path = other.blob_path(altered.layers[0].digest)
    path.write_bytes(path.read_bytes().replace(b"touch", b"truly"))
    with pytest.raises(SealiftError, match="is damaged"):
        judge_rules(_rules(tmp_path, RIGHT), other, altered)
    assert not ran.exists()


@pytest.mark.parametrize(
    "layer",
    [_layer("usr/bin/other", b""), _layer("usr/bin/promtool", b"\x7fELF of another processor")],
)
def test_without_a_promtool_that_runs_nothing_is_judged(layer: bytes, tmp_path: Path) -> None:
    depot = Depot(tmp_path / "depot")
    with pytest.raises(NoPromtoolError):
        judge_rules(_rules(tmp_path, RIGHT), depot, _image(depot, layer))


_TELLS = b"""#!/bin/sh
[ "$1" = --version ] && exit
echo "user $(id -u), groups $(id -G)"
echo "rights $(sed -n 's/^NoNewPrivs:.//p; s/^CapEff:.//p' /proc/self/status | tr '\\n' ' ')"
echo "networks $(tail -n +3 /proc/net/dev | cut -d : -f 1 | tr -d ' \\n')"
echo "open $(ls /proc/self/fd | tr '\\n' ' ')"
echo "variables $(tr '\\0' ' ' </proc/self/environ)"
exit 1
"""


def test_promtool_is_nobody_and_has_no_network(tmp_path: Path) -> None:
    """As root, as which peers' tests run."""
    depot = Depot(tmp_path / "depot")
    with pytest.raises(SealiftError) as caught:
        judge_rules(_rules(tmp_path, RIGHT), depot, _image(depot, _layer("bin/promtool", _TELLS)))
    told = [line.rpartition("promtool: ")[2] for line in str(caught.value).splitlines()[:-1]]
    assert told[:3] == ["user 65534, groups 65534", "rights 0000000000000000 1", "networks lo"]
    assert told[3].split() == ["open", "0", "1", "2", "3"]  # 3 is that folder
    assert told[4] in ("variables", "variables PWD=/")  # which the shell of this one sets


def test_where_no_network_can_be_made_promtool_is_nobody_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = ("sh", "-c", "exit 1", "--", *rule_check._AS_NOBODY)
    monkeypatch.setattr(rule_check, "_ROOTS_WALLS", (failing, *rule_check._ROOTS_WALLS[1:]))
    depot = Depot(tmp_path / "depot")
    with pytest.raises(SealiftError, match="promtool: user 65534, groups 65534"):
        judge_rules(_rules(tmp_path, RIGHT), depot, _image(depot, _layer("bin/promtool", _TELLS)))


def test_upstreams_place_of_it_is_known(tmp_path: Path) -> None:
    depot = Depot(tmp_path / "depot")
    judge_rules(_rules(tmp_path, "groups: []"), depot, _image(depot, _layer("bin/promtool", b"#!/bin/sh\n")))
