"""Check that the lower bound of every dependency but torch and torchvision is what is pinned, and is installed."""

import re
import sys
from importlib.metadata import requires, version
from pathlib import Path

PINS = re.findall(r"^([\w-]+)==(\S+)$", Path(__file__).with_name("oldest.txt").read_text(), re.MULTILINE)

bounds = {}
for requirement in requires("hetal") or []:
    name, bound = re.match(r"([\w.-]+)(?:.*?>=([\d.]+))?", requirement).groups()
    if name not in ("torch", "torchvision") and (
        "extra ==" not in requirement or re.search("extra == .notebook", requirement)
    ):
        bounds[name] = bound
wrong = []
for name in sorted({*bounds, *dict(PINS)}):
    pin, bound, installed = dict(PINS).get(name), bounds.get(name), version(name)
    print(f"{name} {installed}")
    if pin != installed or bound is None or not re.fullmatch(rf"{re.escape(bound)}(\.0)*", pin):
        wrong.append(
            f"{name}: pyproject.toml has >={bound}, .ci/oldest.txt {pin}, and {installed} is installed"
        )
sys.exit("\n".join(wrong) or None)
