"""hetal: pool-based neural active learning on heteroskedastic pools.

Shapes are written as name suffixes, one letter an axis:

    N  rows of the pool          M  distinct images         B  rows of one query
    C  classes                   D  features                K  stochastic passes
    L  labelled rows             S  seeds

An *id* is a row of the pool, everywhere; nothing returns a position inside a subset. A row shows one
distinct image, `source_N[id]`; what depends on the image alone is computed once per image.

For notebooks: `hetal.run` runs one experiment, `hetal.load` reads records into pandas frames.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hetal.errors import BadInput

if TYPE_CHECKING:
    from hetal.app.library import run
    from hetal.report.load.frames import load

__all__ = ["BadInput", "load", "run"]
__version__ = "0.1.0"

# Imported when they are first asked for: torch takes seconds, which reading records need not wait for.
_LAZY = {"load": "hetal.report.load.frames", "run": "hetal.app.library"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'hetal' has no attribute '{name}'")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
