"""Finding files in a foreign tar file, without unpacking it and without believing its sizes.

Python's tarfile takes a header's word for how much to read into memory; here every extension record is
bounded. Source of the format: pax(1) of POSIX, and "Basic Tar Format" of GNU tar's manual.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sealift.content import Content
from sealift.errors import SealiftError, one_line
from sealift.files import open_file

_BLOCK = 512  # bytes
_MEMBERS = 100_000
_EXTENSION = 1 << 20  # bytes of pax records
_LENGTH_DIGITS = 7  # of one pax record's length
_NAME = 4096  # characters: Linux's PATH_MAX
_HOPS = 8  # links from one to the next


@dataclass
class _Extension:
    """What the records before a header say about it."""

    path: str | None = None
    link: str | None = None
    size: int | None = None


class Tarball:
    """An index of a plain tar file: names to ranges of bytes. Nothing is ever written to disk by name."""

    def __init__(self, path: Path, *, of_root: bool = False, shown: str | None = None) -> None:
        """Read all headers.

        + path: where it lies
        + shown: what it is called in messages; default: its path
        + of_root: it holds a root file system, as an image's layer does: links, which may be absolute there,
          and devices are passed over

        Raises SealiftError where this is no plain tar file, or one that lies about sizes or names.
        """
        self.path, self._shown = path, shown or str(path)
        self._of_root = of_root
        self._files: dict[str, Content] = {}
        self._links: dict[str, str] = {}
        try:
            with open_file(path) as file:
                self._length = file.seek(0, 2)
                self._refuse_compressed(file)
                self._scan(file)
        except OSError as error:
            raise SealiftError(f"{self._shown}: cannot be read: {error.strerror}. Check the path.") from None

    def names(self) -> tuple[str, ...]:
        """Every file and link, as normal relative paths."""
        return (*self._files, *self._links)

    def find(self, name: str) -> Content:
        """Where a file's bytes lie; links are followed inside the tar file only.

        Raises SealiftError where it is missing or its links lead nowhere.
        """
        seen = name
        for _ in range(_HOPS):
            if seen in self._files:
                return self._files[seen]
            if seen not in self._links:
                break
            seen = self._links[seen]
        raise self._wrong(f"has no file {name}", "Make it again.")

    def read(self, name: str, limit: int) -> bytes:
        """A small file's content.

        + limit: bytes it may have

        Raises SealiftError where it is missing or bigger.
        """
        content = self.find(name)
        if content.size > limit:
            raise self._wrong(f"{name} has {content.size} bytes, expected {limit} at most", "Make it again.")
        return b"".join(content.chunks())

    def _wrong(self, what: str, remedy: str) -> SealiftError:
        return SealiftError(f"{self._shown}: {one_line(what)}. {remedy}")

    def _refuse_compressed(self, file: BinaryIO) -> None:
        file.seek(0)
        magic = file.read(6)
        for name, start in (("bzip2", b"BZh"), ("xz", b"\xfd7zXZ")):
            if magic.startswith(start):
                raise self._wrong(f"is compressed with {name}, expected gzip, zstd or none", "Uncompress it.")

    def _scan(self, file: BinaryIO) -> None:
        position, extension = 0, _Extension()
        for _ in range(2 * _MEMBERS):
            file.seek(position)
            header = file.read(_BLOCK)
            if header == b"\0" * _BLOCK:
                return
            self._check_sum(header)
            size = self._number(header[124:136])
            kind = header[156:157]
            start = position + _BLOCK
            if kind in b"xgLK":
                self._extend(extension, kind, self._bounded(file, start, size))
            else:
                size = size if extension.size is None else extension.size
                size = size if kind in b"0\x007" else 0
                self._add(header, kind, Content(self.path, start, size), extension)
                extension = _Extension()
            position = start + -(-size // _BLOCK) * _BLOCK
        raise self._wrong(f"has more than {_MEMBERS} members", "Is it the right file?")

    def _check_sum(self, header: bytes) -> None:
        if len(header) < _BLOCK:
            raise self._wrong("ends early", "Copy it again.")
        if self._number(header[148:156]) != sum(header[:148]) + 8 * 32 + sum(header[156:]):
            raise self._wrong("is no tar file, or is damaged", "Make or copy it again.")

    def _number(self, field: bytes) -> int:
        """Octal digits, or base 256 where the first bit is set (GNU, for more than 8 GiB)."""
        if field[0] & 0x80:
            return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
        digits = field.strip(b" \0")
        if not all(digit in b"01234567" for digit in digits):
            raise self._wrong("has a damaged header", "Make or copy it again.")
        return int(digits or b"0", 8)

    def _bounded(self, file: BinaryIO, start: int, size: int) -> bytes:
        if size > _EXTENSION or start + size > self._length:
            raise self._wrong(f"has an extension record of {size} bytes", "Is it the right file?")
        file.seek(start)
        return file.read(size)

    def _extend(self, extension: _Extension, kind: bytes, record: bytes) -> None:
        if kind == b"L":
            extension.path = _text(record)
        elif kind == b"K":
            extension.link = _text(record)
        elif kind == b"x":
            fields = self._pax(record)
            extension.path = fields.get("path", extension.path)
            extension.link = fields.get("linkpath", extension.link)
            if "size" in fields:
                if not fields["size"].isdecimal() or len(fields["size"]) > 19:
                    raise self._wrong("has a damaged pax record", "Make or copy it again.")
                extension.size = int(fields["size"])

    def _pax(self, record: bytes) -> dict[str, str]:
        """Records of `LENGTH KEY=VALUE\\n`."""
        fields: dict[str, str] = {}
        begin = 0
        while begin < len(record):
            digits, _, _ = record[begin : begin + _LENGTH_DIGITS + 1].partition(b" ")
            length = int(digits) if digits.isdigit() and len(digits) <= _LENGTH_DIGITS else 0
            end = begin + length
            key, equals, value = record[begin + len(digits) + 1 : max(end - 1, 0)].partition(b"=")
            if not equals or end > len(record):
                raise self._wrong("has a damaged pax record", "Make or copy it again.")
            fields[_text(key)] = _text(value)
            begin = end
        return fields

    def _add(self, header: bytes, kind: bytes, content: Content, extension: _Extension) -> None:
        name = extension.path if extension.path is not None else _ustar_name(header)
        if content.offset + content.size > self._length:
            raise self._wrong(f"ends in the middle of {name!r}", "Copy it again.")
        path = self._normal(name)
        if self._of_root:
            if kind in b"0\x007":
                self._files[path] = content
            return
        if path in self._files or path in self._links:
            raise self._wrong(f"has {path!r} twice: readers differ in which they take", "Make it again.")
        if kind in b"0\x007":
            self._files[path] = content
        elif kind in b"12":
            target = extension.link if extension.link is not None else _text(header[157:257])
            base = posixpath.dirname(path) if kind == b"2" else ""
            self._links[path] = self._normal(posixpath.join(base, target))
        elif kind != b"5":
            raise self._wrong(f"{name!r} is neither file, folder nor link", "Is it the right file?")

    def _normal(self, name: str) -> str:
        if len(name) > _NAME:
            raise self._wrong(f"has a name of {len(name)} characters", "Is it the right file?")
        path = posixpath.normpath(name)
        if name.startswith("/") or path == ".." or path.startswith("../"):
            raise self._wrong(f"{name!r} leads out of it", "Refuse this file.")
        return path


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode(errors="surrogateescape")


def _ustar_name(header: bytes) -> str:
    name, prefix = _text(header[:100]), _text(header[345:500])
    return f"{prefix}/{name}" if prefix and header[257:263] == b"ustar\0" else name
