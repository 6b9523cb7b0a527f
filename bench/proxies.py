"""What the gateway is measured beside: nginx, as upstream and as a plain TLS proxy, and LiteLLM."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.peers.registry import free_port

KEY = "alice-key"  # of a client

# Answers small requests from memory: the quickest there is.
UPSTREAM = """\
server {{ listen 127.0.0.1:{port};
  location / {{ default_type application/json; return 200 '{answer}'; }} }}
"""
PROXY = """\
upstream up {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000000; }}
server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/tls.crt; ssl_certificate_key {folder}/tls.key;
  location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}
"""
ANSWER = (
    '{"id":"1","object":"chat.completion","created":1,"model":"chat","choices":[{"index":0,"message":'
    '{"role":"assistant","content":"Paris"},"finish_reason":"stop"}],'
    '"usage":{"prompt_tokens":26,"completion_tokens":1,"total_tokens":27}}'
)
_NGINX = """\
daemon off; worker_processes {workers}; pid {own}.pid; error_log {own}.log;
events {{ worker_connections 4096; }}
http {{ access_log {log}; keepalive_requests 100000000; {temporary}
{servers}
}}
"""
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
# The last of PyPI whose proxy can be had as a whole; measured only, so its parts are not pinned.
_LITELLM = "litellm[proxy]==1.108.7"


def fetched_nginx(work: Path) -> Path:
    """Nginx's program, out of Debian's package."""
    subprocess.run(["apt-get", "download", "-qq", "nginx"], cwd=work, check=True, stderr=subprocess.DEVNULL)
    (package,) = work.glob("nginx_*.deb")
    subprocess.run(["dpkg-deb", "-x", package, work / "nginx"], check=True)
    return work / "nginx/usr/sbin/nginx"


@contextmanager
def child(*command: str | Path) -> Iterator[None]:
    """Run a program meanwhile."""
    with subprocess.Popen(command) as running:
        try:
            yield
        finally:
            running.terminate()


@contextmanager
def nginx_serving(nginx: Path, own: Path, servers: str, workers: int, log: str) -> Iterator[None]:
    """Run nginx.

    + own: where its files are, without an ending
    + log: of requests: a file, or off
    """
    temporary = " ".join(f"{kind}_temp_path {own}.{kind};" for kind in _TEMPORARY)
    config = _NGINX.format(own=own, workers=workers, log=log, temporary=temporary, servers=servers)
    own.with_suffix(".conf").write_text(config)
    with child(nginx, "-c", own.with_suffix(".conf")):
        time.sleep(1)
        yield


@contextmanager
def litellm_serving(work: Path, upstream: int) -> Iterator[int]:
    """Run LiteLLM with one key and two processes, as Envoy has two threads; its port."""
    port, own = free_port(), work / "litellm"
    subprocess.run([sys.executable, "-m", "venv", own], check=True)
    subprocess.run([own / "bin/pip", "install", "--quiet", _LITELLM], check=True)
    model = {"model": "openai/chat", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "none"}
    config = {
        "model_list": [{"model_name": "chat", "litellm_params": model}],
        "general_settings": {"master_key": KEY},
    }
    (work / "litellm.json").write_text(json.dumps(config))  # which is YAML, too
    with (
        (work / "litellm.log").open("wb") as log,
        subprocess.Popen(
            [
                *(own / "bin/litellm", "--config", work / "litellm.json", "--num_workers", "2"),
                *("--host", "127.0.0.1", "--port", str(port)),
                *("--ssl_certfile_path", work / "tls.crt", "--ssl_keyfile_path", work / "tls.key"),
            ],
            env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as running,
    ):
        try:
            _wait_for(port)
            yield port
        finally:
            os.killpg(running.pid, signal.SIGTERM)


def _wait_for(port: int) -> None:
    end = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(1)
