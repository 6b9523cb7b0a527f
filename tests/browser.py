"""A real browser: Chromium without a window, led by chromedriver. Source: https://www.w3.org/TR/webdriver2/."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

_ARGUMENTS = ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--disable-gpu", "--no-first-run")
_READY_S = 60
# Of each text that is seen: how far its colour stands out from what is behind it, as WCAG 2 has it.
_FAINT = """
const part = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const light = c => 0.2126 * part(c[0]) + 0.7152 * part(c[1]) + 0.0722 * part(c[2]);
const read = text => text.match(/[\\d.]+/g).map(Number);
const behind = e => {
  for (; e; e = e.parentElement) {
    const c = read(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] === 1) return c;
  }
  return [255, 255, 255];
};
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const e = walker.currentNode.parentElement, said = walker.currentNode.data.trim();
  if (!said || e.closest("title, style")) continue;
  const style = getComputedStyle(e), own = e.closest("svg") ? style.fill : style.color;
  const [a, b] = [light(read(own)), light(behind(e))].sort((x, y) => y - x);
  found.push([(a + 0.05) / (b + 0.05), said]);
}
return found;
"""


@dataclass(frozen=True)
class Browser:
    """One that runs.

    + url: of its session
    """

    url: str

    def _call(self, path: str, **body: Any) -> Any:
        answer = requests.post(f"{self.url}/{path}", json=body, timeout=120)
        said = answer.json()["value"]
        assert answer.ok, said
        return said

    def _devtools(self, command: str, **parameters: Any) -> Any:
        return self._call("goog/cdp/execute", cmd=command, params=parameters)

    def look(self, url: str, width: int, *, dark: bool = False) -> None:
        """Open a page.

        + width: of the window
        + dark: whether its user likes it dark
        """
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._devtools("Emulation.setEmulatedMedia", features=[scheme])
        self._devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        self._call("url", url=url)

    def run(self, script: str) -> Any:
        """Run a script in the page."""
        return self._call("execute/sync", script=script, args=[])

    def contrasts(self) -> list[tuple[float, str]]:
        """Every text that is seen, with how far it stands out."""
        return [(ratio, text) for ratio, text in self.run(_FAINT)]

    def complaints(self) -> list[str]:
        """What it has said about pages since the last call."""
        return [each["message"] for each in self._call("se/log", type="browser")]

    def asked(self) -> list[str]:
        """The addresses that it has asked for since the last call."""
        events = (json.loads(each["message"])["message"] for each in self._call("se/log", type="performance"))
        return [
            each["params"]["request"]["url"]
            for each in events
            if each["method"] == "Network.requestWillBeSent"
        ]

    def picture(self) -> bytes:
        """The whole page as WebP, which is smaller than PNG."""
        height = self.run("return document.documentElement.scrollHeight")
        width = self.run("return innerWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        form = {"format": "webp", "quality": 75}
        shot = self._devtools("Page.captureScreenshot", clip=clip, captureBeyondViewport=True, **form)
        return base64.b64decode(shot["data"])


@contextmanager
def browsing() -> Iterator[Browser]:
    """Start a browser."""
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        ("chromedriver", "--port=0"), stdout=subprocess.PIPE, stderr=quiet, text=True
    ) as driver:
        try:
            yield from _session(_address(driver))
        finally:
            driver.terminate()


def _address(driver: subprocess.Popen[str]) -> str:
    assert driver.stdout
    end = time.monotonic() + _READY_S
    for line in driver.stdout:
        if "started successfully on port" in line:
            return f"http://127.0.0.1:{line.split()[-1].rstrip('.')}"
        assert time.monotonic() < end
    raise AssertionError("chromedriver does not start")


def _session(address: str) -> Iterator[Browser]:
    wanted = {
        "goog:chromeOptions": {"args": _ARGUMENTS},
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    }
    answer = requests.post(
        f"{address}/session", json={"capabilities": {"alwaysMatch": wanted}}, timeout=_READY_S
    )
    assert answer.ok, answer.text
    url = f"{address}/session/{answer.json()['value']['sessionId']}"
    try:
        yield Browser(url)
    finally:
        requests.delete(url, timeout=_READY_S)
