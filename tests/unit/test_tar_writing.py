"""Tar files as exported layers are written."""

from __future__ import annotations

import io
import tarfile

from sealift.oci.tar import Member, tar_chunks


def test_a_tar_file_is_what_tar_reads_back() -> None:
    long = "folder/" * 40 + "file"
    members = [Member("folder"), Member.of_bytes(long, b"x" * 513), Member.of_bytes("empty", b"")]
    content = b"".join(tar_chunks(members, time=7))
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        assert [(m.name, m.size, m.mtime, m.isdir()) for m in tar] == [
            ("folder", 0, 7, True),
            (long, 513, 7, False),
            ("empty", 0, 7, False),
        ]


def test_a_tar_file_has_room_for_files_beyond_8_gib() -> None:
    header = next(tar_chunks([Member("weights", (), 17 << 30)]))
    assert f"size={17 << 30}\n".encode() in header
