"""The licences that wheels and projects declare."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from sealift.oci.tar import Member, tar_chunks
from sealift.sbom.python_licences import _CLASSIFIED, expression, of_project, of_wheel
from tests.unit.wheels import wheel

MIT = "Classifier: License :: OSI Approved :: MIT License\n"
BSD = "Classifier: License :: OSI Approved :: BSD License\n"


@pytest.mark.parametrize(
    ("metadata", "licences"),
    [
        ("License-Expression: Apache-2.0 OR BSD-3-Clause\n", ("Apache-2.0 OR BSD-3-Clause",)),
        (f"License-Expression: mit\n{BSD}", ("MIT",)),
        (f"License: Apache-2.0\n{BSD}", ("Apache-2.0",)),
        (f"License: Some words\n{MIT}", ("MIT",)),
        (f"License: Dual License\n{BSD}{MIT}", ("BSD License", "MIT")),
        ("License: Some words\n", ("Some words",)),
        ("License: A whole\n  licence over lines\n", ()),
        (f"License: {'long ' * 50}\n", ()),
        ("License-Expression: \n", ()),
        ("License-Expression: MIT AND (\n", ()),
        ("", ()),
        ("Classifier: Topic :: System\n", ()),
    ],
)
def test_the_most_exact_that_a_wheel_says_counts(
    tmp_path: Path, metadata: str, licences: tuple[str, ...]
) -> None:
    assert of_wheel(wheel(tmp_path, "thing", metadata=metadata)) == licences


def test_what_is_said_in_the_description_does_not_count(tmp_path: Path) -> None:
    assert of_wheel(wheel(tmp_path, "thing", metadata="\nLicense: GPL-3.0-only\n")) == ()


def _zip(path: Path, name: str, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return path


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "flipped", "encrypted", "elsewhere"])
def test_a_foreign_wheel_that_cannot_be_read_declares_nothing(tmp_path: Path, damage: str) -> None:
    metadata = b"License-Expression: MIT\n" * 200
    path = _zip(tmp_path / "whole", "thing-1.0.dist-info/METADATA", metadata)
    assert of_wheel(path) == ("MIT",)
    whole = path.read_bytes()
    content = bytearray(whole)
    content[45 + 20] ^= 0xFF  # in the compressed content
    spoilt = {
        "empty": b"",
        "text": b"no ZIP file" * 99,
        "cut": whole[:-30],
        "flipped": bytes(content),
        "encrypted": whole.replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"),
    }
    if damage == "elsewhere":
        _zip(path, "inner/thing-1.0.dist-info/METADATA", metadata)
    else:
        path.write_bytes(spoilt[damage])
        assert spoilt[damage] != whole
    assert of_wheel(path) == ()


def test_a_wheel_with_a_name_that_is_no_text_declares_nothing(tmp_path: Path) -> None:
    path = _zip(tmp_path / "thing", "\u00e9.dist-info/METADATA", b"License: MIT\n\n")
    assert of_wheel(path) == ("MIT",)
    path.write_bytes(path.read_bytes().replace("\u00e9".encode(), b"\x80\x80"))
    assert of_wheel(path) == ()


def test_metadata_without_end_is_read_up_to_a_limit(tmp_path: Path) -> None:
    bomb = b"License-Expression: MIT\n\n" + bytes(64 << 20)
    assert of_wheel(_zip(tmp_path / "bomb", "a.dist-info/METADATA", bomb)) == ("MIT",)


def _project(folder: Path, text: bytes, name: str = "pyproject.toml") -> Path:
    (folder / "code.tar").write_bytes(b"".join(tar_chunks([Member.of_bytes(name, text)])))
    return folder / "code.tar"


def test_a_project_says_its_version_and_licence(tmp_path: Path) -> None:
    text = b'[project]\nname = "x"\nversion = "1.2"\nlicense = "Apache-2.0"\n'
    assert of_project(_project(tmp_path, text)) == ("1.2", ("Apache-2.0",))
    assert of_project(_project(tmp_path, text, "sub/pyproject.toml")) == ("", ())


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[project",
        b"project = 3",
        b"[project]\nversion = 3\nlicense = {file = 'x'}",
        b"\xff\xfe",
        b"a = " + b"[" * 5000,
    ],
)
def test_a_project_that_says_nothing_readable_has_neither(tmp_path: Path, text: bytes) -> None:
    assert of_project(_project(tmp_path, text)) == ("", ())


def test_every_classified_licence_is_one_of_spdx() -> None:
    assert [name for name in _CLASSIFIED.values() if expression(name) != name] == []
