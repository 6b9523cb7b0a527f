"""What would change on hosts, for people: a line for each thing, and each text file line by line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sealift.cli.console import say


def print_changes(lines: Mapping[str, Sequence[str]], diffs: Mapping[str, Sequence[str]]) -> None:
    """Print them; a diff that several hosts have is shown once.

    + lines: what differs, by host
    + diffs: of text files, by host
    """
    for host, found in lines.items():
        for line in found:
            say(f"  {host}: {line}")
    for diff in dict.fromkeys(diff for found in diffs.values() for diff in found):
        hosts = [host for host, found in diffs.items() if diff in found]
        say(f"\n{', '.join(hosts)}:\n{diff}")
