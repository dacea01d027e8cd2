"""BADGE's pairwise penalties, and ranks over settings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hetal.report.analyse.penalties import checkpoints_of, penalties_of
from hetal.report.analyse.ranking import ranking_of
from hetal.report.analyse.setting import setting_of
from hetal.report.stats.curves import checkpoints
from hetal.report.stats.penalties import penalty_matrix
from tests.synthetic import make_run

JITTER = (0.0, 0.003, -0.002, 0.001, -0.001)


def setting(curves, name="d n m", grid=(), jitter=JITTER):
    """Make a setting of one mean curve a strategy; seeds are apart by `jitter`, in turns, so that tests can tell."""
    return setting_of(
        name,
        [
            make_run(label, seed, [a + (j if i % 2 else -j) * (1 + len(label)) for i, a in enumerate(curve)], grid)
            for label, curve in curves.items()
            for seed, j in enumerate(jitter)
        ],
    )  # fmt: skip


def arms(values_ASR, grid=()):
    """Make a setting from accuracies by arm, seed and round; the first arm is random."""
    names = ["random", *"bcdefgh"]
    return setting_of(
        "d n m",
        [make_run(names[a], s, curve, grid) for a, arm in enumerate(values_ASR) for s, curve in enumerate(arm)],
    )  # fmt: skip


def matrix_of(settings):
    labels = sorted({label for s in settings for label in s.curves})
    most = sum(bool(checkpoints_of(s)) for s in settings)
    return penalty_matrix([penalties_of(s) for s in settings], labels, most)


# Checkpoints.


def test_checkpoints_double_from_the_first_query():
    grid = list(range(100, 1200, 100))
    assert checkpoints(grid, None) == [200, 300, 500, 900]


def test_checkpoints_end_where_random_has_99_percent():
    grid = list(range(100, 1200, 100))
    rising = [0.1, 0.2, 0.3, 0.4, 0.985, 0.99, 0.99, 0.99, 0.99, 0.99, 0.99]
    assert checkpoints(grid, rising) == [200, 300, 500]  # 0.985 is more than 99% of 0.99
    assert checkpoints(grid, [0.9] * 11) == [200]  # from the start on, but there is one at least


def test_a_last_step_that_is_cut_short_is_no_checkpoint():
    assert checkpoints([100, 200, 300, 350], None) == [200, 300]
    assert checkpoints([100, 200, 300, 400, 450], None) == [200, 300]


def test_a_single_round_has_no_checkpoint():
    assert checkpoints([100], [0.5]) == []
    assert checkpoints([100], None) == []


# Penalties.


def test_penalties_by_hand():
    # Checkpoints are rounds 1, 2 and 4; b beats random at rounds 2 and 4 by far, and at none other.
    random = [0.5, 0.5, 0.5, 0.5, 0.9]
    table = penalties_of(setting({"random": random, "b": [0.5, 0.5, 0.7, 0.5, 0.99]}))
    assert table == pytest.approx({("b", "random"): 2 / 3, ("random", "b"): 0.0})


def test_penalties_are_scipys_paired_tests():
    rng = np.random.default_rng(0)
    values = np.cumsum(rng.random((4, 6, 5)) * 0.1, axis=2) + rng.random((4, 1, 1)) * 0.05
    found = penalties_of(arms(values))
    random = values[0].mean(0)
    until = next(i for i, a in enumerate(random) if a >= 0.99 * random[-1])
    at = [i for i in (1, 2, 4) if i <= until]
    names = ["random", *"bcd"]
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            if a != b:
                x, y = values[i][:, at], values[j][:, at]
                wins = (stats.ttest_rel(x, y).pvalue < 0.05) & (x.mean(0) > y.mean(0))
                assert found[a, b] == pytest.approx(wins.sum() / len(at))


def test_wilcoxon_is_adjusted_for_all_pairs_of_a_checkpoint():
    # Six seeds, all in favour: p = 1/32 for one pair; of three pairs the least is three times that.
    jitter = (0.0, 0.001, 0.002, 0.003, 0.004, 0.005)
    two = setting({"random": [0.2, 0.3], "b": [0.2, 0.8]}, jitter=jitter)
    assert penalties_of(two, "wilcoxon")["b", "random"] == 1.0
    three = setting({"random": [0.2, 0.3], "b": [0.2, 0.8], "cc": [0.2, 0.5]}, jitter=jitter)
    assert set(penalties_of(three, "wilcoxon").values()) == {0.0}
    assert penalties_of(three)["b", "random"] == 1.0


def test_identical_arms_do_not_beat_each_other():
    curve = [0.3, 0.5, 0.6]
    found = arms(np.tile(curve, (3, 5, 1)))
    assert set(penalties_of(found).values()) == set(penalties_of(found, "wilcoxon").values()) == {0.0}


def test_seeds_that_only_one_has_do_not_count():
    runs = [make_run("random", s, [0.2, 0.3 + 0.01 * s]) for s in (0, 1, 2)]
    runs += [make_run("b", s, [0.2, 0.8 + 0.013 * s]) for s in (3, 4, 5)]
    assert penalties_of(setting_of("d n m", runs)) == {("random", "b"): 0.0, ("b", "random"): 0.0}


def test_without_random_checkpoints_go_to_the_end():
    found = setting({"b": [0.5, 0.9, 0.9, 0.9, 0.9], "cc": [0.5, 0.9, 0.9, 0.9, 0.1]})
    assert penalties_of(found)["b", "cc"] == pytest.approx(1 / 3)


def test_arms_with_other_grids_meet_where_both_were_tested():
    runs = [make_run("random", s, [0.2, 0.3, 0.35, 0.4 + 0.01 * s], (10, 20, 30, 40)) for s in range(5)]
    runs += [make_run("b", s, [0.2, 0.8 + 0.02 * s, 0.9], (10, 30, 50)) for s in range(5)]
    # Checkpoints 20 and 30; both have 30 only.
    assert penalties_of(setting_of("d n m", runs))["b", "random"] == 0.5


def test_nothing_finished_has_no_penalties():
    runs = [make_run("random", 0, [0.2, 0.3], summary=None)]
    assert penalties_of(setting_of("d n m", runs)) == {}
    assert matrix_of([setting_of("d n m", runs)]).most == 0


def test_matrix_sums_settings_and_shows_the_largest_possible():
    first = setting({"random": [0.5, 0.6], "b": [0.5, 0.9]})
    second = setting({"random": [0.5, 0.6], "b": [0.5, 0.9], "cc": [0.5, 0.75]}, "other")
    single = setting_of("single", [make_run(label, s, [0.5]) for label in ("random", "b") for s in range(5)])
    found = matrix_of([first, second, single])
    assert found.most == 2  # a single round has no checkpoint
    assert found.penalty["b", "random"] == 2.0
    assert found.labels == ("b", "cc", "random")
    assert found.mean == pytest.approx({"b": 0.0, "cc": 0.5, "random": 1.5})
    table = [penalties_of(s) for s in (first, second, single)]
    assert found.penalty == {pair: sum(t.get(pair, 0) for t in table) for pair in set().union(*table)}


@given(st.permutations(range(4)), st.permutations(range(5)))
@settings(max_examples=20, deadline=None)
def test_permuting_arms_or_seeds_permutes_the_answer(arm_order, seed_order):
    rng = np.random.default_rng(5)
    values = rng.random((4, 5, 5)) * 0.1 + np.linspace(0, 0.2, 4)[:, None, None]
    names = ["random", *"bcd"]
    found = penalties_of(arms(values))
    turned = [
        make_run(names[a], s, values[a][seed_order[s]]) for a in arm_order for s in range(5)
    ]  # fmt: skip
    assert penalties_of(setting_of("d n m", turned)) == found


def test_adding_a_constant_to_all_changes_no_comparison():
    rng = np.random.default_rng(6)
    values = 0.2 + rng.random((4, 6, 4)) * 0.1
    # Without random, whose 99% the checkpoints depend on.
    one, other = (
        setting_of("d n m", [r for r in _flat(v) if r.label != "random"]) for v in (values, values + 0.3)
    )
    for test in ("t", "wilcoxon"):
        assert penalties_of(one, test) == penalties_of(other, test)


def _flat(values):
    return [run for seeds in arms(values).runs.values() for run in seeds.values()]


# Error rates under no difference; the bounds are such that a right rate fails once in 10,000.


def test_matrix_errs_at_the_rate_of_its_test():
    rng = np.random.default_rng(7)
    cells = []
    for _ in range(250):
        noise = rng.normal(0, 0.01, (3, 6, 2))
        found = penalties_of(arms(0.5 + np.array([0.0, 0.2]) + noise))
        cells.append(found["b", "c"] + found["c", "b"])
    low, high = stats.binom.ppf([5e-5, 1 - 5e-5], 250, 0.05) / 250
    assert low <= np.mean(cells) <= high


def test_wilcoxon_with_holm_errs_in_a_whole_family_at_most_at_its_rate():
    rng = np.random.default_rng(8)
    families = []
    for _ in range(250):
        noise = rng.normal(0, 0.01, (4, 10, 2))
        families.append(any(penalties_of(arms(0.5 + np.array([0.0, 0.2]) + noise), "wilcoxon").values()))
    assert np.mean(families) <= stats.binom.ppf(1 - 1e-4, 250, 0.05) / 250


# Ranks.


def test_ranks_are_over_the_seeds_that_all_have():
    runs = [make_run("a", s, [0.5, 0.5]) for s in (0, 1)]
    runs += [make_run("b", 0, [0.6, 0.6]), make_run("b", 1, [0.4, 0.4]), make_run("b", 2, [0.0, 0.0])]
    assert ranking_of([setting_of("d n m", runs)]).ranks == {"a": 1.5, "b": 1.5}


def test_only_who_finished_everywhere_is_ranked():
    first = setting({"random": [0.5, 0.6], "b": [0.5, 0.9]})
    second = setting({"random": [0.5, 0.6], "cc": [0.5, 0.9]}, "other")
    assert ranking_of([first, second]).ranks == {"random": 1.0}
    assert ranking_of([]) is None
