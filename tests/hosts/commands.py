"""Commands on the host."""

from __future__ import annotations

from testinfra.host import Host


def output(host: Host, command: str, *arguments: str) -> str:
    """What a command printed; where it fails, the claim fails with what it complained about."""
    ran = host.run(command, *arguments)
    said = (ran.stderr or ran.stdout).strip()
    assert ran.rc == 0, f"{command % arguments if arguments else command}: exit code {ran.rc}: {said}"
    return str(ran.stdout).rstrip("\r\n")
