"""Which strategy for which noise: tables of many settings, made of the areas of single runs.

Areas are in points, by setting, strategy and seed. Bounds, and what is wrapped in `once`, take no part. Strategies are
compared at the seeds they share by paired t-tests, corrected by Holm for those of a setting; with fewer than `FEWEST`
seeds not at all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from hetal.report.load.names import BOUND
from hetal.report.stats.intervals import bca_interval
from hetal.report.stats.ranks import Ranking, rank
from hetal.report.stats.significance import ALPHA, holm, paired_t, wilcoxon

FEWEST = 5

Key = TypeVar("Key")
Areas = dict[str, dict[int, float]]
Table = tuple[list[str], list[list[str]]]


def areas_of(runs: Iterable[Mapping[str, Any]], with_bounds: bool = False) -> dict[str, Areas]:
    """Return areas by setting, strategy (the best mean of the setting first) and seed, of rows of a runs.csv."""
    found: dict[str, Areas] = defaultdict(lambda: defaultdict(dict))
    for row in runs:
        name = row["strategy"]
        takes_part = not name.startswith("once ") and (with_bounds or not name.endswith(BOUND))
        if row["finished"] == "True" and takes_part:
            found[row["setting"]][name][int(row["seed"])] = 100 * float(row["area_under_curve"])
    return {
        setting: {name: areas[name] for name in sorted(areas, key=lambda name: (-mean(areas[name]), name))}
        for setting, areas in found.items()
    }


def mean(values: Mapping[Any, float]) -> float:
    return float(np.mean([*values.values()]))


def tested(gaps: Mapping[Key, np.ndarray]) -> dict[Key, tuple[np.ndarray, float]]:
    """Return differences by seed, and the p of each after Holm's correction for all; NaN with fewer than `FEWEST`."""
    p_values = holm(
        [float(paired_t(gap_S[None])[0]) if len(gap_S) >= FEWEST else np.nan for gap_S in gaps.values()]
    )
    return {key: (gap_S, p) for (key, gap_S), p in zip(gaps.items(), p_values, strict=True)}


def over(areas: Areas, first: str) -> dict[str, tuple[np.ndarray, float]]:
    """Return by how much `first` is ahead of each other strategy at every seed that they share, and Holm's p of it.

    p is NaN with fewer seeds than are compared.
    """
    gaps = {}
    for name in areas:
        shared = sorted(areas[first].keys() & areas[name].keys())
        if name != first and len(shared) > 1:
            gaps[name] = np.array([areas[first][seed] - areas[name][seed] for seed in shared])
    return tested(gaps)


def ends(value_S: np.ndarray, sign: str = "") -> str:
    """Return a mean over seeds and its interval."""
    value = bca_interval(value_S)
    return f"{value.mean:{sign}.1f} [{value.low:{sign}.1f}, {value.high:{sign}.1f}]"


def filled(head: list[str], body: list[list[str]]) -> Table:
    """Return a table without the columns that are empty."""
    kept = [i for i in range(len(head)) if not i or any(line[i] for line in body)]
    return [head[i] for i in kept], [[line[i] for i in kept] for line in body]


def kinds(settings: Mapping[str, Areas]) -> Table:
    """Of every setting the highest area, the strategies level with it, and its lead over random choice and the last."""
    body = []
    for setting, areas in settings.items():
        best, *others = areas
        tests = over(areas, best)
        behind = [name for name in others if name in tests and tests[name][1] < ALPHA]
        level = [name for name in others if name in tests and tests[name][1] >= ALPHA]
        if not behind and not level:
            text = ""
        elif len(level) <= len(behind):
            text = ", ".join(level) or "none"
        else:
            text = f"all but {', '.join(behind)}" if behind else "all"
        leads = {
            name: ends(tests[name][0], "+") + (f", p {tests[name][1]:.2g}" if tests[name][1] >= 0 else "")
            if name in tests
            else ""
            for name in ("random", [*areas][-1])
        }
        place = f"{[*areas].index('random') + 1} of {len(areas)}" if "random" in areas else ""
        body.append([
            setting, best, f"{ends(np.array([*areas[best].values()]))}, {len(areas[best])}", text,
            leads["random"], place, f"{[*areas][-1]} {leads[[*areas][-1]]}",
        ])  # fmt: skip
    head = ["", "highest area", "its area, n", "level with it", "over random", "random's place", "over last"]
    return filled(head, body)


def leads(settings: Mapping[str, Areas], baseline: str) -> dict[str, list[float]]:
    """Return every strategy's mean lead over another, by setting."""
    found: dict[str, list[float]] = defaultdict(list)
    for areas in settings.values():
        for name, (gap_S, _) in (over(areas, baseline) if baseline in areas else {}).items():
            found[name].append(-float(gap_S.mean()))
    return found


def odds(settings: Mapping[str, Areas], baseline: str) -> Table:
    """In how many settings each strategy is ahead of, level with and behind another, and by how much over all of them.

    Interval and p of the mean lead are over settings, each one observation: Wilcoxon's signed-rank test (Demsar, JMLR
    2006), corrected by Holm for the strategies of the table.
    """
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for areas in settings.values():
        for name, (gap_S, p) in (over(areas, baseline) if baseline in areas else {}).items():
            if p >= 0:
                counts[name][1 if p >= ALPHA else 0 if gap_S.mean() < 0 else 2] += 1
    found = leads(settings, baseline)
    best_first = sorted(found, key=lambda name: -float(np.mean(found[name])))
    p_values = holm([float(wilcoxon(np.array([found[name]]))[0]) for name in best_first])
    body = []
    for name, p in zip(best_first, p_values, strict=True):
        tested = [str(n) for n in counts[name]] if name in counts else [""] * 3
        lead = f"{ends(np.array(found[name]), '+')}, p {p:.2g}"
        body.append([name, *tested, lead, f"{min(found[name]):+.1f}", f"{max(found[name]):+.1f}"])
    head = [f"against {baseline}", "ahead", "level", "behind", "mean lead over settings", "least", "most"]
    return filled(head, body)


def is_of(setting: str, words: Iterable[str]) -> bool:
    """Tell whether a setting's name holds one of some words; "A:B" stands for both of these."""
    return any({*word.split(":")} <= {*setting.split()} for word in words)


def tallies(settings: Mapping[str, Areas], baseline: str, kinds_of: Mapping[str, Sequence[str]]) -> Table:
    """How many strategies are ahead of another in the settings of a group, level with it and behind, all together."""
    body = []
    for group, words in kinds_of.items():
        chosen = [areas for setting, areas in settings.items() if is_of(setting, words) and baseline in areas]
        tests = [(gap_S, p) for areas in chosen for gap_S, p in over(areas, baseline).values() if p >= 0]
        ahead = sum(p < ALPHA and gap_S.mean() < 0 for gap_S, p in tests)
        behind = sum(p < ALPHA and gap_S.mean() > 0 for gap_S, p in tests)
        counts = (len(chosen), len(tests), ahead, len(tests) - ahead - behind, behind)
        body.append([group, *map(str, counts)])
    return [f"against {baseline}", "pools", "comparisons", "ahead", "level", "behind"], body


def groups(settings: Mapping[str, Areas], baseline: str, kinds_of: Mapping[str, Sequence[str]]) -> Table:
    """By how much every strategy is ahead of another over groups of settings: mean, its interval over settings, number.

    A setting belongs to the groups of whose words it `is_of`. Of one setting alone the interval is over seeds.
    """
    leads: dict[str, dict[str, list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))
    for setting, areas in settings.items():
        for name, (gap_S, _) in over(areas, baseline).items():
            for group, words in kinds_of.items():
                if is_of(setting, words):
                    leads[name][group].append(-gap_S)

    def text(leads: Sequence[np.ndarray]) -> str:
        one_each = leads[0] if len(leads) == 1 else np.array([lead_S.mean() for lead_S in leads])
        return f"{ends(one_each, '+')}, {len(one_each)}"

    def total(name: str) -> float:
        return sum(float(np.mean([lead_S.mean() for lead_S in group])) for group in leads[name].values())

    best_first = sorted(leads, key=lambda name: -total(name))
    body = [[n, *(text(leads[n][g]) if g in leads[n] else "" for g in kinds_of)] for n in best_first]
    return [f"over {baseline}", *kinds_of], body


def pool(setting: str) -> str:
    """Return the kind of pool of a setting: its name without the data set, which is first, and the network."""
    return " ".join(setting.partition(",")[0].split()[1:-1])


def ranked(settings: Mapping[str, Areas]) -> tuple[Ranking, np.ndarray]:
    """Rank the strategies that ran in all settings by mean area, (P, L); the columns are as in the ranking."""
    names = [name for name in next(iter(settings.values())) if all(name in a for a in settings.values())]
    area_PL = np.array([[mean(areas[name]) for name in names] for areas in settings.values()])
    found = rank(names, area_PL)
    return found, area_PL[:, [names.index(name) for name in found.ranks]]


def ranks(settings: Mapping[str, Areas]) -> Table:
    """Mean ranks over settings, of the strategies that ran in all; two that differ by less than Nemenyi's are level."""
    found, area_PL = ranked(settings)
    names = [*found.ranks]
    at_top = dict(zip(names, (area_PL == area_PL.max(1, keepdims=True)).sum(0), strict=True))
    best = min(found.ranks.values())
    body = [
        [
            name,
            f"{mine:.1f}",
            "yes" if mine - best <= found.critical_difference else "",
            str(at_top[name]),
            str(sum(bool(ahead_of(name, {n: areas[n] for n in names})) for areas in settings.values())),
        ]
        for name, mine in found.ranks.items()
    ]
    head = [
        f"mean rank over {len(settings)}, p {found.p:.1g}",
        f"within {found.critical_difference:.1f} of the first",
        "highest in",
        "behind another in",
    ]
    return ["", *head], body


def regrets(studies: Mapping[str, Mapping[str, Areas]]) -> Table:
    """By how much every strategy is behind the highest of a pool: mean and most over all pools, and of every study.

    Strategies are those that ran in all pools; the pool of the most is named.
    """
    everything = [areas for settings in studies.values() for areas in settings.values()]
    names = [name for name in everything[0] if all(name in areas for areas in everything)]
    behind = {
        name: {
            study: {setting: max(mean(areas[n]) for n in names) - mean(areas[name]) for setting, areas in s.items()}
            for study, s in studies.items()
        }
        for name in names
    }  # fmt: skip

    def text(gaps: Mapping[str, float]) -> str:
        worst = max(gaps, key=gaps.__getitem__)
        return f"{mean(gaps):.1f}, {gaps[worst]:.1f} ({pool(worst)})"

    total = {name: [gap for gaps in behind[name].values() for gap in gaps.values()] for name in names}
    body = [
        [name, f"{np.mean(total[name]):.1f}", f"{max(total[name]):.1f}", *map(text, behind[name].values())]
        for name in sorted(names, key=lambda name: float(np.mean(total[name])))
    ]
    return ["", "mean", "most", *studies], body


def ahead_of(name: str, areas: Areas) -> dict[str, tuple[np.ndarray, float]]:
    """Return the leads of those that are ahead of one strategy, and Holm's p of them."""
    tests = over(areas, name) if name in areas else {}
    return {other: (-gap_S, p) for other, (gap_S, p) in tests.items() if p < ALPHA and gap_S.mean() < 0}


def apart(settings: Mapping[str, Areas], name: str) -> Table:
    """Which strategies are ahead of one and behind it by Holm's p, setting by setting, with the lead."""
    body = []
    for setting, areas in settings.items():
        tests = {n: test for n, test in over(areas, name).items() if test[1] >= 0} if name in areas else {}
        told = {n: -float(gap_S.mean()) for n, (gap_S, p) in tests.items() if p < ALPHA}
        ahead, behind = (
            ", ".join(f"{n} {lead:+.1f}" for n, lead in told.items() if (lead > 0) == is_ahead)
            for is_ahead in (True, False)
        )
        if tests:
            body.append([setting, str(len(areas[name])), ahead, str(len(tests) - len(told)), behind])
    return ["", "n", f"ahead of {name}", "level", f"behind {name}"], body


def beaten(settings: Mapping[str, Areas], name: str) -> Table:
    """The settings in which another strategy is ahead of one, with the lead, its interval and Holm's p."""
    body = []
    for setting, areas in settings.items():
        tests = ahead_of(name, areas)
        ahead = [f"{other} {ends(lead_S, '+')}, p {p:.2g}" for other, (lead_S, p) in tests.items()]
        if ahead:
            body.append([setting, str(len(areas[name])), "; ".join(ahead)])
    return ["", "n", f"ahead of {name}"], body
