"""Roles with parameters of their own: what Ollama has under their names, and how it gets to hosts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sealift.bundle.build import build
from sealift.content import digest_of
from sealift.depot.importing import import_bundle
from sealift.depot.needed import needed_blobs
from sealift.depot.store import Depot
from sealift.drift.checks import _models
from sealift.errors import SealiftError
from sealift.facts.models import ModelStore, StoredFile, blob_name
from sealift.oci.layout import INDEX
from sealift.progress import silent
from sealift.release.locked import Lock
from sealift.release.locked_model import PARAMETERS, SYSTEM, ModelLayer
from sealift.release.lockfile import dump_lock, parse_lock
from sealift.release.ollama_manifest import manifest_bytes, manifest_path, model_manifest
from sealift.release.parse import load_release
from sealift.release.roles import Named, names_of, placed_names
from sealift.sources.resolve import lock_contents
from tests.unit import samples
from tests.unit.fleet_site import MODEL, lock, wanted

ALL: frozenset[str] = frozenset()
OF_MODEL = '{"num_predict":128,"stop":["Q:"],"temperature":1}\n'
CLASSIFY = {"model": MODEL, "system": "One word.", "parameters": {"temperature": 0, "seed": 7}}


def lock_with(**roles: dict[str, Any]) -> Lock:
    """A lock whose model has a system prompt and parameters."""
    found = lock(samples.release(roles=roles))
    texts = ((SYSTEM, "Be kind."), (PARAMETERS, OF_MODEL))
    layers = (layer_of(kind, text) for kind, text in texts)
    model = found.models[MODEL]
    with_texts = {"layers": (*model.layers, *layers), "parameters": OF_MODEL}
    gateway = found.images["gateway"].model_copy(update={"name": samples.GATEWAY})
    more = {"models": {MODEL: model.model_copy(update=with_texts)}}
    return found.model_copy(update={**more, "images": {**found.images, "gateway": gateway}})


def layer_of(kind: str, text: str) -> ModelLayer:
    blob = digest_of(text.encode())
    return ModelLayer(digest=blob.digest, size=blob.size, media_type=kind)


def texts_of(of: Lock, named: Named) -> dict[str, str]:
    """What a manifest names that is made here, by what it is for."""
    made = {layer.digest: content.decode() for _, layer, content in of.made}
    return {
        layer.media_type: made[layer.digest]
        for layer in named.variant.manifest.layers
        if layer.digest in made
    }


def test_a_role_has_its_own_texts_on_the_models_weights() -> None:
    of = lock_with(chat={"model": MODEL}, classify=CLASSIFY)
    plain, classify = names_of(of, MODEL, {"chat": MODEL, "classify": MODEL})
    assert (plain.title, plain.tags) == (f"model {MODEL}", (MODEL, "chat:latest"))
    assert manifest_bytes(plain.variant.manifest) == model_manifest(of.models[MODEL])
    assert (classify.title, classify.tags) == ("role classify", ("classify:latest",))
    assert texts_of(of, classify) == {
        SYSTEM: "One word.",
        PARAMETERS: '{"num_predict":128,"seed":7,"stop":["Q:"],"temperature":0}\n',
    }
    model = of.models[MODEL]
    assert classify.variant.manifest.config == model.config
    kinds = [layer.media_type for layer in classify.variant.manifest.layers]
    assert kinds == [*(layer.media_type for layer in model.layers[:2]), SYSTEM, PARAMETERS]


def test_what_a_role_does_not_say_stays_the_models() -> None:
    of = lock_with(classify={"model": MODEL, "system": "One word."})
    _, classify = names_of(of, MODEL, {"classify": MODEL})
    assert texts_of(of, classify) == {SYSTEM: "One word."}
    assert layer_of(PARAMETERS, OF_MODEL) in classify.variant.manifest.layers


def test_threads_are_those_of_every_name_of_the_model() -> None:
    """Else Ollama would load it anew at each change between them."""
    of = lock_with(chat={"model": MODEL, "threads": 4}, classify={**CLASSIFY, "threads": 4})
    for named in names_of(of, MODEL, {"chat": MODEL, "classify": MODEL}):
        assert '"num_thread":4' in texts_of(of, named)[PARAMETERS]


def test_a_lock_whose_roles_have_nothing_of_their_own_is_as_before() -> None:
    of = lock()
    assert of.made == ()
    (role,) = json.loads(dump_lock(of))["release"]["roles"].values()
    assert role.keys() == {"model", "context", "parallel", "groups"} - {"groups"}
    assert "parameters" not in json.loads(dump_lock(of))["models"][MODEL]


def test_a_lock_is_read_as_it_was_written() -> None:
    of = lock_with(chat={"model": MODEL, "threads": 2}, classify={**CLASSIFY, "threads": 2})
    assert parse_lock(dump_lock(of), "x.lock") == of


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ('\\"num_predict\\":128', '\\"num_predict\\":129', "has parameters that are not those of its layer"),
        ('"threads": 2', '"threads": 3', "classify has other threads than the first role of tiny:1m"),
    ],
)
def test_a_lock_that_contradicts_itself_is_refused(old: str, new: str, mistake: str) -> None:
    of = lock_with(chat={"model": MODEL, "threads": 2}, classify={**CLASSIFY, "threads": 2})
    text = dump_lock(of).decode()
    assert old in text
    with pytest.raises(SealiftError, match=mistake):
        parse_lock(text.replace(old, new, 1).encode(), "x.lock")


def release_file(folder: Path, roles: str) -> Path:
    text = (Path(__file__).parents[2] / "releases/demo.yaml").read_text().partition("\nroles:")[0]
    (folder / "r.yaml").write_text(f"{text}\nroles:\n{roles}")
    return folder / "r.yaml"


@pytest.mark.parametrize(
    ("roles", "mistake"),
    [
        (
            "{parameters: {num_ctx: 512}}",
            "num_ctx: is unknown. Ollama would load the model anew at",
        ),
        ("{parameters: {num_ctx: 512}}", "Use context of the role."),
        ("{parameters: {num_gpu: 1}}", "Remove it."),
        ("{parameters: {temprature: 1}}", "Did you mean temperature?"),
        ("{parameters: {temperature: -1}}", "chat.parameters.temperature: is -1"),
        ("{parameters: {temperature: .nan}}", "chat.parameters.temperature: is nan"),
        ("{parameters: {top_p: 2}}", "chat.parameters.top_p: is 2"),
        ("{parameters: {seed: true}}", "chat.parameters.seed: is True"),
        ("{parameters: {stop: []}}", "chat.parameters.stop: "),
        ("{threads: 0}", "chat.threads: is 0"),
        ("{system: 5}", "chat.system: is 5, expected text"),
    ],
)
def test_what_ollama_would_not_take_or_loads_anew_for_is_refused(
    tmp_path: Path, roles: str, mistake: str
) -> None:
    path = release_file(tmp_path, f'  chat: {{model: "gemma3:270m", {roles[1:]}\n')
    with pytest.raises(SealiftError) as refused:
        load_release(path)
    assert mistake in str(refused.value)


def test_roles_of_one_model_need_the_same_threads(tmp_path: Path) -> None:
    roles = '  chat: {model: "gemma3:270m"}\n  sum: {model: "gemma3:270m", threads: 4}\n'
    with pytest.raises(SealiftError) as refused:
        load_release(release_file(tmp_path, roles))
    said = str(refused.value)
    assert "roles.sum.threads: is 4, but chat has none, and gemma3:270m may answer both." in said
    good = load_release(release_file(tmp_path, roles.replace("}", ", threads: 4}", 1)))
    assert good.threads_of("gemma3:270m") == 4


def test_the_models_own_parameters_are_read_when_it_is_locked(tmp_path: Path) -> None:
    files = samples.ollama_files(samples.gguf(samples.GEMMA))
    (manifest,) = (name for name in files if "manifests" in name)
    said = json.loads(files[manifest])
    layer = layer_of(PARAMETERS, OF_MODEL)
    said["layers"].append({"mediaType": PARAMETERS, "digest": layer.digest, "size": layer.size})
    files |= {manifest: json.dumps(said).encode(), f"blobs/sha256-{layer.hex}": OF_MODEL.encode()}
    samples.tar(tmp_path / "model.tar", files)
    for roles, expected in (({"chat": CLASSIFY}, OF_MODEL), ({"chat": {"model": MODEL}}, None)):
        release = samples.release(images={}, roles=roles)
        contents, wrong = lock_contents(release, samples.machine(tmp_path))
        assert (wrong, contents.models[MODEL].parameters) == ([], expected)


def test_a_roles_texts_are_carried_imported_and_needed_by_its_hosts(tmp_path: Path) -> None:
    site = samples.site(tmp_path)
    of = site.lock.model_copy(update={"release": samples.release(roles={"classify": CLASSIFY})})
    build(of, site.sources, tmp_path / "bundle", site.key, silent)
    depot = Depot(tmp_path / "depot")
    import_bundle(depot, tmp_path / "bundle", site.allowed, silent)
    made = {layer.digest: content for _, layer, content in of.made}
    assert sorted(made.values()) == [b"One word.", b'{"seed":7,"temperature":0}\n']
    needed = {blob.digest: blob for blob in needed_blobs(of, ALL)}
    assert all(depot.store.path(needed[digest]).read_bytes() == made[digest] for digest in made)
    (classify,) = (named for named in placed_names(of, ALL, {"classify": MODEL}) if "role" in named.title)
    assert {blob.digest for blob in classify.variant.blobs} <= needed.keys()


def test_a_bundle_with_other_texts_than_its_lock_says_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = samples.site(tmp_path)
    of = site.lock.model_copy(update={"release": samples.release(roles={"classify": CLASSIFY})})
    build(of, site.sources, tmp_path / "bundle", site.key, silent)
    assert "roles" in (tmp_path / "bundle" / INDEX).read_text()
    monkeypatch.setattr(Lock, "made", tuple((f"{title}x", *rest) for title, *rest in of.made))
    with pytest.raises(SealiftError, match="its roles are others than its lock says"):
        import_bundle(Depot(tmp_path / "depot"), tmp_path / "bundle", site.allowed, silent)


def test_status_tells_a_roles_manifest_apart_from_its_models() -> None:
    target = wanted(of=lock_with(chat={"model": MODEL}, classify=CLASSIFY))
    blobs = {blob.hex: StoredFile(blob.size, 1.0, n) for n, blob in enumerate(needed_blobs(target.lock, ALL))}
    good = {
        manifest_path(tag): digest_of(manifest_bytes(named.variant.manifest)).hex
        for named in target.names
        for tag in named.tags
    }
    placed = {blob_name(blob): blobs[blob.hex] for named in target.names for blob in named.variant.blobs}
    assert list(_models(ModelStore(blobs, placed, good), target)) == []
    own, role = manifest_path(MODEL), manifest_path("classify:latest")
    assert list(_models(ModelStore(blobs, placed, {**good, role: good[own]}), target)) == [
        "role classify altered"
    ]
    without = {path: digest for path, digest in good.items() if path != role}
    assert list(_models(ModelStore(blobs, placed, without), target)) == ["role classify missing"]
