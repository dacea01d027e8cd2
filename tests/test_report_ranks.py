"""Ranks over settings."""

import numpy as np
import pytest
from scipy import stats

from hetal.report.stats.ranks import rank


def test_ranks_by_hand():
    found = rank(["a", "b", "c"], np.array([[0.9, 0.8, 0.7], [0.9, 0.7, 0.8], [0.9, 0.8, 0.8]]))
    assert found.ranks == pytest.approx({"a": 1.0, "b": (2 + 3 + 2.5) / 3, "c": (3 + 2 + 2.5) / 3})
    assert next(iter(found.ranks)) == "a"
    assert found.n_settings == 3


def test_friedman_is_scipys():
    values = np.random.default_rng(0).random((8, 4))
    assert rank(list("abcd"), values).p == pytest.approx(stats.friedmanchisquare(*values.T).pvalue)


def test_groups_are_neighbours_within_the_critical_difference():
    # Twelve settings with one order: ranks 1, 2, 3, 4, and a critical difference of 2.569 sqrt(20 / 72) = 1.35.
    found = rank(list("abcd"), np.tile([0.4, 0.3, 0.2, 0.1], (12, 1)))
    assert found.critical_difference == pytest.approx(1.354, abs=1e-3)
    assert found.groups == (("a", "b"), ("b", "c"), ("c", "d"))


def test_those_who_are_alike_share_a_rank():
    found = rank(list("abc"), np.full((4, 3), 0.5))
    assert set(found.ranks.values()) == {2.0}
    assert found.p == 1.0
    assert found.groups == (("a", "b", "c"),)


def test_too_little_to_test():
    assert np.isnan(rank(["a", "b"], np.array([[0.1, 0.2]] * 4)).p)
    assert np.isnan(rank(["a", "b", "c"], np.array([[0.1, 0.2, 0.3]])).p)
    one = rank(["a"], np.array([[0.1]]))
    assert one.ranks == {"a": 1.0}
    assert np.isnan(one.critical_difference)
    assert one.groups == ()


def test_no_difference_is_found_at_the_stated_rate():
    # The chi-squared approximation of Friedman's test is a little conservative with few settings.
    rng = np.random.default_rng(1)
    found = [rank(list("abcde"), rng.random((10, 5))).p < 0.05 for _ in range(600)]
    low, high = stats.binom.ppf([5e-5, 1 - 5e-5], 600, 0.05) / 600
    assert low <= np.mean(found) <= high
