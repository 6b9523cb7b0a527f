"""models: the catalogue as a table, and which models fit a host."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.filesize import decimal
from rich.table import Table

from sealift.cli.console import say, show
from sealift.cli.options import AsJson, print_json
from sealift.errors import SealiftError
from sealift.release.catalogue import CatalogueModel, catalogue, family_of, find, nearest, no_such_tag

_UNITS = {"M": 1 << 20, "G": 1 << 30}
_WIDTH = 104  # columns that the table needs; a narrower one would cut names
# name of the host's memory (ram, vram) -> bytes
_Hosts = dict[str, int]


def register(app: typer.Typer) -> None:
    """Add this command to the tool."""
    app.command("models")(models)


def _size(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,9})([MG])(?:iB)?", text)
    if not found:
        raise typer.BadParameter(f"{text!r} is no size, expected one such as 16G or 8192M.")
    return int(found[1]) * _UNITS[found[2]]


def models(
    name: Annotated[str | None, typer.Argument(help="A model (gemma3:4b) or a family (gemma3).")] = None,
    context: Annotated[int, typer.Option(min=256, max=1 << 24, help="Tokens of one request.")] = 4096,
    parallel: Annotated[int, typer.Option(min=1, max=64, help="Requests answered at once.")] = 1,
    ram: Annotated[int | None, typer.Option(parser=_size, metavar="16G", help="A host's memory.")] = None,
    vram: Annotated[int | None, typer.Option(parser=_size, metavar="24G", help="Its GPUs' memory.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the models that releases are made of, and which fit a host.

    Memory is what a model takes at most. A context longer than it was trained for counts as that.

    Before a rollout, preflight reckons again, from the release's own files and the host itself.

    Example: sealift models gemma3 --context 8192 --parallel 2 --ram 16G --vram 24G
    """
    hosts = {key: size for key, size in (("ram", ram), ("vram", vram)) if size is not None}
    chosen = _chosen(name)
    if as_json:
        print_json({key: _described(model, context, parallel, hosts) for key, model in chosen.items()})
    elif name and ":" in name:
        ((key, model),) = chosen.items()
        _print_one(key, model, context, parallel, hosts)
    else:
        _print_table(chosen, context, parallel, hosts)


def _chosen(name: str | None) -> dict[str, CatalogueModel]:
    every = catalogue().models
    if name is None:
        return dict(every)
    family = {key: model for key, model in every.items() if family_of(key) == name}
    if family:
        return family
    found = find(name)
    if found:
        return dict([found])
    near = ", ".join(nearest(name) or catalogue().families)
    wrong = no_such_tag(name) or f"not in the catalogue; nearest: {near}"
    raise SealiftError(f"{name}: {wrong}. See sealift models.")


def _fits(model: CatalogueModel, context: int, parallel: int, hosts: _Hosts) -> dict[str, bool]:
    need = model.memory(context, parallel).total
    return {key: need <= size for key, size in hosts.items()}


def _described(model: CatalogueModel, context: int, parallel: int, hosts: _Hosts) -> dict[str, Any]:
    memory = model.memory(context, parallel)
    everything = catalogue()
    return {
        **model.model_dump(mode="json", exclude={"licence", "sources"}),
        "licence": everything.licences[model.licence].model_dump(),
        "sources": {figure: everything.sources[source] for figure, source in model.sources.items()},
        "kv_bytes_per_token": model.attention.bytes_per_token,
        "memory": {
            **asdict(memory),
            "total": memory.total,
            "context": model.tokens(context),
            "parallel": parallel,
            "kv_cache_windowed": model.windowed(context, parallel),
        },
        "fits": _fits(model, context, parallel, hosts),
    }


def _print_table(chosen: dict[str, CatalogueModel], context: int, parallel: int, hosts: _Hosts) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column in ("model", "size", "quant", "memory", "context", "modalities", "licence", *hosts):
        table.add_column(column, no_wrap=True)
    for key, model in chosen.items():
        fits = _fits(model, context, parallel, hosts)
        table.add_row(
            key,
            decimal(model.size),
            model.quantization,
            _gib(model.memory(context, parallel).total),
            f"{model.context_length >> 10}K",
            ", ".join(model.modalities),
            model.licence,
            *("fits" if fit else "no" for fit in fits.values()),
        )
    show(table, at_least=_WIDTH)
    limits = "".join(f", {key} {_gib(size)}" for key, size in hosts.items())
    say(f"memory at context {context}, parallel {parallel}{limits}")


def _print_one(key: str, model: CatalogueModel, context: int, parallel: int, hosts: _Hosts) -> None:
    memory, windowed = model.memory(context, parallel), model.windowed(context, parallel)
    licence = catalogue().licences[model.licence]
    less = "" if windowed is None else f"; {_gib(windowed)} KV cache where the engine keeps only the window"
    aliases = ", ".join(f"{family_of(key)}:{alias}" for alias in model.aliases)
    lines = {
        "also": aliases,
        "parameters": model.parameters,
        "quantization": model.quantization,
        "size": f"{decimal(model.size)} ({model.size} bytes)",
        "manifest": model.manifest or "",
        "context": f"{model.context_length} tokens",
        "modalities": ", ".join(model.modalities),
        "licence": f"{licence.name}, {licence.text}",
        "Ollama": f"{model.ollama} or newer" if model.ollama else "",
        "memory": f"{_gib(memory.total)} at context {model.tokens(context)}, parallel {parallel}",
        "of it": ", ".join(f"{_gib(count)} {part}" for part, count in memory.parts.items()) + less,
        **{
            f"fits {name}": f"{'yes' if fit else 'no'}, {_gib(hosts[name])}"
            for name, fit in _fits(model, context, parallel, hosts).items()
        },
    }
    say(key)
    for label, text in lines.items():
        if text:
            say(f"  {label:<13}{text}")
    say("sources")
    for figure, source in model.sources.items():
        say(f"  {figure}: {catalogue().sources[source]}")


def _gib(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB"
