"""Acceptance: what is claimed about a host. `sealift verify INVENTORY` runs this, a process per host.

A test is a claim and its docstring is the sentence that stands in the evidence. A claim that does not
concern a host is not collected for it; none is ever skipped.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import testinfra
from testinfra.host import Host

from sealift.errors import one_line
from sealift.evidence.expectations import Expectations, read
from sealift.release.questions import Golden
from tests.hosts.containers import Inspected, find_container
from tests.hosts.gateway_client import Gateway

# In place of a list that is empty, which pytest would turn into a skip.
_NOTHING = pytest.param(None, marks=pytest.mark.on("nothing to claim"))
_TITLE = 80  # characters of a question that a claim is named by
EXPECTED = pytest.StashKey[Expectations]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--expectations", type=Path, help="what `sealift verify` expects of the host")


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("expectations")
    if path is None:
        raise pytest.UsageError("no host to verify. Run sealift verify INVENTORY, which starts these tests.")
    config.stash[EXPECTED] = read(path)
    config.addinivalue_line("markers", "on(trait): claimed about hosts with this trait only")
    config.addinivalue_line("markers", "at_the_end: claimed after all others, for it uses something up")
    config.addinivalue_line("markers", "off(trait): claimed about hosts without this trait only")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    expected = metafunc.config.stash[EXPECTED]
    for fixture, values in (
        ("service", expected.services),
        ("model", expected.models),
        ("file", expected.files),
        ("role", expected.roles),
        ("shown", [name for name, service in expected.services.items() if service.figures]),
        ("speaker", [name for name, role in expected.roles.items() if not role.embeds]),
        ("embedder", [name for name, role in expected.roles.items() if role.embeds]),
        ("promising", [name for name, role in expected.roles.items() if role.objectives.figures]),
    ):
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, sorted(values) or [_NOTHING], scope="session")
    if "golden" in metafunc.fixturenames:
        metafunc.parametrize("golden", _golden(expected) or [_NOTHING], scope="session")


def _golden(expected: Expectations) -> list[object]:
    """The golden questions of all roles, each with the role that is asked; named by what is asked."""
    roles = sorted(expected.roles.items())
    asked: list[tuple[str, Golden]] = [(name, golden) for name, role in roles for golden in role.golden]
    return [pytest.param(each, id=f"{each[0]}: {one_line(each[1].title)[:_TITLE]}") for each in asked]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    traits = _traits(config.stash[EXPECTED])
    claimed = [item for item in items if _concerns(item, traits)]
    config.hook.pytest_deselected(items=[item for item in items if item not in claimed])
    items[:] = sorted(claimed, key=lambda item: item.get_closest_marker("at_the_end") is not None)
    for item in items:
        item.user_properties.append(("claim", _sentence(item)))


def _traits(expected: Expectations) -> set[str]:
    traits = set(expected.groups)
    if expected.acceptance_key:
        traits.add("a client for acceptance")
        if expected.acceptance_roles and not set(expected.acceptance_roles) & set(expected.roles):
            traits.add("a client without a role")
    traits |= {f"service {name}" for name in expected.services}
    if any(service.figures for service in expected.services.values()) and expected.monitoring.key:
        traits.add("who may see figures")
    if "gpu" in traits:
        traits.add("stand-in gpu" if expected.stand_in_gpu else "real gpu")
    return traits


def _concerns(item: pytest.Item, traits: set[str]) -> bool:
    wanted = {mark.args[0] for mark in item.iter_markers("on")}
    unwanted = {mark.args[0] for mark in item.iter_markers("off")}
    return wanted <= traits and not unwanted & traits


def _sentence(item: pytest.Item) -> str:
    assert isinstance(item, pytest.Function) and item.function.__doc__, f"{item.nodeid} claims nothing"
    sentence = " ".join(item.function.__doc__.split())
    if hasattr(item, "callspec"):
        return f"{sentence.removesuffix('.')} ({item.callspec.id})."
    return sentence


@pytest.fixture(scope="session")
def expected(request: pytest.FixtureRequest) -> Expectations:
    return request.config.stash[EXPECTED]


@pytest.fixture(scope="session")
def host(expected: Expectations) -> Iterator[Host]:
    """The host over one OpenSSH connection that all claims share."""
    with tempfile.TemporaryDirectory(prefix="sealift-ssh-") as folder:
        control = f"{folder}/control"
        config = str(expected.ssh_config)
        host = testinfra.get_host(
            f"ssh://{expected.host}",
            ssh_config=config,
            ssh_extra_args="-o ServerAliveInterval=15 -o ServerAliveCountMax=4",
            controlpath=control,
            sudo=expected.sudo,
        )
        try:
            host.check_output("true")
        except RuntimeError as error:
            pytest.fail(f"{expected.host}: does not answer over SSH: {error.args[0].stderr}", pytrace=False)
        yield host
        subprocess.run(
            ["ssh", "-F", config, "-o", f"ControlPath={control}", "-O", "exit", expected.host],
            check=True,
            stderr=subprocess.DEVNULL,
        )


@pytest.fixture(scope="session")
def gateway(expected: Expectations) -> Gateway:
    return Gateway(expected, expected.gateway.port)


@pytest.fixture(scope="session")
def front_door(expected: Expectations) -> Gateway:
    return Gateway(expected, expected.front.port)


@pytest.fixture(scope="session")
def container(host: Host, service: str) -> Inspected:
    return find_container(host, service)
