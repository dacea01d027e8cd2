"""What a user can get wrong, said in one line."""

from __future__ import annotations


class BadInput(Exception):
    """A mistake of the user's, or of the machine: the message names the setting, its value, what is allowed."""


class Diverged(BadInput):
    """Training met a loss that is not a number."""
