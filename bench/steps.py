"""The commands that are measured, in the order of a round. What one leaves, later ones start from."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.material import Material
from bench.measured import CORES

_COPY = 'mkdir "$2" && cp --reflink=never "$1"/* "$2" && sync "$2"/*'
_PACK = """store=$1 sources=$2 out=$3; shift 3; mkdir "$out" &&
tar -C "$store" -czf "$out/models.tar.gz" . &&
tar -czf "$out/all.tar.gz" -C "$sources" "$@" -C "$out" models.tar.gz && sync "$out"/*"""
_UNPACK = """mkdir -p "$2/models" && tar -C "$2" -xzf "$1/all.tar.gz" &&
tar -C "$2/models" -xzf "$2/models.tar.gz" && sync -f "$2" """


_BLOBS = "blobs/sha256"
Words = tuple[str | Path, ...]


@dataclass(frozen=True)
class Step:
    """One command.

    + title: what it does, for people
    + command: as it is typed
    + reads: folders that are in the page cache when it starts
    + makes: folders that are not there when it starts
    + prepare: makes the rest of the state that it starts from
    + moves: whose bytes: of all of the release, of the model that the upgrade changes, of the larger release
    """

    name: str
    title: str
    command: Words
    reads: tuple[Path, ...] = ()
    makes: tuple[Path, ...] = ()
    prepare: Callable[[], None] = lambda: None
    moves: Literal["release", "upgrade", "larger"] = "release"


def steps(material: Material, work: Path, run: Callable[..., None]) -> tuple[Step, ...]:
    """The product's, and what limits them.

    + work: has the locks of release and upgrade, the release's `bundle`, and in `carried` the same with files
      that others may write to, as they are on most media
    + run: runs a command that is not measured
    """
    bundle, carried, depot = work / "bundle", work / "carried", work / "depot"
    built, copied, media, delta = work / "built", work / "copied", work / "media", work / "delta"
    have, blobs = work / "have.json", bundle / _BLOBS
    key: Words = ("--key", material.key)
    trust: Words = ("--allowed-signers", material.allowed_signers)
    sources: Words = ("--sources", material.sources, *key)
    build: Words = ("sealift", "build", work / "release.lock", *sources, "--out", built)
    upgrade: Words = (
        "sealift",
        "build",
        work / "upgrade.lock",
        *sources,
        "--out",
        delta,
        "--for",
        have,
        *trust,
    )
    take: Words = ("sealift", "import", "--depot", depot, *trust)

    def import_before() -> None:
        shutil.rmtree(depot)
        run(*take, bundle)

    def forget() -> None:
        for folder in (work / "cache").glob("sbom-*"):
            shutil.rmtree(folder)

    read = (material.sources,)
    return (
        Step("start", "`sealift build --help`: what each command takes to start", (*build[:2], "--help")),
        Step("hash", "hashlib, 1 core", _hashing(1, bundle), (bundle,)),
        Step("hash-all", f"hashlib, {CORES} cores", _hashing(CORES, bundle), (bundle,)),
        Step("cp", "`cp` and `sync`", ("sh", "-euc", _COPY, "sh", blobs, copied), (bundle,), (copied,)),
        Step("build", "`sealift build`", build, read, (built,)),
        Step("again", "`sealift build` again, nothing changed", build, (built,)),
        Step("first", "`sealift build`, nothing read for an SBOM before", build, read, (built,), forget),
        Step("import", "`sealift import`, bundle on the depot's disk", (*take, bundle), (bundle,), (depot,)),
        Step(
            "import-copy",
            "`sealift import`, every byte copied",
            ("sealift", "import", carried, "--depot", copied, *trust),
            (carried,),
            (copied,),
        ),
        Step(
            "media-write",
            "`sealift media write --size 1G`",
            ("sealift", "media", "write", bundle, media, "--size", "1G", *key),
            (bundle,),
            (media,),
        ),
        Step(
            "media-read",
            "`sealift media read`",
            ("sealift", "media", "read", media, "--out", copied, *trust),
            (media,),
            (copied,),
        ),
        Step("have", "`sealift have`", ("sealift", "have", "--depot", depot, *key, "--out", have), (depot,)),
        Step("delta", "`sealift build --for`, one model changed", upgrade, read, (delta,), moves="upgrade"),
        Step(
            "delta-import",
            "`sealift import` of that delta",
            (*take, delta),
            (delta, depot),
            prepare=import_before,
            moves="upgrade",
        ),
    )


def larger(material: Material, work: Path) -> tuple[Step, ...]:
    """The import of a release of the size that sites have, of which a command's start is a small part.

    + work: has the larger release's bundle in `larger`
    """
    bundle, depot = work / "larger", work / "depot"
    take: Words = ("sealift", "import", "--depot", depot, "--allowed-signers", material.allowed_signers)
    limit, name = f"hashlib, {CORES} cores, larger release", "`sealift import` of the larger release"
    return (
        Step("larger-hash", limit, _hashing(CORES, bundle), (bundle,), moves="larger"),
        Step("larger-import", name, (*take, bundle), (bundle,), (depot,), moves="larger"),
    )


def _hashing(threads: int, bundle: Path) -> Words:
    return (sys.executable, "-m", "bench.limit", str(threads), bundle / _BLOBS)


def customary(material: Material, work: Path) -> tuple[Step, ...]:
    """What is done without sealift; slow, so in rounds of their own. The images were saved already."""
    packed, unpacked = work / "packed", work / "unpacked"
    images = (image.name for image in material.images)
    pack: Words = ("sh", "-euc", _PACK, "sh", material.store, material.sources, packed, *images)
    unpack: Words = ("sh", "-euc", _UNPACK, "sh", packed, unpacked)
    both = "`tar -czf` of the models, `tar -czf` of that and the images"
    return (
        Step("tar", both, pack, (material.sources,), (packed,)),
        Step("untar", "`tar -xzf` of both", unpack, (packed,), (unpacked,)),
    )
