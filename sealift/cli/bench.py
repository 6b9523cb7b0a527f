"""bench: how fast the hosts of an inventory answer."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.filesize import decimal
from rich.table import Table

from sealift.cli.console import complain, say, show, working
from sealift.cli.options import AsJson, Exclude, InventoryName, Limit, print_json
from sealift.cli.reaching import start_where_hosts_are
from sealift.errors import SealiftError
from sealift.files import write_atomically
from sealift.fleet.survey import Target, targets
from sealift.measure import page
from sealift.measure.kept import Compared, compare, folder_of, keep, last_before
from sealift.measure.prompts import PREDICT
from sealift.measure.results import Bench, Bound, Cold, Load, Step
from sealift.measure.run import Found, Wanted
from sealift.measure.site import measure, ready
from sealift.measure.statistics import Spread
from sealift.site.inventory import load_inventory

_MOST_STREAMS, _MOST_ROUNDS, _MOST_REQUESTS = 64, 1000, 20_000


def register(app: typer.Typer) -> None:
    """Add this command to the tool."""
    app.command("bench")(bench)


def bench(
    inventory: InventoryName,
    role: Annotated[list[str] | None, typer.Option(help="Only this role; repeat for more.")] = None,
    client: Annotated[
        str | None, typer.Option(help="Whose key.", show_default="that of the client that ask takes")
    ] = None,
    streams: Annotated[
        str, typer.Option(metavar="N,N,...", help="Requests at once, a step for each.")
    ] = "1,2,4",
    rounds: Annotated[
        int, typer.Option(min=1, max=_MOST_ROUNDS, help="Requests of each stream in a step.")
    ] = 5,
    cold: Annotated[
        bool, typer.Option("--cold", help="Load each model anew, too. Whoever asks meanwhile waits for it.")
    ] = False,
    rate: Annotated[
        float, typer.Option(min=0, max=1000, help="Requests a second, sent whatever the answers do; 0: none.")
    ] = 0,
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="For how long at that rate.")] = 30,
    fail_above: Annotated[
        float | None,
        typer.Option(min=1, metavar="RATIO", help="Exit code 1 where a median is worse by more than this."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write a page with plots here.", dir_okay=False)] = None,
    limit: Limit = None,
    exclude: Exclude = None,
    as_json: AsJson = False,
) -> None:
    """Measure how fast every host answers each role, through its gateway as a client: the first token, the
    answer, tokens a second, by several streams at once.

    It costs what that many users cost. The run is kept beside the depot and held against the last release's.

    Exit code 0: all was measured. 1: something was not, or --fail-above says so.

    Example: sealift bench prod --role chat --limit llm1 --rate 0.5 --out bench.html
    """
    wanted = Wanted(_streams(streams), rounds, cold, rate, seconds)
    if rate * seconds > _MOST_REQUESTS:
        raise SealiftError(f"--rate and --seconds: expected {_MOST_REQUESTS} requests at most. Take fewer.")
    site = load_inventory(inventory).limited(limit, exclude)
    found = targets(site)
    start_where_hosts_are(site)
    run, problems = _measured(site.name, found, role or [], client, wanted)
    folder = folder_of(site)
    kept = _kept(run, folder, problems) if run.steps and not problems else None
    before = last_before(run, folder, complain)
    compared = tuple(compare(before, run)) if before else ()
    if out:
        write_atomically(out, page.render(run, compared, before))
    if as_json:
        print_json(run.model_dump(mode="json") | {"compared": [asdict(each) for each in compared]})
    else:
        _print(run, compared, before)
        for what, path in (("kept", kept), ("page", out)):
            if path:
                say(f"{what}  {path}")
    worse = [each for each in compared if fail_above and each.slower > fail_above]
    problems += [f"{_name(each)}: {each.slower:.2f} times as slow, expected {fail_above}." for each in worse]
    if problems:
        raise SealiftError("\n".join(problems))


def _streams(given: str) -> tuple[int, ...]:
    numbers = [int(text) if re.fullmatch("[0-9]{1,3}", text) else 0 for text in given.split(",")]
    if not all(1 <= number <= _MOST_STREAMS for number in numbers):
        raise SealiftError(
            f"--streams {given}: expected numbers from 1 to {_MOST_STREAMS}, such as 1,2,4. Correct it."
        )
    return tuple(sorted(set(numbers)))


def _measured(
    site: str, found: tuple[Target, ...], roles: list[str], client: str | None, wanted: Wanted
) -> tuple[Bench, list[str]]:
    """All results, as far as they came before Ctrl-C; and what went wrong."""
    began = datetime.now(UTC).replace(microsecond=0)
    results: list[Found] = []
    problems: list[str] = []
    with working(f"asking {len(found)} hosts") as work:
        of = ready(found, roles, client)
        try:
            for result in measure(wanted, of, work.now, problems.append):
                results.append(result)
                work.tell(_line(result))
        except KeyboardInterrupt:
            problems.append(
                f"{site}: was interrupted. What was measured until then stands above; it is not kept."
            )
    run = Bench(
        site=site,
        release=of.release,
        bundle=of.bundle,
        began=began,
        client=of.client,
        rounds=wanted.rounds,
        predict=PREDICT,
        steps=tuple(each for each in results if isinstance(each, Step)),
        colds=tuple(each for each in results if isinstance(each, Cold)),
        loads=tuple(each for each in results if isinstance(each, Load)),
        bounds=tuple(each for each in results if isinstance(each, Bound)),
    )
    return run, problems


def _kept(run: Bench, folder: Path, problems: list[str]) -> Path | None:
    try:
        return keep(run, folder)
    except OSError as error:
        problems.append(
            f"{folder}: the run cannot be kept ({error.strerror}), expected a folder to write to. Mend that; "
            "what was measured stands above."
        )
        return None


def _line(found: Found) -> str:
    """A result in a line, while others are measured."""
    where = f"{found.host} {found.role}"
    if isinstance(found, Step):
        what = f"{found.prompt} prompt, {_count(found.streams, 'stream')}"
        return f"{where}: {what}: answer {_time(found.answer_s)}, {found.asked - found.answered} refused"
    if isinstance(found, Cold):
        return f"{where}: loaded in {_time(found.load_s)}"
    if isinstance(found, Load):
        return f"{where}: {found.rate:g} requests a second: answer {_time(found.answer_s)}"
    return f"{where}: {found.reached:.0%} of what memory allows"


def _print(run: Bench, compared: tuple[Compared, ...], before: Bench | None) -> None:
    steps = Table(*_STEP, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for step in run.steps:
        steps.add_row(*_row(step))
    show(steps)
    for load in run.loads:
        say(
            f"{load.host} {load.role}: {load.rate:g} requests a second for {load.seconds:g} s: "
            f"{load.answered} of {load.asked} answered, the last after {load.ended_s:.1f} s\n"
            f"  first token {_spread(load.first_s)}, answer {_spread(load.answer_s)}, from when each was due"
        )
    for cold in run.colds:
        say(f"{cold.host} {cold.role}: loaded in {_spread(cold.load_s)}; first token {_spread(cold.first_s)}")
    for bound in run.bounds:
        say(
            f"{bound.host} {bound.role}: {bound.reached:.0%} of the {bound.tokens_per_second:.0f} tokens/s "
            f"that memory allows one stream ({decimal(bound.bytes_per_token)} a token, "
            f"{decimal(int(bound.bandwidth))}/s by {bound.of})"
        )
    for said, count in run.refusals.items():
        complain(f"{_count(count, 'request')} of client {run.client} not answered: {said}")
    if before:
        say(f"\nBeside the run of {before.began:%d %B %Y %H:%M} UTC, {before.release}:")
        table = Table("host", "role", "median of", "before", "now", "ratio", box=SIMPLE_HEAD, pad_edge=False)
        for each in compared:
            pair = [f"{value:.2f} {each.unit}" for value in (each.before, each.now)]
            table.add_row(each.host, each.role, each.what, *pair, f"{each.now / each.before:.2f}")
        show(table)


_STEP = ("host", "role", "prompt", "streams", "first token", "answer", "tokens/s of one", "of all", "refused")


def _row(step: Step) -> tuple[str, ...]:
    return (
        step.host,
        step.role,
        f"{step.prompt}, {step.prompt_tokens.median:.0f}" if step.prompt_tokens else step.prompt,
        str(step.streams),
        _spread(step.first_s),
        _spread(step.answer_s),
        f"{step.rate.median:.1f} ({step.rate.least:.1f} to {step.rate.most:.1f})" if step.rate else "-",
        f"{step.together:.1f}" if step.together else f"{step.requests_per_second:.1f} answers/s",
        str(step.asked - step.answered or "-"),
    )


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return "-"
    return f"{_time(spread)} ({_seconds(spread.least)} to {_seconds(spread.most)})"


def _time(spread: Spread | None) -> str:
    return f"{_seconds(spread.median)} s" if spread else "-"


def _seconds(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.1f}"


def _name(each: Compared) -> str:
    return f"{each.host}: {each.role}, {each.what}"


def _count(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
