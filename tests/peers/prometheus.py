"""A real Prometheus on loopback of a network of its own. Stand-ins of ssh and docker lead there."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_READY_S = 60
# The last argument of ssh is what the host's shell gets.
_SSH = '#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n'
# `ps` prints the container's number, `exec -i ID COMMAND` runs the command where the container is.
_DOCKER = """\
#!/bin/sh
[ "$1" = ps ] && exec cat {folder}/process
shift 3
exec nsenter --net=/proc/{process}/ns/net "$@"
"""


@contextmanager
def serving(
    programs: Path, folder: Path, *, configuration: str = "{}", data: Path | None = None
) -> Iterator[Path]:
    """Run Prometheus. Gives the folder that is to stand first on PATH.

    + programs: folder with prometheus and promtool
    + folder: gets its log, and its data
    + configuration: YAML
    + data: its blocks, if there are some
    """
    (folder / "prometheus.yml").write_text(configuration)
    flags = (
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={data or folder / 'data'}",
        "--storage.tsdb.retention.time=10y",
        "--web.listen-address=127.0.0.1:9090",
    )
    inside = 'ip link set lo up && exec "$@"'
    command = ("unshare", "--net", "--", "sh", "-c", inside, "sh", programs / "prometheus", *flags)
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as child:
        try:
            path = _stand_ins(programs, folder, child.pid)
            _wait(programs, folder, child)
            yield path
        finally:
            child.terminate()


def _stand_ins(programs: Path, folder: Path, process: int) -> Path:
    path = folder / "bin"
    path.mkdir()
    (folder / "process").write_text(f"{process}\n")
    for name, script in (("ssh", _SSH), ("docker", _DOCKER.format(folder=folder, process=process))):
        (path / name).write_text(script)
        (path / name).chmod(0o755)
    (path / "promtool").symlink_to((programs / "promtool").resolve())
    return path


def _wait(programs: Path, folder: Path, child: subprocess.Popen[bytes]) -> None:
    ready = ("nsenter", f"--net=/proc/{child.pid}/ns/net", programs / "promtool", "check", "ready")
    end = time.monotonic() + _READY_S
    while time.monotonic() < end and child.poll() is None:
        if (
            subprocess.run(
                (*ready, "--url=http://127.0.0.1:9090"), capture_output=True, check=False
            ).returncode
            == 0
        ):
            return
        time.sleep(0.2)
    raise AssertionError(f"Prometheus does not start:\n{(folder / 'log').read_text()}")
