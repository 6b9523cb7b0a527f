"""Archives, and what is in them: images, models, layers, packages."""

from __future__ import annotations

import gzip
import io
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import zstandard

from sealift.content import Content
from sealift.oci.tarball import Tarball
from sealift.release.ollama_manifest import parse_model, weights_of
from sealift.release.parameters import merged_parameters, parse_parameters
from sealift.release.types import Image, Model
from sealift.sbom.layers import read_layer
from sealift.sbom.licences import of_deb
from sealift.sbom.python_licences import of_wheel
from sealift.sources.compression import unpacked
from sealift.sources.gguf import read_context_cost, read_description
from sealift.sources.kinds import image_source, model_source
from tests.fuzz.mutate import Case
from tests.fuzz.target import Target, alone, only
from tests.unit import samples
from tests.unit.sboms import COPYRIGHT, STATUS, deb
from tests.unit.test_archives import _oci_files

_LAYERS = [samples.layer(b"one"), samples.layer(b"two")]
_JSON = (b"mediaType", b"digest", b"size", b"annotations", b"config", b"layers", b"manifests", b"platform")


def _read_all(path: Path, of_root: bool) -> object:
    tarball = Tarball(path, of_root=of_root, shown="FUZZ")
    return [tarball.find(name) for name in tarball.names()]


def _tarball(of_root: bool) -> Callable[[Case, Path], object]:
    def read(case: Case, folder: Path) -> object:
        (folder / "FUZZ.tar").write_bytes(only(case))
        return _read_all(folder / "FUZZ.tar", of_root)

    return read


def _tar(case: Case) -> bytes:
    """A tar file of ustar's plainest form, whatever the names: Python's tarfile mends some of them."""
    made = b""
    for name, content in case:
        header = bytearray(512)
        header[:100] = name.encode(errors="surrogatepass")[:100].ljust(100, b"\0")
        header[100:156] = b"%07o\0%07o\0%07o\0%011o\0%011o\0        " % (0o644, 0, 0, len(content), 0)
        header[156:157] = b"0"
        header[148:156] = b"%06o\0 " % sum(header)
        made += bytes(header) + content + bytes(-len(content) % 512)
    return made + bytes(1024)


def _image(pack: Callable[[bytes], bytes]) -> Callable[[Case, Path], object]:
    def read(case: Case, folder: Path) -> object:
        (folder / "FUZZ.tar").write_bytes(pack(_tar(case)))
        source = image_source(Image(name=samples.IMAGE, archive="FUZZ.tar"), samples.machine(folder))
        locked = source.lock()
        find = source.open(locked)
        return [find(blob) for blob in (locked.config, *locked.layers)]

    return read


def _model_archive(case: Case, folder: Path) -> object:
    (folder / "FUZZ.tar").write_bytes(_tar(case))
    return model_source(samples.MODEL, Model(archive="FUZZ.tar"), samples.machine(folder)).lock()


def _model_store(case: Case, folder: Path) -> object:
    """Names stay as they are: a folder's are those of a file system."""
    good = dict(_OLLAMA[0])
    for (name, _), (_, content) in zip(good.items(), case, strict=False):
        (folder / "FUZZ" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "FUZZ" / name).write_bytes(content)
    return model_source(samples.MODEL, Model(store="FUZZ"), samples.machine(folder)).lock()


def _model_manifest(case: Case, _: Path) -> object:
    found = parse_model(only(case), "FUZZ")
    return weights_of(found, "FUZZ")


def _model_parameters(case: Case, _: Path) -> object:
    text = only(case).decode(errors="replace")
    parse_parameters(text, "FUZZ")
    return merged_parameters(text, {"temperature": 0.5, "stop": ("</s>",)})


def _gguf(case: Case, folder: Path) -> object:
    (folder / "weights").write_bytes(only(case))
    return read_context_cost(Content.of_file(folder / "weights"), "FUZZ")


def _unpacked(case: Case, folder: Path) -> object:
    (folder / "packed").write_bytes(only(case))
    return sum(map(len, unpacked(Content.of_file(folder / "packed"), "FUZZ")))


def _layer(case: Case, folder: Path) -> object:
    (folder / "layer").write_bytes(_tar(case))
    return read_layer(folder / "layer").model_dump_json()


def _wheels() -> tuple[Case, ...]:
    """ZIP files of each kind of compression."""
    made = []
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", kind) as archive:
            archive.writestr("x-1.dist-info/METADATA", _METADATA)
        made.append(file.getvalue())
    return alone(*made)


def _a_deb() -> bytes:
    with tempfile.TemporaryDirectory(prefix="sealift-fuzz-") as folder:
        return deb(Path(folder), "hello")


def _parts(files: dict[str, bytes]) -> Case:
    return tuple(files.items())


def _described(case: Case, folder: Path) -> object:
    (folder / "weights").write_bytes(only(case))
    return read_description(Content.of_file(folder / "weights"), "FUZZ")


def _made_model(case: Case, folder: Path) -> object:
    parts = dict(case)
    (folder / "FUZZ.modelfile").write_bytes(parts.get("modelfile", b""))
    (folder / "tiny.gguf").write_bytes(parts.get("weights", b""))
    source = model_source(samples.MODEL, Model(modelfile="FUZZ.modelfile"), samples.machine(folder))
    locked = source.lock()
    find = source.open(locked)
    return [find(blob) for blob in locked.blobs]


def _wheel(case: Case, folder: Path) -> object:
    (folder / "FUZZ.whl").write_bytes(only(case))
    return of_wheel(folder / "FUZZ.whl")


def _deb(case: Case, folder: Path) -> object:
    (folder / "FUZZ.deb").write_bytes(only(case))
    return of_deb("hello", folder / "FUZZ.deb")


_OLLAMA = (_parts(samples.ollama_files(samples.gguf(samples.GEMMA))),)
_SAVED = (_parts(samples.docker_files(_LAYERS)),)
_GGUFS = alone(
    samples.gguf(samples.GEMMA),
    samples.gguf({**samples.GEMMA, "gemma3.attention.head_count_kv": [1] * 18}, 2),
)
_METADATA = """Metadata-Version: 2.4
Name: x
Version: 1
License-Expression: MIT OR Apache-2.0
Classifier: License :: OSI Approved :: MIT License
License: Apache 2

Text.
"""
_MODELFILE = b'''FROM ./tiny.gguf
# a model
TEMPLATE """{{ .Prompt }}
more"""
SYSTEM "Be short."
PARAMETER temperature 0.5
PARAMETER stop "<end>"
MESSAGE user Hello
LICENSE MIT
'''


def _foreign_tar(form: int) -> bytes:
    """As Python's tarfile writes it: a long name, and links to it."""
    file, long = io.BytesIO(), "d/" + "n" * 150
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for kind, name in ((tarfile.REGTYPE, long), (tarfile.SYMTYPE, "s"), (tarfile.LNKTYPE, "h")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.uname = kind, long, "J\u00f6rg"
            info.size = 3 if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(b"abc"))
    return file.getvalue()


_TARS = alone(_tar(_SAVED[0]), *map(_foreign_tar, (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)))
_TAR_WORDS = (
    bytes(512),
    b"ustar\x0000",
    b"ustar  \0",
    b"30 path=x\n",
    b"20 size=99999\n",
    b"4 =\n",
    b"\x80" + bytes(11),
)
_LAYER = (
    ("var/lib/dpkg/status", STATUS.encode()),
    ("etc/os-release", b'ID=debian\nVERSION_CODENAME="trixie"\n'),
    ("usr/share/doc/libc6/copyright", COPYRIGHT.encode()),
)
_PLAIN = b"".join(_LAYERS)


TARGETS = (
    Target("tar file", _TARS, _tarball(of_root=False), _TAR_WORDS),
    Target("layer's tar file", _TARS, _tarball(of_root=True), _TAR_WORDS),
    Target("docker save", _SAVED, _image(bytes), (b"Config", b"Layers", b"RepoTags", b"./"), cost=2),
    Target("docker save, gzip", _SAVED, _image(gzip.compress), (b"Config", b"Layers"), cost=4),
    Target("docker save, zstd", _SAVED, _image(zstandard.compress), (b"Config", b"Layers"), cost=4),
    Target("OCI archive", (_parts(_oci_files(_LAYERS, ("amd64", "arm64"))),), _image(bytes), _JSON, cost=2),
    Target("gzip", alone(gzip.compress(_PLAIN), gzip.compress(b"a") * 3), _unpacked, (gzip.compress(b""),)),
    Target(
        "zstd",
        alone(zstandard.compress(_PLAIN), zstandard.ZstdCompressor(write_checksum=True).compress(_PLAIN)),
        _unpacked,
        (zstandard.compress(b""), b"\x50\x2a\x4d\x18\x00\x00\x00\x00"),
    ),
    Target("model store, tar file", _OLLAMA, _model_archive, _JSON, cost=2),
    Target("model store, folder", _OLLAMA, _model_store, _JSON, cost=2),
    Target("model manifest", alone(list(dict(_OLLAMA[0]).values())[-1]), _model_manifest, _JSON),
    Target("model's parameters", alone(b'{"stop":["a"],"top_p":0.9,"seed":1}'), _model_parameters, _JSON),
    Target("GGUF", _GGUFS, _gguf, (b"GGUF", b"\x08\0\0\0", b"\x09\0\0\0", b"gemma3.block_count")),
    Target("GGUF, as ollama create reads it", _GGUFS, _described, (b"GGUF", b"\x08\0\0\0", b"\x09\0\0\0")),
    Target(
        "model of a Modelfile",
        ((("modelfile", _MODELFILE), ("weights", samples.gguf(samples.GEMMA))),),
        _made_model,
        (b"FROM ", b"PARAMETER ", b"TEMPLATE ", b'"""', b"MESSAGE user ", b"ADAPTER ", b"LICENSE ", b"../"),
        where="",
        cost=4,
    ),
    Target(
        "wheel's metadata",
        _wheels(),
        _wheel,
        (b"License: ", b"Classifier: License :: ", b"PK\x01\x02"),
        cost=2,
    ),
    Target(".deb's licences", alone(_a_deb()), _deb, (b"!<arch>\n", b"data.tar.xz", b"`\n"), cost=60),
    Target(
        "packages in a layer",
        (_LAYER,),
        _layer,
        (b"Package: ", b"Version: ", b"Format: ", b"License: ", b"\n\n"),
    ),
)
