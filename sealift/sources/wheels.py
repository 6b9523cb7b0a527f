"""Python packages of the control node: wheels for its Python, fetched by pip from the machine's own index.

Requirements pin every file by hash, so which wheel is taken depends on nothing but them and the suite. Where
an index is, is pip's setting on this machine; nothing of it gets into a lock.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from pydantic import TypeAdapter, ValidationError

from sealift.blobs import BlobStore
from sealift.content import Content
from sealift.errors import SealiftError
from sealift.files import canonical_json, write_atomically
from sealift.processes import WITH_US
from sealift.progress import Meter, Progress
from sealift.release.locked import LockedWheel
from sealift.release.suites import SUITES
from sealift.scratch import scratch
from sealift.sources.requirements import Pinned, Target, parse_requirements

TARGETS = {name: Target(suite.python, suite.glibc) for name, suite in SUITES.items()}
# The older names of some manylinux tags. Source: PEP 600.
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_FORM = "wheels-1"  # of what is remembered in the cache
_WHEELS = TypeAdapter(tuple[LockedWheel, ...])
# What pip prints with `--progress-bar raw`.
_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
# pip's words where no file fits, and where one that fits has another hash.
_NO_FILE = re.compile(r"No matching distribution found for ([A-Za-z0-9._-]+)==")
_OTHER_HASH = re.compile(r"^ {4}([A-Za-z0-9._-]+)==\S+ from ", re.MULTILINE)


def lock_wheels(
    requirements: bytes, where: str, suite: str, cache: BlobStore, progress: Progress
) -> tuple[LockedWheel, ...]:
    """Pin the wheels that a requirements file asks for, and bring them into the cache; sorted by name.

    + requirements: the file's content
    + where: what it is, for messages
    + suite: whose Python they are for
    + progress: told of bytes fetched

    Raises SealiftError with a line per mistake of the file, and per package that has no such wheel.
    """
    target = TARGETS[suite]
    wanted = parse_requirements(requirements, where, target)
    key = hashlib.sha256(
        canonical_json([target.environment, target.glibc, [p.line for p in wanted]])
    ).hexdigest()
    remembered = cache.folder.parents[1] / _FORM / f"{key}.json"
    found = _remembered(remembered, wanted)
    if not found or not all(cache.has(wheel.blob) for wheel in found):
        meter = Meter("fetching wheels", 0, progress)
        with scratch("wheels") as folder:
            _download(wanted, target, folder, meter, True)
            found = tuple(_keep(wanted, folder, cache))
        write_atomically(remembered, _WHEELS.dump_json(found))
    return found


def fetch_wheels(wheels: Iterable[LockedWheel], suite: str, cache: BlobStore, progress: Progress) -> None:
    """Bring locked wheels into the cache, each by its hash; those that are there are not fetched again.

    + suite: whose Python they are for
    + progress: told of bytes fetched

    Raises SealiftError naming those that the index no longer has.
    """
    missing = [wheel for wheel in wheels if not cache.has(wheel.blob)]
    if not missing:
        return
    meter = Meter("fetching wheels", sum(wheel.blob.size for wheel in missing), progress)
    wanted = tuple(Pinned(wheel.name, wheel.version, (wheel.blob.hex,)) for wheel in missing)
    with scratch("wheels") as folder:
        _download(wanted, TARGETS[suite], folder, meter, False)
        for wheel in missing:
            content = Content.of_file(folder / "wheels" / wheel.file)
            cache.put(wheel.blob, content, f"wheels: {wheel.name}", lambda _: None)


def _remembered(path: Path, wanted: tuple[Pinned, ...]) -> tuple[LockedWheel, ...]:
    """What these very requirements were locked to before; nothing where that was never, or is no answer."""
    try:
        found = _WHEELS.validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return ()
    hashes = {(pinned.name, pinned.version): pinned.hashes for pinned in wanted}
    named = [(wheel.name, wheel.version) for wheel in found]
    fits = named == sorted(hashes) and all(
        wheel.blob.hex in hashes[wheel.name, wheel.version] for wheel in found
    )
    return found if fits else ()


def _keep(wanted: tuple[Pinned, ...], folder: Path, cache: BlobStore) -> Iterator[LockedWheel]:
    """Put what has arrived into the cache."""
    arrived = {}
    for path in (folder / "wheels").iterdir():
        try:
            arrived[str(parse_wheel_filename(path.name)[0])] = path
        except InvalidWheelFilename:
            raise SealiftError(f"pip: fetched {path.name}, expected a wheel. Report this as a bug.") from None
    for pinned in sorted(wanted, key=lambda pinned: pinned.name):
        path = arrived[pinned.name]
        blob = cache.put_stream(Content.of_file(path).chunks())
        yield LockedWheel(name=pinned.name, version=pinned.version, file=path.name, blob=blob)


def _download(
    wanted: tuple[Pinned, ...], target: Target, folder: Path, meter: Meter, sizes_unknown: bool
) -> None:
    """Fetch files into `wheels` of a folder. pip stops at the first that it lacks: so it is asked for the
    others again, until all mistakes are known."""
    (folder / "wheels").mkdir()
    (folder / "tmp").mkdir()
    mistakes: list[str] = []
    left = {pinned.name: pinned for pinned in wanted}
    while left:
        (folder / "requirements.txt").write_text("".join(f"{pinned.line}\n" for pinned in left.values()))
        wrong = _run_pip(target, folder, meter, sizes_unknown)
        if not wrong:
            break
        lacking, mismatched = (set(pattern.findall(wrong)) for pattern in (_NO_FILE, _OTHER_HASH))
        named = sorted((lacking | mismatched) & left.keys())
        if not named:
            mistakes.append(
                f"pip: {_explain(wrong)}\nCheck pip's index and proxy; it must be pip 25 or newer."
            )
            break
        for name in named:
            pinned = left.pop(name)
            mistakes.append(_no_wheel(pinned, target) if name in lacking else _other_hash(pinned))
    if mistakes:
        raise SealiftError("\n".join(mistakes))


def _no_wheel(pinned: Pinned, target: Target) -> str:
    return (
        f"{pinned.name} {pinned.version}: no wheel for Python {target.series} on amd64 at pip's index "
        "that has one of its hashes. Pin a version that has one, and compile the requirements again."
    )


def _other_hash(pinned: Pinned) -> str:
    return (
        f"{pinned.name} {pinned.version}: pip's index has a wheel for it, but none of these hashes. "
        "Check the index; if it is right, compile the requirements again."
    )


def _run_pip(target: Target, folder: Path, meter: Meter, sizes_unknown: bool) -> str:
    """Run pip once, reporting what arrives; gives its errors, or nothing where all went well."""
    platforms = [part for name in platforms_of(target) for part in ("--platform", name)]
    command = (
        *(*WITH_US, sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input"),
        *("--progress-bar", "raw", "--require-hashes", "--only-binary", ":all:", "--no-deps", *platforms),
        *("--python-version", target.series, "--implementation", "cp"),
        *("--dest", str(folder / "wheels"), "--requirement", str(folder / "requirements.txt")),
    )
    environment = {**os.environ, "TMPDIR": str(folder / "tmp"), "LC_ALL": "C.UTF-8"}
    with (folder / "errors").open("w+") as errors:
        child = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            _follow(child.stdout or (), meter, sizes_unknown)
            child.wait()
        finally:
            child.kill()
            child.wait()
        errors.seek(0)
        said = errors.read()
    return "" if child.returncode == 0 else said or "failed without a word"


def _follow(lines: Iterable[str], meter: Meter, sizes_unknown: bool) -> None:
    """Report bytes: pip tells them file by file, and of small files nothing."""
    before = 0
    for done, total in ((int(a), int(b)) for a, b in (m.groups() for m in map(_PROGRESS.match, lines) if m)):
        if done < before or done == 0:
            before = 0
            if sizes_unknown:
                meter.expect(total)
        meter.add(done - before)
        before = done


def platforms_of(target: Target) -> Iterator[str]:
    """The platform tags of amd64 that this Python runs, the best first. Source: PEP 600."""
    for minor in range(target.glibc, 4, -1):
        yield f"manylinux_2_{minor}_x86_64"
        if minor in _LEGACY:
            yield f"{_LEGACY[minor]}_x86_64"
    yield "linux_x86_64"


def _explain(said: str) -> str:
    """pip's own errors out of what it wrote, a line each."""
    errors = [line.removeprefix("ERROR: ") for line in said.splitlines() if line.startswith("ERROR: ")]
    return "\n".join(errors) or said.strip()
