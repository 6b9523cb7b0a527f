"""Models made of a GGUF file and a Modelfile: what is taken, what is refused by name."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealift.content import Content, digest_of
from sealift.errors import SealiftError
from sealift.release.types import Model
from sealift.sources.gguf import read_description
from sealift.sources.kinds import model_source
from sealift.sources.modelfile import parse_modelfile
from tests.unit import samples

NAME = "site-gemma:270m"
MODEL = Model(modelfile="gemma/Modelfile")
KEYS = {**samples.GEMMA, "general.file_type": 15}
TENSORS: dict[str, tuple[int, ...]] = {"token_embd.weight": (1152, 262144), "blk.0.attn_q.weight": (640, 4)}


def _write(sources: Path, text: str | bytes, weights: bytes | None = None) -> None:
    (sources / "gemma").mkdir(exist_ok=True)
    (sources / "gemma/Modelfile").write_bytes(text.encode() if isinstance(text, str) else text)
    if weights is None:
        weights = samples.gguf(KEYS, tensors=TENSORS) + bytes(1000)
    (sources / "weights.gguf").write_bytes(weights)


def _refusal(sources: Path) -> str:
    with pytest.raises(SealiftError) as refused:
        samples.lock_model(NAME, MODEL, sources)
    return str(refused.value).replace(f"{sources}/", "")


def test_a_model_is_made_of_weights_and_modelfile(tmp_path: Path) -> None:
    _write(
        tmp_path, "FROM ../weights.gguf\nSYSTEM Be brief.\nPARAMETER temperature 0.70\nPARAMETER stop <a>\n"
    )
    locked = samples.lock_model(NAME, MODEL, tmp_path)
    find = model_source(NAME, MODEL, samples.machine(tmp_path)).open(locked)
    opened = {blob.digest: find(blob) for blob in locked.blobs}
    contents = [b"".join(opened[layer.digest].chunks()) for layer in locked.layers]
    assert [digest_of(content).digest for content in contents] == [layer.digest for layer in locked.layers]
    assert contents[1:] == [b"Be brief.", b'{"stop":["\\u003ca\\u003e"],"temperature":0.7}\n']
    assert opened[locked.layers[0].digest].path == tmp_path / "weights.gguf"
    config = json.loads(b"".join(opened[locked.config.digest].chunks()))
    assert config == {
        "model_format": "gguf",
        "model_family": "gemma3",
        "model_families": ["gemma3"],
        "model_type": "301.99M",
        "file_type": "Q4_K_M",
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in locked.layers]},
    }
    assert (locked.archive, locked.context_length) == ("gemma/Modelfile", 32768)
    assert (locked.weights, locked.shape.kv_bytes_per_token) == (
        opened[locked.layers[0].digest].size,
        2 * 18 * 512,
    )


def test_two_machines_lock_the_same(tmp_path: Path) -> None:
    locks = []
    for folder in (tmp_path / "one", tmp_path / "another/place"):
        folder.mkdir(parents=True)
        _write(folder, "FROM ../weights.gguf\nSYSTEM Be brief.\nMESSAGE user Hello\n")
        locks.append(samples.lock_model(NAME, MODEL, folder))
    assert locks[0] == locks[1]


@pytest.mark.parametrize("changed", ["FROM ../weights.gguf\nSYSTEM Be long.\n", "FROM ../other.gguf\n"])
def test_what_changed_after_the_lock_is_refused(tmp_path: Path, changed: str) -> None:
    _write(tmp_path, "FROM ../weights.gguf\nSYSTEM Be brief.\n")
    locked = samples.lock_model(NAME, MODEL, tmp_path)
    (tmp_path / "other.gguf").write_bytes(samples.gguf(KEYS))
    (tmp_path / "gemma/Modelfile").write_text(changed)
    source = model_source(NAME, MODEL, samples.machine(tmp_path))
    with pytest.raises(SealiftError, match=r"is not what was locked. Run sealift lock again."):
        source.open(locked)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has FROM 0 times, expected once"),
        ("FROM ../weights.gguf\nFROM ../weights.gguf", "has FROM 2 times, expected once"),
        ("FROM /etc/passwd", "FROM '/etc/passwd' is no relative path."),
        ("FROM ~/x.gguf", "FROM '~/x.gguf' is no relative path."),
        ('FROM ""', "FROM '' is no relative path."),
        ("FROM ../../x.gguf", "../x.gguf leads out of the sources folder"),
        ("FROM gemma3:270m", "a model made from another model is not built here"),
        ("FROM .", "a folder or safetensors would have to be converted"),
        ("FROM model.safetensors", "a folder or safetensors would have to be converted"),
        ("FROM ../weights.gguf\nADAPTER x.gguf", "line 2: ADAPTER is not built here."),
        ("FROM ../weights.gguf\n\n# x\nRUN rm -rf /", "line 4: 'RUN' is no command with a value"),
        (
            "FROM ../weights.gguf\nPARAMETER temprature 1",
            "no parameter temprature. Did you mean temperature?",
        ),
        ("FROM ../weights.gguf\nPARAMETER top_k 1e3", "PARAMETER top_k is '1e3', expected a whole number."),
        ("FROM ../weights.gguf\nPARAMETER top_p 1e99", "PARAMETER top_p is '1e99', expected a number."),
        ("FROM ../weights.gguf\nMESSAGE tool x", "MESSAGE needs one of system, user, assistant and a value"),
        ('FROM ../weights.gguf\nSYSTEM """x', "line 2: the value of SYSTEM has no closing quotes."),
        ("FROM ../weights.gguf\nSYSTEM \U000e0fff", "has the unknown character U+E0FFF."),
        (b"FROM ../weights.gguf\nSYSTEM \xff", "is not UTF-8."),
        (b"FROM x\n" * 200_000, "has more than 1048576 bytes"),
        ("FROM ../weights.gguf\n" + "LICENSE x\n" * 33, "has 33 licences, expected 32 at most"),
    ],
)
def test_what_is_not_built_is_refused_by_name(tmp_path: Path, text: str | bytes, message: str) -> None:
    _write(tmp_path, text)
    (tmp_path / "gemma/model.safetensors").write_bytes(b"x")
    said = _refusal(tmp_path)
    assert message in said
    assert said.startswith("gemma/Modelfile: ")


def test_all_mistakes_of_a_modelfile_are_told_at_once(tmp_path: Path) -> None:
    _write(tmp_path, "FROM ../weights.gguf\nADAPTER x\nPARAMETER seed a\nPARAMETER nope 1\n")
    assert _refusal(tmp_path).splitlines() == [
        "gemma/Modelfile: line 2: ADAPTER is not built here. Merge the adapter into the .gguf file.",
        "gemma/Modelfile: line 3: PARAMETER seed is 'a', expected a whole number. Correct it.",
        "gemma/Modelfile: line 4: Ollama has no parameter nope. Remove it.",
    ]


def test_links_out_of_the_sources_are_refused(tmp_path: Path) -> None:
    sources, outside = tmp_path / "sources", tmp_path / "outside"
    for folder in (sources, outside):
        folder.mkdir()
    _write(sources, "FROM link/weights.gguf\n")
    (outside / "weights.gguf").write_bytes((sources / "weights.gguf").read_bytes())
    (sources / "gemma/link").symlink_to(outside)
    assert "link/weights.gguf leads out of the sources folder" in _refusal(sources)
    (sources / "gemma/link").unlink()
    (sources / "gemma/link").symlink_to(".")
    (sources / "gemma/weights.gguf").symlink_to("../weights.gguf")
    assert "weights.gguf: is a link or a device, expected a file." in _refusal(sources)
    (sources / "gemma/weights.gguf").unlink()
    (sources / "gemma/weights.gguf").symlink_to("weights.gguf")
    assert "weights.gguf" in _refusal(sources)
    (sources / "gemma/Modelfile").unlink()
    (sources / "gemma/Modelfile").symlink_to(outside / "weights.gguf")
    assert "gemma/Modelfile leads out of the sources folder" in _refusal(sources)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"general.type": "adapter"}, "is an adapter or an image encoder"),
        ({"general.type": "projector"}, "is an adapter or an image encoder"),
        ({"general.architecture": 'x","a":"'}, "general.architecture is"),
        ({"tokenizer.chat_template": "{{ x }}" * 500}, "its .gguf has a chat template"),
        ({"gemma3.block_count": 0, "gemma3.vision.block_count": 4}, "is an adapter or an image encoder"),
    ],
)
def test_weights_that_ollama_would_treat_in_another_way_are_refused(
    tmp_path: Path, more: dict[str, Any], message: str
) -> None:
    _write(tmp_path, "FROM ../weights.gguf\nTEMPLATE x", samples.gguf({**KEYS, **more}))
    assert message in _refusal(tmp_path)


def test_a_chat_template_is_no_matter_beside_template_and_stop_words(tmp_path: Path) -> None:
    weights = samples.gguf({**KEYS, "tokenizer.chat_template": "{{ x }}"})
    _write(tmp_path, "FROM ../weights.gguf\nTEMPLATE x\nPARAMETER stop y", weights)
    assert len(samples.lock_model(NAME, MODEL, tmp_path).layers) == 3


@pytest.mark.parametrize(
    ("shape", "name"),
    [((999,), "999"), ((1000,), "1K"), ((10**6,), "1M"), ((1234567,), "1.23M"), ((7 * 10**9,), "7B")],
)
def test_parameters_are_counted_as_ollama_names_them(
    tmp_path: Path, shape: tuple[int, ...], name: str
) -> None:
    _write(tmp_path, "FROM ../weights.gguf", samples.gguf(KEYS, tensors={"a": shape}))
    locked = samples.lock_model(NAME, MODEL, tmp_path)
    content = model_source(NAME, MODEL, samples.machine(tmp_path)).open(locked)(locked.config)
    assert json.loads(b"".join(content.chunks()))["model_type"] == name


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        (struct.pack("<Q", 1 << 40), "has a part of 1099511627776 bytes"),
        (struct.pack("<Q1sI", 1, b"a", 1 << 30), "has a tensor of 1073741824 dimensions"),
        (struct.pack("<Q1sIQQIQ", 1, b"a", 2, 1 << 40, 1 << 40, 0, 0), "elements"),
        (struct.pack("<Q1sI", 1, b"a", 1), "ends within its header"),
    ],
)
def test_tensors_that_lie_are_refused(tmp_path: Path, tail: bytes, message: str) -> None:
    header = bytearray(samples.gguf(KEYS))
    header[8:16] = struct.pack("<Q", 1)
    (tmp_path / "x.gguf").write_bytes(bytes(header) + tail)
    with pytest.raises(SealiftError, match=message):
        read_description(Content.of_file(tmp_path / "x.gguf"), "x.gguf")


_PIECES = st.sampled_from(
    [
        "FROM x",
        "SYSTEM ",
        "PARAMETER stop ",
        "PARAMETER top_p ",
        "MESSAGE user ",
        "\n",
        "\r",
        '"',
        '"""',
        " ",
        "1",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(_PIECES, st.text(max_size=4)), max_size=12).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse_modelfile(text.encode(errors="replace"), "Modelfile")
    except SealiftError as refused:
        assert str(refused).startswith("Modelfile: ")
    else:
        assert isinstance(found.source, str)
