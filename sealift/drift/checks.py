"""What `deploy.py` would mend on a host: the facts that its operations go by, and what each must be.

Every task has its checks here. A test on real hosts holds the two together: each kind of damage is told by
these, and mended by those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from sealift.depot.needed import needed_blobs
from sealift.depot.repository import SignedRepository
from sealift.drift.check import Check
from sealift.drift.service_checks import service_checks
from sealift.facts.apt import BroughtPackages, DpkgState, InstalledPackages
from sealift.facts.docker import (
    CONTAINERD_TOML,
    DAEMON_JSON,
    Daemon,
    DaemonState,
)
from sealift.facts.files import FileList, PlainFile, Standing
from sealift.facts.garbage import Garbage, Unneeded
from sealift.facts.generation import LIVE_FOLDER, GenerationFiles, NotKept, expected_files, expected_live
from sealift.facts.host_store import Access, Root, StoreAccess
from sealift.facts.images import Images, ImageStore, familiar
from sealift.facts.models import Models, ModelStore, blob_name, unnamed, unplaced
from sealift.facts.nvidia import CDI_SPEC, STAND_IN, CdiState, Merged, NvidiaCdi, StandingAndMerged
from sealift.facts.text import Links, TextFile
from sealift.host import package_source
from sealift.host.daemon_json import daemon_json, daemon_json_mode, for_toolkit, merged_daemon_json
from sealift.host.gpus import GPU
from sealift.host.wanted import Wanted
from sealift.host_paths import ARMED, BLOBS, GENERATIONS, ROOT, UNCONFIRMED
from sealift.release.ollama_manifest import manifest_bytes, manifest_path

_FILES = Path(__file__).parents[2] / "files"


def checks(wanted: Wanted, repository: SignedRepository) -> tuple[Check, ...]:
    """All checks of a host, in the order of the tasks.

    + repository: of its release, as the depot has signed it
    """
    return (
        *_root(wanted),
        Check(StoreAccess, _access),
        *_packages(wanted, repository),
        *_plain_files(wanted),
        *_docker(wanted),
        *_nvidia(wanted),
        *_generation(wanted),
        Check(Images, lambda store: _images(store, wanted)),
        Check(Models, lambda store: _models(store, wanted)),
        *service_checks(wanted),
        Check(Garbage, lambda found: _garbage(found, wanted)),
    )


def _text(path: str, content: str, mode: str = "644") -> Check:
    digest = hashlib.sha256(content.encode()).hexdigest()

    def judge(found: tuple[str, str] | None) -> Iterator[str]:
        if found is None:
            yield f"{path} missing"
        elif found[0] != digest:
            yield f"{path} altered"
        elif found[1] != mode:
            yield f"{path} has mode {found[1]}, expected {mode}"

    return Check(TextFile, judge, {"path": path})


def _access(wrong: Mapping[str, tuple[Access, Access]]) -> Iterator[str]:
    for path, (found, to_be) in sorted(wrong.items()):
        yield f"{path} {found.against(to_be)}"


def _absent(path: str) -> Check:
    return Check(TextFile, lambda found: iter([f"{path} is too much"] if found else []), {"path": path})


def _root(wanted: Wanted) -> Iterator[Check]:
    if wanted.settings.data_folder:
        right = wanted.settings.root
        yield Check(Root, lambda found: iter([] if found == right else [f"{ROOT} is no link to {right}"]))


def _packages(wanted: Wanted, repository: SignedRepository) -> Iterator[Check]:
    links = package_source.links(wanted)
    pool = f"{package_source.folder(wanted)}/pool"
    yield Check(Links, lambda found: iter([] if found == links else [f"{pool} altered"]), {"folder": pool})
    for path, (_, content) in package_source.files(wanted, repository).items():
        yield _text(path, content)
    versions = {package.name: package.version for package in wanted.packages}

    def judge(have: DpkgState) -> Iterator[str]:
        if have.interrupted:
            yield "dpkg was stopped in the middle of its work"
        for name, version in versions.items():
            if have.versions.get(name) != version:
                yield f"package {name} {have.versions.get(name, 'missing')}, expected {version}"

    yield Check(InstalledPackages, judge)
    yield Check(
        BroughtPackages,
        lambda listed: (f"package {name} is too much" for name in sorted(set(listed) - versions.keys())),
    )


def _plain_files(wanted: Wanted) -> Iterator[Check]:
    for name, (file, blob) in sorted(wanted.files.items()):
        right = Standing("f", "0:0", file.mode.lstrip("0"), blob.hex)

        def judge(found: Standing | None, name: str = name, right: Standing = right) -> Iterator[str]:
            if found is None:
                yield f"file {name} missing"
            elif found != right:
                yield f"file {name} altered"

        yield Check(PlainFile, judge, {"path": file.target})
    targets = {file.target for file, _ in wanted.files.values()}
    yield Check(
        FileList, lambda listed: (f"file {path} is too much" for path in sorted(set(listed) - targets))
    )


def _docker(wanted: Wanted) -> Iterator[Check]:
    yield _text(CONTAINERD_TOML, (_FILES / "containerd/config.toml").read_text())
    yield _daemon("containerd.service", CONTAINERD_TOML)
    docker, mode = wanted.settings.docker, daemon_json_mode(wanted.settings.docker)
    if GPU in wanted.groups:

        def judge(found: Merged | None) -> Iterator[str]:
            if found is None:
                return iter([f"{DAEMON_JSON} lacks NVIDIA's runtime"])
            return _text(DAEMON_JSON, merged_daemon_json(found.merged, docker), mode).judge(found.stands)

        yield Check(StandingAndMerged, judge, {"base": for_toolkit(docker)})
    else:
        yield _text(DAEMON_JSON, daemon_json(docker), mode)
    yield _daemon("docker.service", DAEMON_JSON)


def _daemon(unit: str, configuration: str) -> Check:
    def judge(state: DaemonState) -> Iterator[str]:
        if not state.enabled:
            yield f"{unit} does not start at boot"
        if not state.active:
            yield f"{unit} does not run"
        elif not state.runs_its_configuration:
            yield f"{unit} runs with an older configuration"

    return Check(Daemon, judge, {"unit": unit, "configuration": configuration})


def _nvidia(wanted: Wanted) -> Iterator[Check]:
    if GPU not in wanted.groups:
        yield _absent(STAND_IN)
        yield _absent(CDI_SPEC)
    elif wanted.settings.gpu.stand_in:
        yield _text(STAND_IN, (_FILES / "nvidia/stand-in.cdi.yaml").read_text())
    else:
        yield _absent(STAND_IN)
        yield Check(NvidiaCdi, _cdi)


def _cdi(state: CdiState) -> Iterator[str]:
    if state.driver is None:
        yield "no NVIDIA driver is loaded"
    elif not state.spec_is_current:
        yield f"{CDI_SPEC} is not of the NVIDIA driver {state.driver}"


def _generation(wanted: Wanted) -> Iterator[Check]:
    right = expected_files(wanted.generation)
    target = f"generations/{wanted.generation.id}"

    def there(links: Mapping[str, str]) -> set[str]:
        return {f"{ROOT}/{name}" for name in links}

    def current(links: Mapping[str, str]) -> Iterator[str]:
        found = links.get("current", "none")
        if found != target:
            yield f"generation {found.rpartition('/')[2]}, expected {wanted.generation.id}"
        elif ARMED in there(links):
            yield "goes back by itself unless a rollout confirms it"
        elif UNCONFIRMED in there(links):
            yield "the last apply did not come to its end"

    yield Check(Links, current, {"folder": ROOT})
    yield _folder("configuration", "../current", right)
    yield _folder("live file", LIVE_FOLDER, expected_live(wanted))
    yield Check(NotKept, _copies)


def _copies(missing: list[str]) -> Iterator[str]:
    """A file that differs from its copy alone was altered, and is told as such."""
    if {DAEMON_JSON, CONTAINERD_TOML} <= set(missing):
        yield "no copy of the daemons' configurations is kept to go back to"


def _folder(what: str, folder: str, right: Mapping[str, tuple[str, str]]) -> Check:
    def judge(found: Mapping[str, tuple[str, str]]) -> Iterator[str]:
        for path in sorted(right.keys() | found.keys()):
            if path not in found:
                yield f"{what} {path} missing"
            elif path not in right:
                yield f"{what} {path} is too much"
            elif found[path] != right[path]:
                yield f"{what} {path} differs"

    return Check(GenerationFiles, judge, {"generation": folder})


def _images(store: ImageStore, wanted: Wanted) -> Iterator[str]:
    for image in wanted.images.values():
        found = store.ids.get(familiar(image.name))
        if found is None:
            yield f"image {image.name} missing"
        elif found != image.image_id:
            yield f"image {image.name} is another one"


def _models(store: ModelStore, wanted: Wanted) -> Iterator[str]:
    tags: list[str] = []
    blobs: list[str] = []
    for named in wanted.names:
        tags += named.tags
        blobs += map(blob_name, named.variant.blobs)
        manifest = manifest_bytes(named.variant.manifest)
        if unplaced(store, named.variant.blobs) or unnamed(store, manifest, named.tags):
            missing = any(manifest_path(tag) not in store.manifests for tag in named.tags)
            yield f"{named.title} {'missing' if missing else 'altered'}"
    for path in sorted(store.manifests.keys() - set(map(manifest_path, tags))):
        yield f"model {path.rpartition('library/')[2]} is too much"
    if store.placed.keys() - set(blobs):
        yield "files of no model in Ollama's store"
    if store.replaced:
        yield "a model that was repaired is loaded as it was before"


def _garbage(found: Unneeded, wanted: Wanted) -> Iterator[str]:
    needed = {f"{BLOBS}/{blob.hex}" for blob in needed_blobs(wanted.lock, wanted.groups)}
    blobs = set(found.blobs) - needed  # what was shipped and is not active yet stays
    own = f"{GENERATIONS}/{wanted.generation.id}"
    for what, paths in (
        ("generations", set(found.generations) - {own}),
        ("package repositories", set(found.repositories) - {package_source.folder(wanted)}),
        ("blobs", blobs),
    ):
        if paths:
            yield f"{len(paths)} {what} that no generation needs"
