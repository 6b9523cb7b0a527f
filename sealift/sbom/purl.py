"""Package URLs, by which an SBOM names what it lists.

Source of the format: https://github.com/package-url/purl-spec.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import quote


def deb_purl(vendor: str, name: str, version: str, **qualifiers: str) -> str:
    """The package URL of a .deb.

    + vendor: who publishes it, such as debian
    """
    path = f"{_quoted(vendor)}/{_quoted(name)}@{_quoted(version)}"
    return f"pkg:deb/{path}{_qualifiers(qualifiers)}"


def image_purl(name: str, manifest: str, architecture: str) -> str:
    """The package URL of an image.

    + name: HOST/PATH:TAG
    + manifest: its digest
    """
    repository, _, tag = name.rpartition(":")
    short = repository.rpartition("/")[2]
    more = _qualifiers({"arch": architecture, "repository_url": repository, "tag": tag})
    return f"pkg:oci/{_quoted(short)}@{_quoted(manifest)}{more}"


def _qualifiers(values: Mapping[str, str]) -> str:
    pairs = "&".join(_pairs(values))
    return f"?{pairs}" if pairs else ""


def _pairs(values: Mapping[str, str]) -> Iterator[str]:
    for key, value in sorted(values.items()):
        if value:
            yield f"{key}={quote(value, safe='/:')}"


def _quoted(text: str) -> str:
    return quote(text, safe=":")
