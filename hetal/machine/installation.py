"""Where this copy of hetal is, a checkout or an installed package: its configs, its command, how its extras come."""

from __future__ import annotations

from pathlib import Path

import hetal

PACKAGE = Path(hetal.__file__).parent

# A wheel holds the configs in the package; in a checkout they stand beside it.
INSTALLED = (PACKAGE / "conf").is_dir()
CONF = PACKAGE / "conf" if INSTALLED else PACKAGE.parent / "conf"

# What runs hetal, from any folder or from the checkout's.
COMMAND = ("hetal",) if INSTALLED else ("python", "launch.py")


def how_to_install(extra: str) -> str:
    """Return the command that installs the optional dependencies of that name."""
    return f"pip install 'hetal[{extra}]'" if INSTALLED else f"pip install -e '.[{extra}]'"
