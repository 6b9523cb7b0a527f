"""The release file: all mistakes at once, each with its path."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sealift.errors import SealiftError
from sealift.release.parse import load_release
from sealift.release.types import Image, Model, Release
from sealift.release.values import MOST_NAMED

GOOD = """\
name: demo
version: 2026.11.0
suite: trixie
packages:
  sources:
    debian: {}
    nvidia: {path: nvidia-apt, key: nvidia-apt/key.asc, suites: [./]}
  base: [systemd]
  all: [docker.io]
  gpu: [nvidia-container-toolkit-base]
images:
  ollama: {name: "docker.io/ollama/ollama:0.11.4", archive: ollama.tar}
  gateway: {name: "docker.io/envoyproxy/envoy:v1.40.0", archive: envoy.tar}
models:
  gemma3:270m: {archive: gemma3-270m.tar}
roles:
  chat: {model: "gemma3:270m", context: 4096, parallel: 2}
"""


def _refusal(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "demo.yaml"
    path.write_text(text)
    with pytest.raises(SealiftError) as refusal:
        load_release(path)
    return [line.removeprefix(f"{path}: ") for line in str(refusal.value).splitlines()]


def test_a_good_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "demo.yaml").write_text(GOOD)
    release = load_release(tmp_path / "demo.yaml")
    assert (release.name, release.roles["chat"].parallel) == ("demo", 2)


def test_what_has_no_archive_comes_out_of_a_registry(tmp_path: Path) -> None:
    text = (
        GOOD.replace(", archive: ollama.tar}", "}")
        .replace('{name: "docker.io/envoyproxy/envoy:v1.40.0", archive: envoy.tar}', "docker.io/x/envoy:v1")
        .replace("models:\n  gemma3:270m: {archive: gemma3-270m.tar}", "models: ['gemma3:270m']")
    )
    (tmp_path / "demo.yaml").write_text(text)
    release = load_release(tmp_path / "demo.yaml")
    assert release.images["ollama"] == Image(name="docker.io/ollama/ollama:0.11.4")
    assert release.images["gateway"] == Image(name="docker.io/x/envoy:v1")
    assert release.models == {"gemma3:270m": Model()}
    assert Release.model_validate(release.model_dump(mode="json")) == release


def _named(count: int) -> dict[str, str]:
    """A release file with as many entries of each kind, by the kind."""
    few = range(count)
    url = "https://github.com/somebody/something/releases/download/v1.0.0"
    return {
        "files": GOOD
        + "files:\n"
        + "".join(f"  f{n}: {{url: {url}/f{n}, sha256: {'a' * 64}, target: /opt/f/{n}}}\n" for n in few),
        "models": GOOD.replace("models:\n", "models:\n" + "".join(f"  m:{n}b: {{}}\n" for n in few[1:])),
        "roles": GOOD + "".join(f"  r{n}: {{model: 'gemma3:270m'}}\n" for n in few[1:]),
        "packages.sources": GOOD.replace("    debian: {}\n", "".join(f"    s{n}: {{}}\n" for n in few[1:])),
    }


@pytest.mark.parametrize("kind", ["files", "models", "roles", "packages.sources"])
def test_a_release_names_a_thousand_of_a_kind_and_not_one_more(tmp_path: Path, kind: str) -> None:
    (tmp_path / "demo.yaml").write_text(_named(MOST_NAMED)[kind])
    release = load_release(tmp_path / "demo.yaml").model_dump()
    assert len(release["packages"]["sources"] if kind == "packages.sources" else release[kind]) == 1000
    refused = _refusal(tmp_path, _named(MOST_NAMED + 1)[kind])
    assert refused == [f"{kind}: has more than 1000 entries. Name fewer."]


def test_a_model_has_one_source(tmp_path: Path) -> None:
    text = GOOD.replace("{archive: gemma3-270m.tar}", "{archive: gemma3-270m.tar, store: ollama}")
    assert _refusal(tmp_path, text) == ["models.gemma3:270m: has archive and store. Keep one."]
    text = GOOD.replace("{archive: gemma3-270m.tar}", "{store: ollama, modelfile: ../Modelfile}")
    assert _refusal(tmp_path, text) == [
        "models.gemma3:270m.modelfile: '../Modelfile' is not a path below the sources folder, such as "
        "site-gemma/Modelfile. Correct it.",
        "models.gemma3:270m: has store and modelfile. Keep one.",
    ]


def test_fallbacks_are_models_of_the_release_each_once(tmp_path: Path) -> None:
    def release(fallback: str) -> str:
        return GOOD.replace("context: 4096", f"context: 4096, fallback: {fallback}").replace(
            "roles:", '  "small:1b": {store: ollama}\nroles:'
        )

    (tmp_path / "good.yaml").write_text(release('["small:1b"]'))
    assert load_release(tmp_path / "good.yaml").roles["chat"].candidates == ("gemma3:270m", "small:1b")
    assert _refusal(tmp_path, release('["small:1b", "tiny:1b", "gemma3:270m", "small:1b"]')) == [
        "roles.chat.fallback.1: tiny:1b is not among models, which has gemma3:270m, small:1b. Add it there.",
        "roles.chat.fallback: gemma3:270m stands there twice, or is its model. Remove it.",
        "roles.chat.fallback: small:1b stands there twice, or is its model. Remove it.",
    ]


def test_all_mistakes_are_listed_with_path_and_remedy(tmp_path: Path) -> None:
    text = (
        GOOD.replace("version: 2026.11.0", "version: 2026.11")
        .replace("trixie", "sid")
        .replace("base:", "bsae:")
        .replace("key: nvidia-apt/key.asc, ", "")
        .replace("archive: envoy.tar", "archive: ../envoy.tar")
        .replace('model: "gemma3:270m"', 'model: "gemma3:1b"')
        .replace("context: 4096", "context: 0")
        .replace("docker.io/ollama/ollama:0.11.4", "ollama")
    )
    assert _refusal(tmp_path, text) == [
        "version: is 2026.11, expected text. Put it in quotes.",
        "suite: 'sid' is not possible, expected 'bookworm', 'trixie', 'jammy' or 'noble'. Correct it.",
        "images.ollama.name: 'ollama' is not HOST/PATH:TAG in full, "
        "such as docker.io/ollama/ollama:0.11.4. Correct it.",
        "images.gateway.archive: '../envoy.tar' is not a path below the sources folder, "
        "such as images/ollama.tar. Correct it.",
        "roles.chat.context: is 0: input should be greater than or equal to 256. Correct it.",
        "roles.chat.model: gemma3:1b is not among models, which has gemma3:270m. Add it there.",
        "packages.bsae: would be the inventory group bsae. Did you mean base?",
        "packages.sources.nvidia.key: is missing beside path. Add it.",
    ]


@pytest.mark.parametrize(
    ("old", "new", "mistakes"),
    [
        (
            "  gateway: {",
            "  front: {",
            [
                "images.gateway: is missing. Add it.",
                "images.front: is not the name of a service. There are ollama, gateway, node, probe, "
                "alertmanager, prometheus.",
            ],
        ),
        (
            '  chat: {model: "gemma3:270m", context: 4096, parallel: 2}\n',
            "  {}\n",
            ["roles: is empty. Name at least one, such as chat: {model: MODEL:TAG}."],
        ),
        (
            "gemma3:270m: {archive",
            "Gemma3 270m: {archive",
            [
                "models.Gemma3 270m: 'Gemma3 270m' is not MODEL:TAG, such as gemma3:270m. Correct it.",
                "roles.chat.model: gemma3:270m is not among models, which has Gemma3 270m. Add it there.",
            ],
        ),
        ("name: demo\n", "", ["name: is missing. Add it."]),
        ("name: demo\n", "name: demo\nname: other\n", ["line 2: the key name stands here twice, keep one."]),
        ("{archive: gemma", "&a {archive: gemma", None),
        ("  all: [docker.io]", "  all: *a", ["line 9: aliases are not used here, write it out."]),
        ("suite: trixie", "suite: [trixie", None),
        ("suite: trixie", "[suite]: trixie", ["line 3: a key is a list or a mapping, expected text."]),
        (
            "suites: [./]",
            'suites: ["./ \\ndeb x"]',
            [
                "packages.sources.nvidia.suites.0: './ \\ndeb x' is not a suite, such as trixie or ./. "
                "Correct it."
            ],
        ),
    ],
)
def test_one_mistake_at_a_time(tmp_path: Path, old: str, new: str, mistakes: list[str] | None) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new)
    if new.startswith("{archive: gemma") or "&a" in new:
        text = text.replace("docker.io]", "docker.io, *a]")
    found = _refusal(tmp_path, text)
    if mistakes is None:
        assert len(found) == 1
        assert found[0].startswith("line ")
    else:
        assert [line.removesuffix(" Correct the YAML.") for line in found] == mistakes


@pytest.mark.parametrize(
    ("old", "new", "mistakes"),
    [
        ("path: nvidia-apt", "url: https://nvidia.github.io/stable/deb/amd64", []),
        ("suites: [./]", "suites: [/]", []),
        (
            "path: nvidia-apt",
            "url: https://reader:hunter2@vendor.example/deb",
            [
                "url: is not http:// or https:// with a host, no login and no query. "
                "Correct it; logins are the build machine's."
            ],
        ),
        ("path: nvidia-apt", 'url: "https://vendor.example/deb?token=hunter2"', ["url: is not http"]),
        ("path: nvidia-apt", 'url: "https://vendor.example/deb main\\ndeb"', ["url: is not http"]),
        ("path: nvidia-apt", "url: file:/srv/nvidia", ["url: is not http"]),
        (
            "path: nvidia-apt",
            "path: nvidia-apt, url: https://vendor.example",
            [" has path and url. Keep one."],
        ),
        (
            "path: nvidia-apt, key: nvidia-apt/key.asc",
            "url: https://v.example",
            ["key: is missing beside url. Add it."],
        ),
        (", suites: [./]", "", ["suites: is missing beside path. Add it."]),
        (
            "path: nvidia-apt, ",
            "",
            ["key: goes with path or url; Debian's is the machine's. Remove it."],
        ),
    ],
)
def test_where_a_vendors_packages_come_from(tmp_path: Path, old: str, new: str, mistakes: list[str]) -> None:
    assert old in GOOD
    found = [
        line.removeprefix("packages.sources.nvidia").removeprefix(".").removeprefix(":")
        for line in (_refusal(tmp_path, GOOD.replace(old, new)) if mistakes else [])
    ]
    if not mistakes:
        (tmp_path / "good.yaml").write_text(GOOD.replace(old, new))
        assert load_release(tmp_path / "good.yaml").packages.sources["nvidia"].key
    assert len(found) == len(mistakes)
    assert all(line.startswith(start) for line, start in zip(found, mistakes, strict=True)), found
    assert "hunter2" not in " ".join(found)


def test_what_is_no_release_file_is_refused(tmp_path: Path) -> None:
    assert _refusal(tmp_path, "- a\n") == ["the whole: is ['a'], expected keys with values. Correct it."]
    assert _refusal(tmp_path, "") == ["the whole: is None, expected keys with values. Correct it."]
    assert "more than 262144 bytes" in _refusal(tmp_path, "#" * (2 << 20))[0]
    assert "is not YAML" in _refusal(tmp_path, "[" * 100_000)[0]


def test_a_role_does_not_take_the_name_of_another_model(tmp_path: Path) -> None:
    text = GOOD.replace("models:\n", "models:\n  chat:latest: {archive: chat.tar}\n")
    assert _refusal(tmp_path, text) == [
        "roles.chat: Ollama would take it for the model chat:latest. Give it another name."
    ]
    (tmp_path / "same.yaml").write_text(text.replace('model: "gemma3:270m"', 'model: "chat:latest"'))
    assert load_release(tmp_path / "same.yaml").roles["chat"].model == "chat:latest"


def test_the_release_in_the_docs_for_vendors_packages_is_one(tmp_path: Path) -> None:
    docs = (Path(__file__).parents[2] / "docs/sources.md").read_text()
    (written,) = (part for part in docs.split("```yaml\n")[1:] if "download.docker.com" in part)
    example = yaml.safe_load(written.partition("```")[0])
    (tmp_path / "docs.yaml").write_text(yaml.safe_dump({**yaml.safe_load(GOOD), **example}))
    found = load_release(tmp_path / "docs.yaml")
    assert found.suite == "bookworm"
    assert [found.packages.sources[name].suites for name in ("docker", "nvidia")] == [("bookworm",), ("/",)]
