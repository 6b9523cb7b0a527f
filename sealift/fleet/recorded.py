"""Whether a host is what the record of its generation says: services, models, packages, configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import resources

from sealift.errors import SealiftError
from sealift.host.key_values import key_values
from sealift.host.record import ETC, Record, parse_record
from sealift.host_paths import ROOT
from sealift.service import PROJECT_PREFIX
from sealift.site.inventory import Host
from sealift.ssh import Gathered, on_all

_SCRIPT = resources.files("sealift.fleet").joinpath("recorded.sh").read_text()


def differences(hosts: Sequence[Host]) -> Gathered[tuple[str, ...]]:
    """Hold all hosts at once against the records of their generations: a line for each difference.

    Changes nothing. A host whose generation has no record is an error.
    """
    by_name = {host.name: host.ssh for host in hosts}
    return on_all(
        list(by_name), lambda name: compared(name, by_name[name].run(_SCRIPT, ROOT, *ETC, timeout_s=120))
    )


def compared(host: str, said: str) -> tuple[str, ...]:
    """What differs, by what a host prints. Raises SealiftError where it has no record or says not all."""
    found = key_values(said)
    if "end" not in found or "record" not in found:
        raise SealiftError(
            f"{host}: its generation has no record, expected one to compare it with. Run sealift apply."
        )
    record = parse_record(host, "".join(f"{line}\n" for line in found["record"]))
    return tuple(_differences(record, found))


def _differences(record: Record, found: Mapping[str, list[str]]) -> Iterator[str]:
    packages = _pairs(found.get("package", []))
    for name, version in record.packages.items():
        if packages.get(name) != version:
            yield f"package {name} {packages.get(name) or 'missing'}, expected {version}"
    files = _pairs(found.get("file", []))
    for path, (mode, digest) in record.files.items():
        if files.get(path) != f"{mode} {digest}":
            yield f"file {path} {'differs' if path in files else 'missing'}"
    manifests = {
        path: digest for digest, _, path in (line.partition(" ") for line in found.get("manifest", []))
    }
    for path in sorted(record.manifests.keys() | manifests.keys()):
        if manifests.get(path) != record.manifests.get(path):
            what = (
                "missing"
                if path not in manifests
                else "differs"
                if path in record.manifests
                else "is too much"
            )
            yield f"model {path.rpartition('library/')[2]} {what}"
    images = _pairs(found.get("image", []))
    for name, image_id in record.images.items():
        if images.get(name) != image_id:
            yield f"image {name} {images.get(name) or 'missing'}, expected {image_id}"
    yield from _services(record, found.get("runs", []))
    for line in found.get("lacks", []):
        yield f"{line}: differs"


def _services(record: Record, lines: Sequence[str]) -> Iterator[str]:
    running = {each[0]: each[1:] for each in (line.split("|") for line in lines) if len(each) == 5}
    for project, (spec, image_id) in record.services.items():
        state, health, has_spec, has_image = running.get(project, ["missing", "", spec, image_id])
        if state != "running" or health != "healthy":
            yield f"service {project} {health if state == 'running' else state}"
        if has_image != image_id:
            yield f"service {project} runs image {has_image}, expected {image_id}"
        if has_spec != spec:
            yield f"service {project} runs with another configuration"
    for project in sorted(running.keys() - record.services.keys()):
        if project.startswith(PROJECT_PREFIX):
            yield f"service {project} is too much"


def _pairs(lines: Sequence[str]) -> dict[str, str]:
    return {name: value for name, _, value in (line.partition(" ") for line in lines)}
