"""The statistics of the report: against scipy, by hand, and by simulation of the error rates they state."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hetal.report.stats.intervals import bca_interval, bca_intervals, t_interval, t_intervals, widened
from hetal.report.stats.ranks import critical_difference
from hetal.report.stats.significance import effect_size, holm, paired_t, wilcoxon

accuracies = st.integers(0, 1000).map(lambda n: n / 1000)
samples = st.lists(accuracies, min_size=2, max_size=12)


def rng(seed=0):
    return np.random.default_rng(seed)


# Intervals.


@pytest.mark.parametrize("n", [2, 5, 30])
def test_t_interval_is_scipys(n):
    values = rng().normal(size=n)
    low, high = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))
    assert t_interval(values) == pytest.approx((values.mean(), low, high))


def test_t_intervals_of_columns_leave_out_what_is_not_there():
    values = np.array([[0.1, 0.5], [0.3, np.nan], [0.2, np.nan]])
    mean, low, high, n = t_intervals(values)
    assert n.tolist() == [3, 1]
    assert mean == pytest.approx([0.2, 0.5])
    assert (low[0], high[0]) == pytest.approx(t_interval(values[:, 0])[1:])
    assert np.isnan([low[1], high[1]]).all()


@pytest.mark.parametrize("n", [8, 20, 50])
@pytest.mark.parametrize("draw", ["normal", "exponential"])
def test_bootstrap_is_scipys_bca_at_the_widened_level(n, draw):
    # Of these, sums are exact: scipy takes a mean that rounding has moved for another one, hetal does not.
    values = np.round(getattr(rng(n), draw)(size=n) * 1024) / 1024
    level = 2 * stats.norm.cdf(widened(n)) - 1
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=2000, confidence_level=level, method="BCa", random_state=rng(0)
    ).confidence_interval
    mean, low, high = bca_interval(values)
    assert mean == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@pytest.mark.parametrize("n", [2, 3, 5, 6])
@pytest.mark.parametrize("draw", ["normal", "exponential"])
def test_bootstrap_of_few_values_takes_every_resample_there_is(n, draw):
    values = getattr(rng(n), draw)(size=n)
    means = np.sort([np.mean(picked) for picked in itertools.product(values, repeat=n)])
    apart = np.round(means - values.mean(), 12)
    bias = stats.norm.ppf(((apart < 0).mean() + (apart <= 0).mean()) / 2)
    left = [np.mean(np.delete(values, i)) for i in range(n)]
    jack = np.mean(left) - left
    acceleration = (jack**3).sum() / (6 * (jack**2).sum() ** 1.5)
    ends = bias + np.array([-1, 1]) * widened(n)
    expected = np.quantile(means, stats.norm.cdf(bias + ends / (1 - acceleration * ends)))
    assert bca_interval(values)[1:] == pytest.approx(tuple(expected), abs=1e-9)
    assert bca_interval(values, seed=1) == bca_interval(values, seed=2)


def test_widening_is_students_quantile_and_fades_with_n():
    assert widened(5) == pytest.approx(np.sqrt(5 / 4) * 2.7764, abs=1e-3)  # 2.776 from a printed table
    assert widened(100_000) == pytest.approx(1.96, abs=1e-3)


def test_bootstrap_intervals_at_once_are_those_one_by_one():
    several = [rng(i).normal(size=n) for i, n in enumerate((5, 7, 5, 1, 0, 2, 7))]
    assert [repr(bca_interval(values)) for values in several] == [repr(i) for i in bca_intervals(several)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], (np.nan,) * 3), ([0.7], (0.7, np.nan, np.nan)), ([0.7, 0.7, 0.7], (0.7, 0.7, 0.7))],
)
def test_bootstrap_of_too_little(values, expected):
    assert bca_interval(np.array(values)) == pytest.approx(expected, nan_ok=True)


@given(samples)
@settings(max_examples=40, deadline=None)
def test_bootstrap_lies_within_the_values_and_moves_with_them(values):
    values = np.array(values)
    mean, low, high = bca_interval(values)
    assert values.min() - 1e-9 <= low <= high <= values.max() + 1e-9
    assert bca_interval(values + 0.25) == pytest.approx((mean + 0.25, low + 0.25, high + 0.25), abs=1e-9)
    assert bca_interval(values * 3) == pytest.approx((mean * 3, low * 3, high * 3), abs=1e-9)


# Tests.


@pytest.mark.parametrize("n", [2, 5, 40])
def test_paired_t_is_scipys(n):
    a, b = rng(1).normal(size=(2, 6, n))
    assert paired_t(a - b) == pytest.approx(stats.ttest_rel(a, b, axis=1).pvalue)


def test_paired_t_by_hand():
    # Mean 2, standard deviation 1, so t = 2 sqrt(3) with 2 degrees of freedom: p = 1 - t / sqrt(t^2 + 2).
    t = 2 * np.sqrt(3)
    assert paired_t(np.array([[1.0, 2.0, 3.0]])) == pytest.approx([1 - t / np.sqrt(t**2 + 2)])


def test_wilcoxon_without_ties_is_scipys_exact():
    d = rng(2).normal(0.3, 1, size=(8, 15))
    assert wilcoxon(d) == pytest.approx([stats.wilcoxon(row, method="exact").pvalue for row in d])


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=8))
@settings(max_examples=60, deadline=None)
def test_wilcoxon_with_ties_and_zeros_counts_all_signs(values):
    d = np.array(values, float)
    left = d[d != 0]
    if not len(left):
        assert wilcoxon(d[None]) == [1.0]
        return
    ranks = stats.rankdata(np.abs(left))
    sums = [
        sum(r for r, s in zip(ranks, signs, strict=True) if s)
        for signs in itertools.product((0, 1), repeat=len(left))
    ]
    won = ranks[left > 0].sum()
    p = min(1.0, 2 * min(np.mean([s <= won for s in sums]), np.mean([s >= won for s in sums])))
    assert wilcoxon(d[None]) == pytest.approx([p])


def test_wilcoxon_needs_six_seeds():
    assert wilcoxon(np.arange(1.0, 6.0)[None]) == pytest.approx([2 / 2**5])
    assert wilcoxon(np.arange(1.0, 7.0)[None]) == pytest.approx([2 / 2**6])


def test_tests_do_not_see_rounding():
    noise = rng(3).normal(0, 1e-15, size=5)
    assert paired_t((0.0 + noise)[None]) == [1.0]
    assert wilcoxon((0.0 + noise)[None]) == [1.0]
    # Ties of 0.1 that rounding has split.
    assert wilcoxon((0.1 + noise)[None]) == pytest.approx(wilcoxon(np.full((1, 5), 0.1)))


@pytest.mark.parametrize("test", [paired_t, wilcoxon])
def test_tests_of_too_little(test):
    assert np.isnan(test(np.array([[0.1]]))).all()
    assert np.isnan(test(np.empty((3, 0)))).all()
    assert test(np.zeros((1, 4))) == [1.0]


def test_paired_t_of_differences_without_spread():
    assert paired_t(np.full((1, 4), 0.1)) == [0.0]


@pytest.mark.parametrize("test", [paired_t, wilcoxon])
@given(samples, st.data())
@settings(max_examples=40, deadline=None)
def test_order_of_seeds_and_of_arms_does_not_matter(test, values, data):
    d = np.array(values) - 0.5
    p = test(d[None])
    assert test(np.array(data.draw(st.permutations(list(d))))[None]) == pytest.approx(p)
    assert test(-d[None]) == pytest.approx(p)


def test_holm_by_hand():
    # In order 0.01 x 4, 0.02 x 3, 0.03 x 2 (raised to 0.06 before it), 0.5 x 1.
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_does_not_count_what_was_not_tested():
    assert holm([0.02, np.nan, 0.01]) == pytest.approx([0.02, np.nan, 0.02], nan_ok=True)


def test_effect_size_by_hand():
    assert effect_size(np.array([1.0, 2.0, 3.0])) == pytest.approx(2.0)
    assert effect_size(np.zeros(3)) == 0.0
    assert np.isnan(effect_size(np.full(3, 0.2)))
    assert np.isnan(effect_size(np.array([0.2])))


@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_critical_difference_of_demsars_table(k, q):
    # Demsar, JMLR 2006, table 5(a).
    assert critical_difference(k, 14) == pytest.approx(q * np.sqrt(k * (k + 1) / (6 * 14)), abs=1e-3)


# Error rates. What is counted is binomial, and the bounds are such that a right rate fails once in 10,000.


def bounds(rate, n):
    return stats.binom.ppf([5e-5, 1 - 5e-5], n, rate) / n


@pytest.mark.parametrize("n", [3, 5, 20])
def test_paired_t_errs_at_its_rate(n):
    low, high = bounds(0.05, 4000)
    assert low <= (paired_t(rng(n).normal(size=(4000, n))) < 0.05).mean() <= high


@pytest.mark.parametrize("n", [5, 8, 12])
def test_wilcoxon_errs_at_most_at_its_rate(n):
    p = wilcoxon(rng(n).normal(size=(4000, n)))
    # It is discrete: its rate is the largest p-value under 0.05 that can come out, and with five seeds there is none.
    rate = max((value for value in np.unique(p) if value < 0.05), default=0.0)
    low, high = bounds(rate, 4000)
    assert low <= (p < 0.05).mean() <= high


@pytest.mark.parametrize("n", [8, 20, 50])
def test_bootstrap_covers_the_mean_as_often_as_said(n):
    said = {8: 0.94, 20: 0.95, 50: 0.95}[n]
    found = np.array(bca_intervals(list(rng(n).normal(size=(2000, n)))))
    low, high = bounds(said, 2000)
    assert low <= ((found[:, 1] <= 0) & (found[:, 2] >= 0)).mean() <= high


def test_bootstrap_of_five_seeds_is_a_little_narrow():
    found = np.array(bca_intervals(list(rng(5).normal(size=(2000, 5)))))
    low, high = bounds(0.91, 2000)
    assert low <= ((found[:, 1] <= 0) & (found[:, 2] >= 0)).mean() <= high
