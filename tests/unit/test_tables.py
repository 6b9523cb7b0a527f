"""What check says of tables and groups that are not what they look like."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.site.check import check_site
from sealift.site.init import make_site
from tests.unit.test_site import NOW, site


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    """The folder of a site that was just made."""
    return make_site(site(tmp_path), tmp_path / "sites").folder


def warnings(folder: Path) -> tuple[str, ...]:
    """What check warns of."""
    return check_site(str(folder), NOW).warnings


def _give(folder: Path, host: str, table: str) -> None:
    """Write a host's own data beside its name, first where it stands."""
    path = folder / "acme.py"
    path.write_text(path.read_text().replace(f'"{host}"', f'("{host}", {{"ollama": {table}}})', 1))


def test_a_table_that_a_host_replaces_is_told(acme: Path) -> None:
    _give(acme, "h1", '{"keep_alive": "12h"}')
    assert warnings(acme) == (
        f"{acme}/acme.py: ollama of h1 takes the place of that in all.py whole, so context_length, "
        "memory_limit_mib, num_parallel of it does not hold for this host. Repeat it here, if it should.",
    )


def test_a_host_replaces_what_its_group_says(acme: Path) -> None:
    table = {"num_parallel": 4, "context_length": 8192, "keep_alive": "1h", "memory_limit_mib": 9000}
    _give(acme, "g1", str(table))
    (warning,) = warnings(acme)
    assert "ollama of g1 takes the place of that in gpu.py whole, so flash_attention of it" in warning


def test_a_table_that_takes_another_in_leaves_nothing_out(acme: Path) -> None:
    _give(acme, "h1", '{**_common, "keep_alive": "12h"}')
    path = acme / "acme.py"
    path.write_text(path.read_text().replace("llm = [", '_common = {"memory_limit_mib": 4096}\nllm = ['))
    (acme / "group_data/gpu.py").write_text('gpu = {"stand_in": True}\ngpu = {**gpu}\n')
    assert warnings(acme) == ()
