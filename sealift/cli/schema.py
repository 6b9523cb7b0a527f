"""schema: JSON Schemas of what people write, for their editors, and of the lock."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import DictSchema

from sealift.files import canonical_json
from sealift.host.settings import SiteSettings
from sealift.release.locked import Lock
from sealift.release.types import Release
from sealift.release.values import Frozen

Document = Literal["release", "lock", "settings"]
DOCUMENTS: dict[Document, type[Frozen]] = {"release": Release, "lock": Lock, "settings": SiteSettings}


class _Closed(GenerateJsonSchema):
    """A key that fits no pattern is a mistake here too, not only where pydantic reads the document."""

    def dict_schema(self, schema: DictSchema) -> JsonSchemaValue:
        described = super().dict_schema(schema)
        if "patternProperties" in described:
            described["additionalProperties"] = False
        return described


def register(app: typer.Typer) -> None:
    """Add this command to the tool."""
    app.command("schema")(schema)


def json_schema(document: Document) -> bytes:
    """A document's JSON Schema (draft 2020-12), as it lies in `docs/schemas/`."""
    described: dict[str, Any] = DOCUMENTS[document].model_json_schema(schema_generator=_Closed)
    return canonical_json({"$schema": "https://json-schema.org/draft/2020-12/schema", **described}, indent=1)


def schema(
    document: Annotated[Document, typer.Argument(help="Of a release file, a lock, or a host's settings.")],
) -> None:
    """Print a JSON Schema, by which an editor completes and checks.

    A release file names its own: # yaml-language-server: $schema=../docs/schemas/release.json

    Example: sealift schema release > release.json
    """
    typer.echo(json_schema(document), nl=False)
