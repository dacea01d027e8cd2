"""One setting's numbers, comparisons and verdict, degenerate input included."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hetal.report.analyse.comparisons import comparisons_of, verdict_of
from hetal.report.analyse.criterion import Criterion
from hetal.report.analyse.curves import mean_curve
from hetal.report.analyse.numbers import numbers_of
from hetal.report.analyse.results import turned
from hetal.report.analyse.series import series
from hetal.report.analyse.setting import setting_of, settings_of
from tests.synthetic import make_run


def setting(arms, grid=(), **options):
    """Make a setting from curves by strategy and seed."""
    runs = [make_run(label, s, curve, grid) for label, seeds in arms.items() for s, curve in seeds.items()]
    return setting_of("d n m", runs, **options)


def verdict(found):
    return verdict_of(found, comparisons_of(found))


def curve(found, label, x, y):
    return mean_curve(*([series(run, key) for run in found.runs[label].values()] for key in (x, y)))


def seeds(*curves):
    return dict(enumerate(curves))


TWO = {
    "random": seeds([0.2, 0.4, 0.6], [0.2, 0.5, 0.5], [0.3, 0.4, 0.6]),
    "b": seeds([0.2, 0.6, 0.8], [0.2, 0.5, 0.7], [0.3, 0.5, 0.9]),
}


def test_numbers_by_hand():
    found = numbers_of(setting(TWO))["b"]
    # Trapezoids over 10, 20, 30 labels.
    assert found.area.mean == pytest.approx(np.mean([(0.4 + 0.7) / 2, (0.35 + 0.6) / 2, (0.4 + 0.7) / 2]))
    assert found.final.mean == pytest.approx(0.8)
    # Random ends at 0.6, 0.5, 0.6: b is there after 20, 20, 30 labels; random itself after 30, 20, 30.
    assert found.reach.mean == pytest.approx(70 / 3)
    assert found.saving.mean == pytest.approx(10 / 3)
    assert (found.n, found.reached, found.paired, found.paired_baseline, found.is_bound) == (
        3,
        3,
        3,
        3,
        False,
    )


def test_a_target_never_reached_has_no_number():
    found = numbers_of(setting({**TWO, "worse": seeds([0.1] * 3, [0.1] * 3, [0.1] * 3)}))["worse"]
    assert np.isnan([*found.reach, *found.saving]).all()
    assert (found.reached, found.paired) == (0, 3)


def test_a_target_reached_at_some_seeds_is_a_bound():
    found = numbers_of(setting({**TWO, "b": seeds([0.2, 0.6, 0.8], [0.1, 0.1, 0.1], [0.3, 0.5, 0.9])}))["b"]
    # 20, never (all of 30) and 30; random needs 30, 20, 30.
    assert found.reach.mean == pytest.approx(80 / 3)
    assert found.saving.mean == pytest.approx(0)
    assert found.is_bound
    assert (found.reached, found.paired) == (2, 3)


def test_a_given_target_needs_no_random():
    found = numbers_of(setting({"b": TWO["b"]}, criterion=Criterion(target=0.7)))["b"]
    assert found.reach.mean == pytest.approx(30)
    assert np.isnan(found.saving.mean)
    assert (found.reached, found.paired, found.paired_baseline) == (3, 3, 0)


def test_without_random_there_is_no_target():
    found = numbers_of(setting({"b": TWO["b"]}))["b"]
    assert np.isnan([*found.reach, *found.saving]).all()
    assert (found.paired, found.is_bound) == (0, False)


def test_comparison_is_scipys_on_paired_areas():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 9, 4)) * 0.1 + 0.5
    (found,) = comparisons_of(setting({"a": seeds(*a), "b": seeds(*b)}))
    x, y = ((c[:, 1:] + c[:, :-1]).sum(1) / 6 for c in (a, b))
    assert found.difference.mean == pytest.approx((x - y).mean())
    assert found.t == pytest.approx(stats.ttest_rel(x, y).pvalue)
    assert found.wilcoxon == pytest.approx(stats.wilcoxon(x, y).pvalue)
    assert found.effect == pytest.approx((x - y).mean() / (x - y).std(ddof=1))
    assert (found.wins, found.ties, found.losses) == ((x > y).sum(), 0, (x < y).sum())
    assert found.final.mean == pytest.approx((a - b)[:, -1].mean())
    assert found.n == 9
    assert found.has_enough_seeds


def test_pairs_are_seeds_that_both_finished():
    runs = [make_run("a", s, [0.5, 0.5 + s / 10]) for s in (0, 1, 2)]
    runs += [make_run("b", s, [0.4, 0.4 + s / 10]) for s in (1, 2, 3)]
    runs += [make_run("b", 0, [0.1], summary=None)]
    (found,) = comparisons_of(setting_of("d n m", runs))
    assert found.n == 2
    assert found.difference.mean == pytest.approx(0.1)
    assert not found.has_enough_seeds


@pytest.mark.parametrize(("n", "trusted"), [(4, False), (5, True)])
def test_fewer_than_five_seeds_are_not_to_be_trusted(n, trusted):
    found = setting({label: seeds(*[[0.5, 0.6 + s / 100] for s in range(n)]) for label in "ab"})
    assert comparisons_of(found)[0].has_enough_seeds is trusted
    assert verdict(found).has_enough_seeds is trusted


def test_one_seed_has_means_and_nothing_else():
    found = setting({"random": seeds([0.2, 0.4]), "b": seeds([0.2, 0.6])})
    (c,) = comparisons_of(found)
    assert c.difference.mean == pytest.approx(0.1 if c.first == "b" else -0.1)
    assert np.isnan([c.difference.low, c.t, c.t_holm, c.wilcoxon, c.wilcoxon_holm, c.effect]).all()
    assert (verdict(found).leader, verdict(found).beaten, verdict(found).has_enough_seeds) == (
        "b",
        0,
        False,
    )


def test_identical_arms_are_ties():
    found = setting({"a": TWO["b"], "b": TWO["b"]})
    (c,) = comparisons_of(found)
    assert c.difference == pytest.approx((0.0, 0.0, 0.0))
    assert (c.t, c.wilcoxon, c.effect, c.wins, c.ties, c.losses) == (1.0, 1.0, 0.0, 0, 3, 0)


def test_equal_seeds_leave_no_spread():
    found = setting({"a": seeds(*[[0.5, 0.6]] * 5), "b": seeds(*[[0.5, 0.5]] * 5)})
    (c,) = comparisons_of(found)
    assert c.difference == pytest.approx((0.05, 0.05, 0.05))
    assert c.t == 0.0
    assert c.wilcoxon == pytest.approx(1 / 16)
    assert np.isnan(c.effect)


def test_no_common_seed_is_no_comparison():
    found = setting({"a": {0: [0.5, 0.6]}, "b": {1: [0.5, 0.7]}})
    (c,) = comparisons_of(found)
    assert c.n == 0
    assert np.isnan([*c.difference, c.t, c.wilcoxon]).all()
    assert verdict(found).n == 0


def test_a_single_round_is_its_own_area():
    found = setting({"random": seeds([0.2], [0.3]), "b": seeds([0.4], [0.5])})
    assert numbers_of(found)["b"].area.mean == pytest.approx(0.45)
    assert numbers_of(found)["b"].saving.mean == pytest.approx(0.0)
    assert comparisons_of(found)[0].n == 2


def test_other_grids_are_compared_on_the_labels_they_share():
    runs = [make_run("a", s, [0.2, 0.4, 0.6, 0.8], (10, 20, 30, 40)) for s in (0, 1)]
    runs += [make_run("b", s, [0.1, 0.5, 0.9], (10, 30, 50)) for s in (0, 1)]
    found = setting_of("d n m", runs)
    (c,) = comparisons_of(found)
    assert c.shared == 2
    assert c.difference.mean == pytest.approx(0.4 - 0.3)  # over 10 and 30 labels
    assert c.final.mean == pytest.approx(0.1)
    assert numbers_of(found)["b"].area.mean == pytest.approx(0.3)  # over its own, up to the 40 that both have


def test_grids_without_a_common_label_are_not_compared():
    runs = [make_run("a", 0, [0.2, 0.4], (10, 20)), make_run("b", 0, [0.1, 0.5], (15, 25))]
    (c,) = comparisons_of(setting_of("d n m", runs))
    assert (c.n, c.shared) == (0, 0)


def test_a_run_off_its_own_grid_is_left_out_and_told():
    runs = [make_run("a", s, [0.2, 0.4], (10, 20)) for s in (0, 1)] + [make_run("a", 2, [0.2, 0.4], (10, 21))]
    found = setting_of("d n m", runs)
    assert sorted(found.finished["a"]) == [0, 1]
    assert "seed 2" in found.left_out[0]


def test_of_two_runs_at_one_seed_the_longer_counts():
    short, long = make_run("a", 0, [0.2], summary=None), make_run("a", 0, [0.3, 0.4])
    for runs in ([short, long], [long, short]):
        assert setting_of("d n m", runs).curves["a"][0].tolist() == [0.3, 0.4]


def test_clean_noise_has_no_share_to_tell():
    runs = [
        make_run("a", s, [0.2, 0.4], summary={"n_rounds": 2, "base_rate": 1.0, "queried_clean_share": None})
        for s in (0, 1)
    ]
    found = setting_of("d n m", runs)
    assert np.isnan(numbers_of(found)["a"].clean_share.mean)
    assert found.base_rate == 1.0
    assert numbers_of(found)["a"].area.mean == pytest.approx(0.3)


def test_nothing_finished_has_curves_and_no_verdict():
    found = setting_of("d n m", [make_run("a", 0, [0.2, 0.4], summary=None)])
    assert verdict(found) is None
    assert numbers_of(found)["a"].n == 0
    assert np.isnan(numbers_of(found)["a"].area.mean)
    assert np.isnan(found.base_rate)
    assert curve(found, "a", "n_labelled", "accuracy").mean == [0.2, 0.4]


def test_curves_are_means_of_who_is_there():
    runs = [make_run("a", 0, [0.2, 0.4, 0.6]), make_run("a", 1, [0.4, 0.6], summary=None)]
    setting = setting_of("d n m", runs)
    found = curve(setting, "a", "n_labelled", "accuracy")
    assert found.mean == pytest.approx([0.3, 0.5, 0.6])
    assert found.n == [2, 2, 1]
    assert found.seeds[1] == [(10.0, 0.4), (20.0, 0.6)]
    assert found.low[0] == pytest.approx(stats.t.interval(0.95, 1, 0.3, 0.1)[0])
    # What is null has no point: a last round buys nothing.
    share = curve(setting, "a", "n_labelled", "clean_share")
    assert share.x == [10.0, 20.0]
    assert curve(setting, "a", "n_labelled", "pseudo_accuracy_clean").x == []


def test_who_has_hardly_begun_waits():
    arms = {label: seeds(*[[0.5, 0.6 + s / 100] for s in range(5)]) for label in ("random", "b")}
    arms["b"] = {s: [0.5, 0.8 + s / 50] for s in range(5)}
    found = setting({**arms, "late": {0: [0.9, 0.9]}})
    outcome = verdict(found)
    assert (outcome.leader, outcome.second, outcome.n, len(outcome.rivals)) == ("b", "random", 5, 1)
    assert outcome.waiting == ("late",)


def test_verdict_counts_who_is_beaten():
    rng = np.random.default_rng(1)
    arms = {
        label: seeds(*[[0.5, a + e] for e in rng.normal(0, 0.003, 6)])
        for label, a in (("x", 0.9), ("y", 0.7), ("z", 0.899))
    }
    found = setting(arms)
    outcome = verdict(found)
    assert {outcome.leader, outcome.second} == {"x", "z"}
    assert (outcome.beaten, len(outcome.rivals)) == (1, 2)


def test_turning_a_comparison_twice_leaves_it():
    (c,) = comparisons_of(setting(TWO))
    other = turned(c, c.second)
    assert (other.first, other.second, other.wins, other.losses) == (c.second, c.first, c.losses, c.wins)
    assert other.difference.low == -c.difference.high
    assert turned(other, c.first) == c
    assert turned(c, c.first) is c


curves = st.lists(
    st.lists(st.integers(0, 100).map(lambda n: n / 200), min_size=3, max_size=3), min_size=5, max_size=5
)


@given(curves, curves, st.permutations(range(5)))
@settings(max_examples=25, deadline=None)
def test_comparisons_do_not_depend_on_order_or_level(a, b, order):
    (c,) = comparisons_of(setting({"a": seeds(*a), "b": seeds(*b)}))
    (moved,) = comparisons_of(setting({"a": seeds(*(np.array(a) + 0.25)), "b": seeds(*(np.array(b) + 0.25))}))
    (mixed,) = comparisons_of(
        setting({"a": seeds(*(a[i] for i in order)), "b": seeds(*(b[i] for i in order))})
    )
    (swapped,) = comparisons_of(setting({"b": seeds(*a), "a": seeds(*b)}))
    for other in (moved, mixed):
        assert (other.wins, other.ties, other.losses) == (c.wins, c.ties, c.losses)
        assert (other.t, other.wilcoxon, other.effect) == pytest.approx(
            (c.t, c.wilcoxon, c.effect), nan_ok=True
        )
    assert moved.difference == pytest.approx(c.difference, abs=1e-9)
    assert (swapped.wins, swapped.losses, swapped.t) == (c.losses, c.wins, pytest.approx(c.t, nan_ok=True))
    assert swapped.difference.mean == pytest.approx(-c.difference.mean)


def test_settings_are_told_apart_by_name():
    runs = [make_run("a", 0, [0.1], setting="two"), make_run("a", 0, [0.1], setting="one")]
    assert [s.name for s in settings_of(runs)] == ["one", "two"]


def test_a_leader_is_ahead_on_the_seeds_by_which_it_leads():
    # On the five seeds of all three a is ahead of b; on five more, which c has not run, b is far ahead of a.
    arms = {
        "a": seeds(*[[0.5, 0.8 + s / 1000] for s in range(10)]),
        "b": seeds(*[[0.5, 0.7 + 3 * s / 1000] for s in range(5)], *[[0.5, 0.99]] * 5),
        "c": seeds(*[[0.5, 0.6 + 7 * s / 1000] for s in range(5)]),
    }
    outcome = verdict(setting(arms))
    assert (outcome.leader, outcome.second, outcome.n) == ("a", "b", 5)
    assert outcome.comparison.n == 5
    assert outcome.comparison.difference.mean == pytest.approx((0.1 - 0.004) / 2)
    assert (outcome.beaten, len(outcome.rivals)) == (2, 2)


def test_two_records_of_one_run_that_disagree_are_told():
    one, other = make_run("a", 0, [0.5, 0.6]), make_run("a", 0, [0.5, 0.7], folder=Path("elsewhere"))
    assert setting_of("d n m", [one, one, make_run("a", 0, [0.5], summary=None)]).left_out == ()
    (note,) = setting_of("d n m", [one, other]).left_out
    assert note == "d n m: two records of a at seed 0 do not agree: a-s0 counts, elsewhere is left out"
