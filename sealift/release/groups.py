"""Groups of an inventory, as a release names them."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from sealift.release.values import CONTROL, Few, GroupName
from sealift.service import ALL


def _hosts(group: str) -> str:
    if group == CONTROL:
        raise ValueError("control is the control node and no group of hosts")
    return group


def _is_for_all(groups: tuple[str, ...]) -> bool:
    return groups == (ALL,)


HostGroup = Annotated[GroupName, AfterValidator(_hosts)]
Groups = Annotated[Few[HostGroup], Field(min_length=1, exclude_if=_is_for_all)]
