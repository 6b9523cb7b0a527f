"""What the gateway costs: beside direct access, nginx as a plain TLS proxy, and LiteLLM, in the same run.

    python -m bench.gateway

wrk must be installed; nginx comes from Debian, LiteLLM from PyPI, neither is installed. Accounting is on.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from bench.proxies import ANSWER, KEY, PROXY, UPSTREAM, child, fetched_nginx, litellm_serving, nginx_serving
from demo import images
from demo.cache import make
from sealift.cache import cache_folder
from sealift.site.secrets import Secrets
from tests.peers import gateway
from tests.peers.gateway import NEWEST, Gateway, keys_of, lock_of
from tests.peers.registry import free_port

_BODY = '{"model":"chat","messages":[{"role":"user","content":"What is the capital of France?"}]}'
_WRK = f"""\
wrk.method = "POST"
wrk.body = '{_BODY}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer {KEY}"
done = function(summary, latency)
  local errors = summary.errors.status + summary.errors.read + summary.errors.timeout
  io.write(("found %f %f %f %d\\n"):format(
    latency:percentile(50), latency:percentile(99), summary.requests / summary.duration * 1e6, errors))
end
"""
_CHUNKS, _STREAMS, _FIRSTS = 20_000, 1000, 300


def main() -> int:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=5, help="of each run under load")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, in turn")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sealift-gateway-") as scratch:
        work = Path(scratch)
        work.chmod(0o755)  # nginx's workers are nobody
        (work / "wrk.lua").write_text(_WRK)
        cache = cache_folder(os.environ) / "ingredients"
        (image,) = make(images.envoy_image(make(images.base(), cache, print)), cache, print).iterdir()
        envoy = gateway.program(image, work)
        _small_requests(envoy, fetched_nginx(work), work, given.rounds, given.seconds)
        _streams(envoy, work)
    return 0


@contextmanager
def _serving(envoy: Path, work: Path, upstream: int, **more: Any) -> Iterator[Gateway]:
    values: dict[str, Any] = {"requests_per_minute": 10_000_000, "max_connections": 4000, "queue": 512}
    secrets = Secrets.model_construct(api_keys={"alice": keys_of("alice", streams=_STREAMS)})
    with gateway.serving(
        envoy, work, lock_of(NEWEST), secrets=secrets, instead=upstream, workers=2, **values, **more
    ) as found:
        yield found


def _small_requests(envoy: Path, nginx: Path, work: Path, rounds: int, seconds: int) -> None:
    up, proxy = free_port(), free_port()
    answering = UPSTREAM.format(port=up, answer=ANSWER)
    with nginx_serving(nginx, work / "up", answering, 1, "off"), _serving(envoy, work, up) as running:
        proxying = PROXY.format(folder=work, port=proxy, upstream=up)
        with (
            nginx_serving(nginx, work / "proxy", proxying, 2, f"{work}/proxy.access"),
            litellm_serving(work, up) as lite,
        ):
            bases = {
                "direct": f"http://127.0.0.1:{up}",
                "nginx": f"https://127.0.0.1:{proxy}",
                "the gateway": f"https://127.0.0.1:{running.port}",
                "LiteLLM": f"https://127.0.0.1:{lite}",
            }
            urls = {name: f"{base}/v1/chat/completions" for name, base in bases.items()}
            for connections in (1, 32):
                found: dict[str, list[list[float]]] = {name: [] for name in urls}
                for _ in range(rounds):
                    for name, url in urls.items():
                        found[name].append(_wrk(work, url, connections, seconds))
                print(f"{connections} connections at once | median ms | 99 % ms | requests/s | ± | failed")
                for name, runs in found.items():
                    half, most, rate, failed = (
                        statistics.median(run[column] for run in runs) for column in range(4)
                    )
                    spread = max(run[2] for run in runs) - min(run[2] for run in runs)
                    print(f"{name} | {half:.3f} | {most:.3f} | {rate:.0f} | {spread / 2:.0f} | {failed:.0f}")


def _wrk(work: Path, url: str, connections: int, seconds: int) -> list[float]:
    """Median and 99th percentile in milliseconds, requests a second, how many failed."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(work / "wrk.lua"), url]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    match = re.search(r"^found (\S+) (\S+) (\S+) (\S+)$", said, re.MULTILINE)
    if match is None:
        raise AssertionError(said)
    half, most, rate, failed = map(float, match.groups())
    return [half / 1000, most / 1000, rate, failed]


def _streams(envoy: Path, work: Path) -> None:
    up = free_port()
    with child(sys.executable, "-m", "bench.upstream", str(up)):
        time.sleep(1)
        with _serving(envoy, work, up) as running:
            direct, through = _firsts(f"http://127.0.0.1:{up}", None), _firsts(_url(running), running)
            print(
                f"first part of a stream, median of {_FIRSTS}: direct {direct * 1000:.2f} ms, "
                f"through the gateway {through * 1000:.2f} ms"
            )
            before = running.memory_mib()
            held = asyncio.run(_hold(running))
            print(f"{_STREAMS} streams open: Envoy has {held} MiB ({before} MiB before)")
            counted = _cost_of_chunks(running)
        with _serving(envoy, work, up, adapt=_without_accounting) as running:
            plain = _cost_of_chunks(running)
        print(f"processor time for a chunk: {counted:.1f} µs, without accounting {plain:.1f} µs")


def _url(running: Gateway) -> str:
    return f"https://localhost:{running.port}"


def _session(running: Gateway | None) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.headers.update({"x-api-key": KEY, "Content-Type": "application/json"})
    session.verify = str(running.certificate) if running else True
    return session


def _firsts(url: str, running: Gateway | None) -> float:
    """Seconds until the first part of a stream, the median."""
    times = []
    with _session(running) as session:
        for _ in range(_FIRSTS):
            began = time.perf_counter()
            with session.post(f"{url}/api/chat", data=_BODY, stream=True, timeout=60) as answer:
                parts = answer.iter_content(None)
                next(parts)
                times.append(time.perf_counter() - began)
                for _ in parts:
                    pass
    return statistics.median(times)


def _cost_of_chunks(running: Gateway) -> float:
    """Microseconds of Envoy's processor time for each chunk of a stream."""
    headers = {"x-chunks": str(_CHUNKS), "x-pause": "0.0001"}
    with _session(running) as session:
        before = _processor_s(running.process)
        with session.post(
            f"{_url(running)}/api/chat", data=_BODY, headers=headers, stream=True, timeout=300
        ) as answer:
            for _ in answer.iter_content(None):
                pass
        return (_processor_s(running.process) - before) / _CHUNKS * 1e6


def _processor_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _without_accounting(configuration: dict[str, Any]) -> None:
    (listener,) = configuration["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"] = [
        each for each in manager["http_filters"] if each.get("typed_config", {}).get("stat_prefix") != "usage"
    ]


async def _hold(running: Gateway) -> int:
    """MiB that Envoy has with many streams open."""
    context = ssl.create_default_context(cafile=str(running.certificate))
    head = (
        "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nx-api-key: alice-key\r\nx-hold: 1\r\n"
        f"Content-Length: {len(_BODY)}\r\n\r\n{_BODY}"
    )
    writers = []
    for _ in range(_STREAMS):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", running.port, ssl=context, server_hostname="localhost"
        )
        writer.write(head.encode())
        await reader.readuntil(b'"done":false}')
        writers.append(writer)
    found = running.memory_mib()
    for writer in writers:
        writer.transport.abort()
    return found


if __name__ == "__main__":
    sys.exit(main())
