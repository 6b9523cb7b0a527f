"""The models that releases are made of, out of `catalogue.yaml`: figures with a source for each."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Annotated, Literal

import yaml
from packaging.version import InvalidVersion, Version
from pydantic import Field, StringConstraints, model_validator

from sealift.release.locked_model import Shape, Vision
from sealift.release.memory import Memory, Window, reckon, windowed_kv_cache
from sealift.release.values import Frozen, ModelName

# what every entry has without saying where from
_NO_FIGURES = {"aliases", "sources"}


class Licence(Frozen):
    """A licence and where its text stands."""

    name: str
    text: str


class Attention(Frozen):
    """What decides over the KV cache and the compute graph."""

    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    kv_heads: int = Field(ge=1)
    head_dim: int = Field(ge=1, description="elements of a key, and of a value")
    window: int | None = Field(default=None, ge=1, description="tokens that most layers look back over")
    global_every: int | None = Field(default=None, ge=2, description="every so-manyth layer sees all")

    @property
    def bytes_per_layer(self) -> int:
        """Bytes of KV cache for a token in one layer, at f16."""
        return 2 * self.kv_heads * 2 * self.head_dim

    @property
    def bytes_per_token(self) -> int:
        """Bytes of KV cache for a token in all layers, at f16."""
        return self.layers * self.bytes_per_layer


class Embedding(Frozen):
    """The table from tokens to what layers work on."""

    width: int = Field(ge=1, description="embedding length")
    vocabulary: int = Field(ge=1, description="tokens")
    tied: bool = Field(description="whether it is the output layer too")


class CatalogueModel(Frozen):
    """A model of Ollama's library. A figure that no source could be had for is None."""

    aliases: tuple[str, ...] = Field(default=(), description="tags that name the same manifest")
    architecture: str = Field(description="as GGUF names it")
    parameters: str
    quantization: str
    size: int = Field(ge=1, description="bytes, as Ollama states it: all layers and the config")
    manifest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")] | None = None
    context_length: int = Field(ge=1, description="the longest context it was trained for, in tokens")
    modalities: tuple[Literal["text", "images", "embeddings"], ...]
    licence: str
    ollama: Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+){2}$")] | None = Field(
        default=None, description="the oldest Ollama that runs it"
    )
    attention: Attention
    embedding: Embedding
    vision: Vision | None = None
    sources: dict[str, str] = Field(description="figure -> source")

    def tokens(self, context: int) -> int:
        """The context that it gets: never more than it was trained for."""
        return min(context, self.context_length)

    def memory(self, context: int, parallel: int) -> Memory:
        """What it takes in memory, at most, as preflight reckons it.

        The size counts as weights: beside them it holds a licence and a template, a few KB.

        + context: tokens of one request
        + parallel: requests answered at once
        """
        return reckon(self.size, self.shape, self.tokens(context), parallel)

    @property
    def shape(self) -> Shape:
        """What decides over its memory. A quantized embedding counts as Q8_0, the finest."""
        attention, embedding = self.attention, self.embedding
        elements = embedding.vocabulary * embedding.width
        return Shape(
            architecture=self.architecture,
            layers=attention.layers,
            heads=attention.heads,
            heads_per_kv_head=attention.heads // attention.kv_heads,
            width=embedding.width,
            vocabulary=embedding.vocabulary,
            kv_bytes_per_token=attention.bytes_per_token,
            quantizes_cache="embeddings" not in self.modalities,
            embedding=elements * 2 if self.quantization == "F16" else elements * 34 // 32,
            tied=embedding.tied,
            vision=self.vision,
        )

    def windowed(self, context: int, parallel: int) -> int | None:
        """Bytes of KV cache where the engine keeps only the window; None without one."""
        shape = self.attention
        if shape.window is None or shape.global_every is None:
            return None
        window = Window(shape.window, shape.global_every)
        return windowed_kv_cache(shape.bytes_per_layer, shape.layers, window, self.tokens(context), parallel)


class Catalogue(Frozen):
    """All of `catalogue.yaml`."""

    sources: dict[str, str]
    licences: dict[str, Licence]
    families: dict[str, tuple[str, ...]] = Field(description="every size that Ollama's library has")
    models: dict[ModelName, CatalogueModel]

    @model_validator(mode="after")
    def _every_figure_has_a_source(self) -> Catalogue:
        for name, model in self.models.items():
            figures = model.model_dump(exclude_none=True).keys() - _NO_FIGURES
            if figures != model.sources.keys():
                raise ValueError(f"{name}: sources differ from figures: {figures ^ model.sources.keys()}")
            if not set(model.sources.values()) <= self.sources.keys():
                raise ValueError(f"{name}: names a source that is not in sources")
            if model.licence not in self.licences:
                raise ValueError(f"{name}: names a licence that is not in licences")
            if family_of(name) not in self.families:
                raise ValueError(f"{name}: is of no family in families")
        return self


@cache
def catalogue() -> Catalogue:
    """The catalogue that this package carries."""
    text = resources.files("sealift.release").joinpath("catalogue.yaml").read_text()
    return Catalogue.model_validate(yaml.safe_load(text))


def family_of(name: str) -> str:
    """`llama3.2` of `llama3.2:3b`."""
    return name.partition(":")[0]


def find(name: str) -> tuple[str, CatalogueModel] | None:
    """The entry of a model with its name, by any of its tags.

    + name: MODEL:TAG
    """
    family, _, tag = name.partition(":")
    for key, model in catalogue().models.items():
        if family_of(key) == family and tag in (key.partition(":")[2], *model.aliases):
            return key, model
    return None


def oldest_ollama(name: str, architecture: str) -> str | None:
    """The oldest Ollama that runs a model, where that is known: of the model itself, or of its architecture.

    + name: MODEL:TAG
    + architecture: as its weights say
    """
    known = find(name)
    if known and known[1].ollama:
        return known[1].ollama
    of_kind = [model.ollama for model in catalogue().models.values() if model.architecture == architecture]
    return min(filter(None, of_kind), key=Version, default=None)


def ollama_version(tag: str) -> Version | None:
    """The version in a tag of Ollama's image; None where it is not three numbers, as of `latest` and `0.11`.

    What follows a dash is left out: `-rocm` is no part of it, and `-rc1` runs what its release runs.
    """
    try:
        version = Version(tag.partition("-")[0])
    except InvalidVersion:
        return None
    return version if len(version.release) == 3 else None


def nearest(name: str) -> Sequence[str]:
    """The models of the catalogue that come nearest to a name: of its family, else of all.

    + name: MODEL:TAG or what somebody took for one
    """
    models = catalogue().models
    same = [key for key in models if family_of(key) == family_of(name)]
    if not same:
        return difflib.get_close_matches(name, models, n=3)
    return sorted(same, key=lambda key: (_likeness(name, key), models[key].size), reverse=True)[:3]


def no_such_tag(name: str) -> str | None:
    """What is wrong with a name of a family of Ollama's library; None for all others, which are a site's own.

    A tag is `latest`, a size of the family, or such a size with a variant behind it (`4b-it-qat`).

    + name: MODEL:TAG
    """
    family, _, tag = name.partition(":")
    sizes = catalogue().families.get(family)
    if sizes is None or tag in ("", "latest") or tag.partition("-")[0] in sizes:
        return None
    return (
        f"no such model in Ollama's library, which has {family} as {', '.join(sizes)}; "
        f"nearest: {', '.join(nearest(name))}"
    )


def _likeness(a: str, b: str) -> float:
    return difflib.SequenceMatcher(None, a, b).ratio()
