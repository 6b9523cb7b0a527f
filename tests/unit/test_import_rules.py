"""Who may import whom. The rules keep the core free of pyinfra and of the terminal."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# What no part of the core knows.
_OUTSIDE = ("pyinfra", "rich", "typer", "sealift.cli", "sealift.operations", "sealift.facts")
# What happens in the closed network.
_CLOSED = (
    "sealift.depot",
    "sealift.ship",
    "sealift.host",
    "sealift.site",
    "sealift.fleet",
    "sealift.evidence",
)
# What a bundle is made with; `oci` and `release` alone are known everywhere.
_MAKING = ("sealift.sources", "sealift.sbom", "sealift.bundle", "sealift.media")
# folder -> top-level modules (or sealift packages) that must not be imported in it
FORBIDDEN = {
    # along the way of a byte: who comes earlier knows nothing of what comes later
    "sealift/release": (*_OUTSIDE, *_CLOSED, *_MAKING, "sealift.oci"),
    "sealift/oci": (*_OUTSIDE, *_CLOSED, *_MAKING),
    "sealift/sources": (*_OUTSIDE, *_CLOSED, *_MAKING[1:]),
    "sealift/sbom": (*_OUTSIDE, *_CLOSED, "sealift.bundle", "sealift.media"),
    "sealift/bundle": (*_OUTSIDE, *_CLOSED, "sealift.media"),
    "sealift/media": (*_OUTSIDE, *_CLOSED, "sealift.sources", "sealift.sbom"),
    "sealift/depot": (
        *_OUTSIDE,
        "sealift.ship",
        "sealift.host",
        "sealift.site",
        "sealift.fleet",
        "sealift.evidence",
    ),
    "sealift/install": (
        *_OUTSIDE,
        "sealift.ship",
        "sealift.host",
        "sealift.site",
        "sealift.fleet",
        "sealift.evidence",
    ),
    "sealift/ship": (*_OUTSIDE, "sealift.host", "sealift.site", "sealift.fleet", "sealift.evidence"),
    "sealift/host": (*_OUTSIDE, "sealift.ship", "sealift.site", "sealift.fleet", "sealift.evidence"),
    "sealift/site": (*_OUTSIDE, "sealift.ship", "sealift.fleet", "sealift.evidence"),
    "sealift/fleet": (*_OUTSIDE, "sealift.evidence"),
    "sealift/evidence": _OUTSIDE,
    "sealift/promotion": (*_OUTSIDE, "sealift.lab", "sealift.drift"),
    "sealift/lab": (
        *_OUTSIDE,
        *(room for room in _CLOSED if room not in ("sealift.host", "sealift.site")),
        "sealift.bundle",
    ),
    "sealift/operations": ("rich", "typer", "sealift.cli", "sealift.drift"),
    "sealift/drift": ("rich", "typer", "sealift.cli", "sealift.lab", "sealift.evidence"),
    "sealift/clients": ("rich", "typer", "sealift.cli", "sealift.lab", "sealift.evidence", "sealift.drift"),
    "sealift/measure": ("rich", "typer", "sealift.cli", "sealift.lab", "sealift.evidence", "sealift.drift"),
    "sealift/live": ("rich", "typer", "sealift.cli", "sealift.lab", "sealift.evidence", "sealift.drift"),
    "sealift/watch": ("rich", "typer", "sealift.cli", "sealift.lab", "sealift.evidence", "sealift.drift"),
    "sealift/rollout": ("rich", "typer", "sealift.cli", "sealift.lab"),
    "sealift/quality": (*_OUTSIDE, *_MAKING, "sealift.lab", "sealift.drift"),
    "sealift/facts": ("rich", "typer", "sealift.cli"),
    "tasks": ("rich", "typer", "sealift.cli"),
    # a wrong operation must not vouch for itself
    "tests/hosts": ("pyinfra", "pyinfra_cli", "sealift.cli", "sealift.operations", "sealift.facts", "tasks"),
}


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _violations(folder: Path, forbidden: tuple[str, ...]) -> list[str]:
    return sorted(
        f"{path.relative_to(folder)} imports {module}"
        for path in folder.rglob("*.py")
        for module in set(_imports(path))
        if any(module == name or module.startswith(f"{name}.") for name in forbidden)
    )


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_folder_imports_only_what_it_may(folder: str) -> None:
    assert list((ROOT / folder).rglob("*.py"))
    assert _violations(ROOT / folder, FORBIDDEN[folder]) == []


def test_what_works_on_a_lab_works_on_any_site() -> None:
    knowing = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "sealift").rglob("*.py")
        if any(module.startswith("sealift.lab") for module in _imports(path)) and path.parent.name != "lab"
    }
    assert knowing == {"sealift/cli/lab.py"}


def _reached(module: str) -> set[str]:
    """What importing a module imports; modules of the project are followed."""
    found: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        path = ROOT / f"{name.replace('.', '/')}.py"
        if name not in found and path.exists():
            todo += _imports(path)
        found.add(name)
    return found


def _libraries(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules} - sys.stdlib_module_names - {"sealift"}


def test_a_bare_control_node_starts_without_any_library() -> None:
    reached = _reached("sealift.install.__main__")
    assert {"sealift.install.environment", "sealift.install.start", "sealift.errors"} < reached
    assert _libraries(reached) == set()
    packages = [ROOT / folder / "__init__.py" for folder in ("sealift", "sealift/install")]
    assert [path for path in packages if list(_imports(path))] == []


def test_what_is_run_from_media_imports_the_standard_library_alone() -> None:
    reached = _reached("sealift.install.start")
    assert _libraries(reached) == set()
    assert {module for module in reached if module.startswith("sealift")} == {"sealift.install.start"}


def test_a_library_is_found_behind_modules_of_the_project() -> None:
    assert {"pydantic"} <= _libraries(_reached("sealift.install.from_depot"))


def test_a_forbidden_import_is_found(tmp_path: Path) -> None:
    (tmp_path / "core.py").write_text("from pyinfra import host\nimport rich.table\n")
    assert _violations(tmp_path, ("pyinfra", "rich")) == [
        "core.py imports pyinfra",
        "core.py imports pyinfra.host",
        "core.py imports rich.table",
    ]
