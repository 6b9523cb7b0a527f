"""What the files of an inventory say of tables, as their text shows it: pyinfra has merged them by then."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from sealift.site.inventory import Inventory

# By the name of a table, its keys.
_Tables = Mapping[str, frozenset[str]]


def replaced_tables(inventory: Inventory) -> Iterator[str]:
    """Where a group's table, or a host's own, takes the place of another and leaves out a key of it."""
    folder = inventory.path.parent / "group_data"
    files = {path.stem: _tables_of(path) for path in sorted(folder.glob("*.py"))}
    common = files.pop("all", {})
    for group, tables in files.items():
        for table, keys in tables.items():
            if lost := common.get(table, frozenset()) - keys:
                yield _replaced(f"{folder / group}.py: {table}", "all.py", lost, "these hosts")
    for host in inventory.hosts:
        for table, keys in _own_tables(inventory.path, host.name).items():
            of_groups = {
                f"{group}.py": tables[table]
                for group, tables in files.items()
                if group in host.groups and table in tables
            }
            former = of_groups or {"all.py": common.get(table, frozenset())}
            if lost := frozenset().union(*former.values()) - keys:
                where = f"{inventory.path}: {table} of {host.name}"
                yield _replaced(where, " and ".join(former), lost, "this host")


def assigned_twice(inventory: Inventory) -> Iterator[str]:
    """Where a file of group data assigns a name anew and uses nothing of what it had."""
    for path in sorted((inventory.path.parent / "group_data").glob("*.py")):
        lines: dict[str, int] = {}
        for node in _parsed(path).body:
            for each in ast.walk(node):
                if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load):
                    lines.pop(each.id, None)
            for name in _targets(node):
                if name in lines:
                    yield (
                        f"{path}: {name} is assigned in line {lines[name]}, and again in line {node.lineno}, "
                        "which alone holds. Keep one."
                    )
                lines[name] = node.lineno


def assigned_names(path: Path) -> frozenset[str]:
    """The names that a file assigns: of an inventory, its groups among them, with hosts or without."""
    return frozenset(name for node in _parsed(path).body for name in _targets(node))


def _targets(node: ast.stmt) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _replaced(table: str, files: str, lost: frozenset[str], hosts: str) -> str:
    return (
        f"{table} takes the place of that in {files} whole, so {', '.join(sorted(lost))} "
        f"of it does not hold for {hosts}. Repeat it here, if it should."
    )


def _tables_of(path: Path) -> _Tables:
    """The tables that a file of group data sets, as far as their keys are plain values."""
    found: dict[str, frozenset[str]] = {}
    for node in _parsed(path).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            keys = _keys(node.value, found)
            found |= {} if keys is None else dict.fromkeys(_targets(node), keys)
    return found


def _own_tables(path: Path, host: str) -> _Tables:
    """The tables beside a host's name in the inventory: `("h1", {"NAME": {...}})`."""
    found: dict[str, frozenset[str]] = {}
    for node in ast.walk(_parsed(path)):
        match node:
            case ast.Tuple(elts=[ast.Constant(value=name), ast.Dict(keys=keys, values=values)]) if (
                name == host
            ):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(value, ast.Dict):
                        own = _keys(value, {})
                        found |= {} if own is None else {str(key.value): own}
    return found


def _keys(table: ast.Dict, known: _Tables) -> frozenset[str] | None:
    """Its keys, with those of known tables that it takes in by `**`. None: it takes in something else."""
    keys: set[str] = set()
    for key, value in zip(table.keys, table.values, strict=True):
        if isinstance(key, ast.Constant):
            keys.add(str(key.value))
        elif isinstance(value, ast.Name) and value.id in known:
            keys |= known[value.id]
        else:
            return None
    return frozenset(keys)


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text())
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])  # pyinfra has told already
