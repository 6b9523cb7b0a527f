"""pip's requirements files, as far as a lock takes them."""

from __future__ import annotations

import pytest

from sealift.errors import SealiftError
from sealift.sources.requirements import Pinned, Target, parse_requirements

TRIXIE, BOOKWORM = Target("3.13.5", 41), Target("3.11.2", 36)
ONE, TWO = "1" * 64, "2" * 64
INSTALLERS = f"pip==26.3 --hash=sha256:{ONE}\nsetuptools==84.2.1 --hash=sha256:{ONE}\n"


def _parse(text: str, target: Target = TRIXIE) -> dict[str, Pinned]:
    found = parse_requirements((text + INSTALLERS).encode(), "r.txt", target)
    return {pinned.name: pinned for pinned in found if pinned.name not in ("pip", "setuptools")}


def test_every_hash_of_a_pinned_package_is_kept() -> None:
    hashes = f"    --hash=sha256:{ONE} \\\n    --hash=sha256:{TWO}\n"
    text = f"# by uv\nZope.Event==6.2 \\\n{hashes}    # via gevent\n"
    assert _parse(text) == {"zope-event": Pinned("zope-event", "6.2", (ONE, TWO))}
    assert _parse(text)["zope-event"].line == f"zope-event==6.2 --hash=sha256:{ONE} --hash=sha256:{TWO}"


@pytest.mark.parametrize(
    ("marker", "trixie", "bookworm"),
    [
        ("sys_platform == 'win32'", False, False),
        ("platform_python_implementation != 'PyPy'", True, True),
        ("python_version < '3.12'", False, True),
        ("python_full_version <= '3.11'", False, False),
        ("python_full_version >= '3.13' and platform_machine == 'x86_64'", True, False),
    ],
)
def test_markers_are_held_against_the_suites_python(marker: str, trixie: bool, bookworm: bool) -> None:
    line = f"thing==1.0 ; {marker} --hash=sha256:{ONE}\n"
    assert ("thing" in _parse(line, TRIXIE), "thing" in _parse(line, BOOKWORM)) == (trixie, bookworm)


def test_one_package_may_have_another_version_for_each_python() -> None:
    text = "".join(
        f"thing=={version} ; python_version {sign} '3.12' --hash=sha256:{ONE}\n"
        for version, sign in (("1.0", "<"), ("2.0", ">="))
    )
    assert _parse(text, BOOKWORM)["thing"].version == "1.0"
    assert _parse(text, TRIXIE)["thing"].version == "2.0"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("--index-url https://pypi.example.org/simple", "--index-url is an option, expected NAME==VERSION"),
        ("-r other.txt", "-r is an option"),
        (f"thing>=1.0 --hash=sha256:{ONE}", "thing is not pinned, expected thing==VERSION"),
        (f"thing==1.* --hash=sha256:{ONE}", "thing is not pinned"),
        (f"thing @ https://example.org/t.whl --hash=sha256:{ONE}", "thing is not pinned"),
        ("thing==1.0", "thing has no sha256 hash"),
        (f"thing==1.0 --hash=md5:{ONE[:32]}", "is no requirement"),
        (f"thing==1.0 --hash=sha256:{ONE[:-1]}", "is no requirement"),
        ("../thing.whl", "is no requirement"),
        (f"pip==1.0 --hash=sha256:{ONE}", "pip stands there twice"),
        ("\x00\ufffd", "is no requirement"),
        (f"thing==1.0 ; {'(' * 5000} --hash=sha256:{ONE}", "is no requirement"),
    ],
)
def test_what_pins_nothing_is_refused(line: str, told: str) -> None:
    with pytest.raises(SealiftError) as raised:
        parse_requirements(f"{INSTALLERS}\n{line}\n".encode(), "r.txt", TRIXIE)
    assert str(raised.value).startswith("r.txt: line 4: ")
    assert told in str(raised.value)


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(SealiftError) as raised:
        parse_requirements(b"-e .\nthing\nmore==1\n", "r.txt", TRIXIE)
    assert [line[: len("r.txt: line N")] for line in str(raised.value).splitlines()] == [
        "r.txt: line 1",
        "r.txt: line 2",
        "r.txt: line 3",
    ]


def test_what_installs_the_rest_must_be_there() -> None:
    with pytest.raises(
        SealiftError, match="lacks setuptools, which install the rest where there is no index"
    ):
        parse_requirements(INSTALLERS.splitlines()[0].encode(), "r.txt", TRIXIE)
    with pytest.raises(SealiftError, match="lacks pip and setuptools"):
        parse_requirements(b"", "r.txt", TRIXIE)
