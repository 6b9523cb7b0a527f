"""What a bundle's SBOM says, summed up. The SBOM is foreign until the bundle's signature was verified."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import Field, ValidationError

from sealift.blobs import BlobStore
from sealift.errors import SealiftError
from sealift.files import parse_json
from sealift.oci.layout import SBOM_REF, SBOM_TYPE, Layout, read_small
from sealift.release.values import Foreign, Many

SBOM_LIMIT = 64 << 20  # bytes; a component takes about 1,500 of them
_DEPTH = 8  # components within components; ours have two levels


class _Licence(Foreign):
    id: str | None = None
    name: str | None = None


class _Choice(Foreign):
    """A licence or an expression of several."""

    licence: _Licence | None = Field(alias="license", default=None)
    expression: str | None = None

    @property
    def text(self) -> str:
        named = self.licence and (self.licence.id or self.licence.name)
        return named or self.expression or "unnamed"


class _Component(Foreign):
    kind: str = Field(alias="type")
    licences: Many[_Choice] = Field(alias="licenses", default=())
    components: Many[_Component] = ()


class _Sbom(Foreign):
    components: Many[_Component] = ()


@dataclass(frozen=True)
class SbomSummary:
    """How many components are of each kind, and how many declare each licence; the most common first."""

    components: dict[str, int]
    licences: dict[str, int]


def read_sbom(bundle: Layout, store: BlobStore) -> bytes | None:
    """A bundle's SBOM, or None where it has none: bundles of older versions.

    + store: where its blobs lie

    Raises SealiftError where it is missing, damaged or too big.
    """
    for entry in bundle.entries:
        if entry.ref == SBOM_REF:
            for layer in entry.manifest.layers:
                if layer.media_type == SBOM_TYPE:
                    return read_small(store, layer.blob, SBOM_REF, SBOM_LIMIT)
    return None


def summarise(content: bytes) -> SbomSummary:
    """Count components, those within others too, and their licences.

    + content: an SBOM's JSON

    Raises SealiftError where it is no CycloneDX.
    """
    try:
        sbom = _Sbom.model_validate(parse_json(content, SBOM_REF))
    except (ValidationError, RecursionError):
        raise SealiftError(f"{SBOM_REF}: is not as CycloneDX describes it. Build the bundle again.") from None
    found = tuple(_components(sbom.components, _DEPTH))
    licences = Counter(choice.text for component in found for choice in component.licences)
    return SbomSummary(_ordered(Counter(component.kind for component in found)), _ordered(licences))


def _components(components: tuple[_Component, ...], depth: int) -> Iterator[_Component]:
    for component in components:
        yield component
        if depth:
            yield from _components(component.components, depth - 1)


def _ordered(counted: Counter[str]) -> dict[str, int]:
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))
