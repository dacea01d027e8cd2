"""Overrides of the command line on record, where they stand as Hydra takes them, and as users type them."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: Begins the override that adds a part of a noise that applies several, see `hetal.sweep.overrides`.
PART = "noise@noise.parts."


def as_typed(overrides: Sequence[str]) -> list[str]:
    """Return overrides as users type them: without those that follow from `noise.of`, and noise.symmetric.rate=0.2."""
    if not any(re.match(r"\+{0,2}noise\.of=", word) for word in overrides):
        return [*overrides]
    typed = [word for word in overrides if not word.lstrip("+").startswith(PART)]
    return [re.sub(r"^(\+{0,2})noise\.parts\.(?=\w+\.)", r"\1noise.", word) for word in typed]
