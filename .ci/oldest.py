"""Check that what is installed is the lower bound of every dependency but torch and torchvision."""

import re
import sys
from importlib.metadata import requires, version
from pathlib import Path

PINNED = dict(
    re.findall(r"^([\w-]+)==(\S+)$", Path(__file__).with_name("oldest.txt").read_text(), re.MULTILINE)
)

wrong = []
for requirement in requires("hetal") or []:
    name, bound = re.match(r"([\w.-]+)(?:.*?>=([\d.]+))?", requirement).groups()
    if "extra ==" in requirement or name in ("torch", "torchvision"):
        continue
    pin = PINNED.get(name, "none")
    print(f"{name} {version(name)}")
    if version(name) != pin or not re.fullmatch(rf"{re.escape(str(bound))}(\.0)*", pin):
        wrong.append(f"{name}: installed {version(name)}, .ci/oldest.txt {pin}, pyproject.toml >={bound}")
sys.exit("\n".join(wrong) or None)
