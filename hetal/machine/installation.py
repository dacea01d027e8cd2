"""Installation of this copy of hetal, a checkout or a package: its configs, command and extras."""

from __future__ import annotations

from pathlib import Path

import hetal

PACKAGE = Path(hetal.__file__).parent

# The configs are inside the package in a wheel, and beside it in a checkout.
INSTALLED = (PACKAGE / "conf").is_dir()
CONF = PACKAGE / "conf" if INSTALLED else PACKAGE.parent / "conf"

# The command that runs hetal: from any folder, or from that of the checkout.
COMMAND = ("hetal",) if INSTALLED else ("python", "launch.py")


def how_to_install(extra: str) -> str:
    """Return the command that installs an extra (optional dependencies)."""
    return f"pip install 'hetal[{extra}]'" if INSTALLED else f"pip install -e '.[{extra}]'"
