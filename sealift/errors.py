"""The one error that a user is meant to read."""

from __future__ import annotations


class SealiftError(Exception):
    """Something is wrong that the user can mend: `where: what is wrong, what was expected. What to do.`"""
