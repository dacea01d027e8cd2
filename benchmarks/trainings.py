"""What training gains beside what the choice of rows does: areas by strategy and by how runs are trained."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from benchmarks.kinds import Areas, Table, ends, mean, tested
from hetal.report.stats.significance import ALPHA

# Of how runs differ: what is as it is without a word, or follows from another setting.
PLAIN = re.compile(r"members=1|train\.loss\.label_smoothing=.*|.*=(?:0|absent)")


def gains(runs: Iterable[Mapping[str, Any]], strategy: str, training: str) -> Table:
    """By how much areas are above those of one strategy under one training, by strategy and what else differs.

    Pairs share a seed; Holm counts the cells of the table, and bold is p under 0.05. The last line and column say how
    far the means of a column and of a line are apart.
    """
    areas: dict[str, Areas] = defaultdict(lambda: defaultdict(dict))
    for row in runs:
        name, *others = row["strategy"].split(", ")
        words = [*row["setting"].split(", ")[1:], *others]
        rest = ", ".join(word for word in words if not PLAIN.fullmatch(word))
        if row["finished"] == "True":
            areas[rest][name][int(row["seed"])] = 100 * float(row["area_under_curve"])
    origin = areas[training][strategy]
    lines = sorted(areas, key=lambda rest: (rest != training, len(rest), rest))
    names = sorted(
        {name for line in areas.values() for name in line}, key=lambda name: (name != strategy, name)
    )
    gaps = {}
    for line in lines:
        for name in names:
            shared = sorted(origin.keys() & areas[line][name].keys())
            if len(shared) > 1 and areas[line][name] is not origin:
                gaps[line, name] = np.array([areas[line][name][seed] - origin[seed] for seed in shared])
    cells = {(training, strategy): f"{mean(origin):.1f}, {len(origin)}"}
    for key, (gap_S, p) in tested(gaps).items():
        text = f"{ends(gap_S, '+')}, {len(gap_S)}"
        cells[key] = f"**{text}**" if p < ALPHA else text

    def apart(keys: Iterable[tuple[str, str]]) -> str:
        lead = [float(gaps[key].mean()) if key in gaps else 0.0 for key in keys if key in cells]
        return f"{max(lead) - min(lead):.1f}"

    body = [
        [line, *(cells.get((line, n), "") for n in names), apart((line, n) for n in names)] for line in lines
    ]
    last = ["by training", *(apart((line, name) for line in lines) for name in names), ""]
    return [f"over {strategy}, {training}", *names, "by strategy"], [*body, last]
