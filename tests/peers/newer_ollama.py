"""Ollama 0.24.0, a genuine later version than the demo's, built as that one is; it takes a few minutes.

Three headers are missing in the archive of its Go module, which has no `vendor/` folders: two are Debian's,
one is in the module of a Go binding to it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from demo.cache import Recipe, make
from demo.commands import run
from demo.go import Go, find_go
from sealift.cache import cache_folder

VERSION = "0.24.0"
_MODULE = f"github.com/ollama/ollama@v{VERSION}"
_MINIAUDIO = "github.com/gen2brain/malgo@v0.11.24"
_VARIABLES = "github.com/ollama/ollama"
_LDFLAGS = f"-w -s -X={_VARIABLES}/version.Version={VERSION} -X={_VARIABLES}/server.mode=release"


def program() -> Path:
    """The program, out of the cache of ingredients."""
    cache = cache_folder(os.environ) / "ingredients"
    go = find_go(cache, print)
    recipe = Recipe(
        f"ollama-{VERSION}",
        f"{_MODULE} by {go.version}",
        {
            **{"module": _MODULE, "miniaudio": _MINIAUDIO, "go": go.version},
            **{"ldflags": _LDFLAGS, "c_flags": go.c_flags},
        },
        (Path(__file__),),
        lambda result, work: _build(go, result, work),
    )
    return make(recipe, cache, print) / "ollama"


def _build(go: Go, result: Path, work: Path) -> None:
    own = {"GOPATH": work / "path", "GOCACHE": work / "cache", "GOTMPDIR": work, "TMPDIR": work}
    environment = {key: value for key, value in os.environ.items() if key not in ("GOROOT", "GOBIN")}
    environment |= {key: str(value) for key, value in own.items()}
    flags = f"{go.c_flags} -I{work / 'include'} -I/usr/include/stb"
    environment |= {"GOTOOLCHAIN": "local", "CGO_ENABLED": "1", "CGO_CFLAGS": flags, "CGO_CXXFLAGS": flags}
    fetch = (str(go.command), "mod", "download", "-modcacherw", "-json", _MINIAUDIO)
    run(fetch, work / "header.json", environment)
    header = work / "include/miniaudio/miniaudio.h"
    header.parent.mkdir(parents=True)
    header.write_bytes(
        Path(json.loads((work / "header.json").read_text())["Dir"], "miniaudio.h").read_bytes()
    )
    flags_of_go = ("-trimpath", "-modcacherw", "-buildvcs=false", f"-ldflags={_LDFLAGS}")
    run(
        (str(go.command), "install", *flags_of_go, _MODULE),
        work / "go.log",
        environment,
        "Are nlohmann-json3-dev and libstb-dev installed?",
    )
    (work / "path/bin/ollama").rename(result / "ollama")
