"""`sealift install`: the control node itself gets a release's tools and deployment code."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from sealift.cli.console import say
from sealift.cli.options import AsJson, print_json
from sealift.cli.progress import shown
from sealift.depot.store import Depot
from sealift.install.from_depot import Deployed, install_from_depot


def register(app: typer.Typer) -> None:
    """Add this command to the tool."""
    app.command("install")(install)


def install(
    release: Annotated[str, typer.Argument(help="NAME:VERSION, as imported.")],
    depot: Annotated[Path, typer.Option(help="The site's depot.", file_okay=False)],
    to: Annotated[Path, typer.Option(help="Where sealift is, such as /srv/sealift.", file_okay=False)],
    as_json: AsJson = False,
) -> None:
    """Upgrade this control node to a release: its Debian packages, sealift, the deployment code.

    A new control node starts by START.py, which lies on the media; this is for the releases after that, once
    imported. What was in force stays in force until everything is in its place.

    Example: sealift install assistant:2026.12.0 --depot /srv/sealift/depot --to /srv/sealift
    """
    with shown() as progress:
        done = install_from_depot(Depot(depot), release, to, progress)
    if as_json:
        print_json({**dataclasses.asdict(done), "deployment": str(done.deployment)})
    else:
        say(_text(done))


def _text(done: Deployed) -> str:
    packages = f"{len(done.packages.now)} installed" if done.packages.now else "no change"
    lines = [f"{done.release}", f"packages    {packages}"]
    if done.packages.kept:
        names = ", ".join(done.packages.kept)
        lines.append(f"            older, for they are on hold or needed so by others here: {names}")
    lines.append(f"sealift     {done.deployment}{'' if done.made else ': no change'}")
    lines.append("in force    now" if done.activated else "in force    no change")
    if done.removed:
        lines.append(f"removed     {done.deployment.parent}/: {', '.join(done.removed)}")
    return "\n".join(lines)
