"""An image's config with one more layer: what its base says is kept.

Source of the format: config.md of github.com/opencontainers/image-spec 1.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, ValidationError

from sealift import mistakes
from sealift.blob import Blob
from sealift.errors import SealiftError
from sealift.files import canonical_json, parse_json
from sealift.oci.manifest import CONFIG_KEYS
from sealift.release.values import Digest, Foreign, UpToFirst


class _Container(Foreign):
    environment: Annotated[list[str], UpToFirst()] | None = Field(alias="Env", default=None)
    labels: dict[str, str] | None = Field(alias="Labels", default=None)


class _RootFs(Foreign):
    diff_ids: Annotated[list[Digest], UpToFirst()]


class _Config(Foreign):
    created: str | None = None
    container: _Container | None = Field(alias="config", default=None)
    rootfs: _RootFs
    history: Annotated[list[dict[str, Any]], UpToFirst()] | None = None


class BaseConfig:
    """The config of an image that gets one more layer."""

    def __init__(self, content: bytes, layers: tuple[Blob, ...], where: str) -> None:
        """Parse a config.

        + content: JSON; foreign, though its digest is right
        + layers: the image's, the lowest first, as plain tar files
        + where: the image, for messages

        Raises SealiftError where it is not as OCI describes it, or is of other layers.
        """
        self._where = f"{where}: config"
        self._document = parse_json(content, self._where, CONFIG_KEYS)
        try:
            self._parsed = _Config.model_validate(self._document)
        except ValidationError as error:
            raise SealiftError(
                f"{self._where}: {mistakes.first(error)}, expected OCI's form. Save the image again."
            ) from None
        if self._parsed.rootfs.diff_ids != [layer.digest for layer in layers]:
            raise SealiftError(f"{self._where}: is of other layers than the lock's. Run sealift lock again.")

    @property
    def created(self) -> int:
        """When the image was made, in seconds since 1970; 0 where it does not say."""
        try:
            moment = datetime.fromisoformat(self._parsed.created or "")
        except ValueError:
            return 0
        # without a zone, each machine would take it for a time of its own
        return max(0, int(moment.timestamp())) if moment.tzinfo else 0

    def with_layer(
        self, layer: Blob, environment: Mapping[str, str], labels: Mapping[str, str], made_by: str
    ) -> bytes:
        """The config with one more layer on top, and as old as its base: nothing depends on the clock.

        + layer: a plain tar file
        + environment: replaces what the base has by the same names
        + labels: as well
        + made_by: what `docker history` shows for the layer

        Raises SealiftError where the base has text that JSON cannot hold.
        """
        parsed, document = self._parsed, dict(self._document)
        container = parsed.container or _Container()
        kept = [line for line in container.environment or () if line.partition("=")[0] not in environment]
        document["config"] = {
            **(document.get("config") or {}),
            "Env": [*kept, *(f"{name}={value}" for name, value in environment.items())],
            "Labels": {**(container.labels or {}), **labels},
        }
        document["rootfs"] = {**document["rootfs"], "diff_ids": [*parsed.rootfs.diff_ids, layer.digest]}
        if (
            parsed.history is not None
        ):  # without that of the layers below, one entry would be of the wrong one
            entry = {"created": parsed.created, "created_by": made_by}
            document["history"] = [*parsed.history, {key: value for key, value in entry.items() if value}]
        try:
            return canonical_json(document)
        except (UnicodeEncodeError, RecursionError):
            raise SealiftError(
                f"{self._where}: has text that is no Unicode, or is nested too deep. Save the image again."
            ) from None
