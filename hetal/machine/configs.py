"""The folder of configs: `conf/`, which stands beside the package in a checkout, and in it where hetal is installed."""

from __future__ import annotations

from pathlib import Path

import hetal

PACKAGE = Path(hetal.__file__).parent
INSTALLED = (PACKAGE / "conf").is_dir()
CONF = PACKAGE / "conf" if INSTALLED else PACKAGE.parent / "conf"
