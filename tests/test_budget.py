"""The budget: what each round asks for, and which rounds of another budget are its own."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetal.budget import Budget
from hetal.errors import BadInput
from hetal.record.schema import OF_A_PURCHASE, Round


def run(budget: Budget, until: int | None = None, stops_at: int | None = None) -> list[Round]:
    """Spend a budget, or some rounds of it; a strategy may have nothing more to ask about from `stops_at` labels on."""
    values = {f.name: 0 for f in dataclasses.fields(Round)}
    rounds: list[Round] = []
    while not budget.is_spent(rounds) and len(rounds) != until:
        asked, labels = budget.n_to_ask(rounds), budget.n_labelled(rounds)
        bought = asked if stops_at is None else max(min(asked, stops_at - labels), 0)
        changed = {"round": len(rounds), "n_labelled": labels, "n_asked": asked, "n_bought": bought}
        share = dict.fromkeys(OF_A_PURCHASE, bought or None)
        rounds.append(Round(**{**values, **changed, **share}))
    return rounds


def labels(rounds: list[Round]) -> list[int]:
    return [row.n_labelled for row in rounds]


def test_it_is_spent_exactly():
    budget = Budget(20, 30, 100)
    rounds = run(budget)
    assert budget.n_rounds == len(rounds) == 4
    assert labels(rounds) == [budget.planned(t) for t in range(4)] == [20, 50, 80, 100]
    assert [row.n_asked for row in rounds] == [30, 30, 20, 0]


def test_one_round_buys_nothing():
    rounds = run(Budget(20, 30, 20))
    assert [(row.n_labelled, row.n_asked) for row in rounds] == [(20, 0)]


@pytest.mark.parametrize(
    ("numbers", "names"),
    [((0, 1, 5), "n_start=0"), ((5, 0, 6), "n_query=0"), ((5, 1, 4), "n_end=4: must be at least n_start, 5")],
)
def test_what_does_not_fit_is_refused(numbers, names):
    with pytest.raises(BadInput, match=names):
        Budget(*numbers)


@pytest.mark.parametrize(("numbers", "names"), [((11, 1, 12), "n_start=11"), ((5, 1, 11), "n_end=11")])
def test_more_than_the_pool_holds_is_refused(numbers, names):
    with pytest.raises(BadInput, match=names):
        Budget(*numbers).check(n_rows=10)


def test_a_strategy_that_stops_early_ends_the_run_after_one_more_network():
    assert labels(run(Budget(20, 30, 200), stops_at=90)) == [20, 50, 80, 90]
    assert labels(run(Budget(20, 30, 200), stops_at=80)) == [20, 50, 80]
    assert labels(run(Budget(20, 30, 200), stops_at=20)) == [20]


def test_a_longer_run_keeps_all_rounds_but_the_last_and_a_short_query():
    longer = Budget(20, 30, 200)
    assert longer.n_shared(run(Budget(20, 30, 110))) == 3  # of 20, 50, 80, 110
    assert longer.n_shared(run(Budget(20, 30, 100))) == 2  # at 80 labels the shorter one asked for 20
    assert longer.part_of(run(Budget(20, 30, 100))) is None


def test_a_shorter_run_is_a_part_of_a_longer_one():
    long = run(Budget(20, 30, 200))
    assert Budget(20, 30, 80).part_of(long) == run(Budget(20, 30, 80))
    assert Budget(20, 30, 80).part_of(long[:3]) == run(Budget(20, 30, 80))
    assert Budget(20, 30, 80).part_of(long[:2]) is None
    assert Budget(20, 30, 200).part_of(long[:3]) is None
    with pytest.raises(BadInput, match=r"n_end=100: .* up to 200 labels.* n_end=80 or 110 shows a part"):
        Budget(20, 30, 100).part_of(long)


@given(
    start=st.integers(1, 5), query=st.integers(1, 5), one=st.integers(0, 20), other=st.integers(0, 20),
    until=st.integers(0, 9), stops_at=st.none() | st.integers(1, 20),
)  # fmt: skip
def test_whatever_is_on_record_a_run_goes_on_as_if_it_had_been_made_in_one_go(
    start, query, one, other, until, stops_at
):
    recorded = run(Budget(start, query, start + one), until, stops_at)
    budget = Budget(start, query, start + other)
    alone = run(budget, stops_at=stops_at)
    kept = recorded[: budget.n_shared(recorded)]
    assert kept == alone[: len(kept)]
    assert len(kept) >= min(len(recorded), len(alone)) - 2
    try:
        part = budget.part_of(recorded)
    except BadInput:
        assert one > other
        assert recorded[-1].n_labelled >= start + other
        return
    assert part is None or part == alone
    n = len(alone)
    is_there = len(recorded) >= n and recorded[: n - 1] == alone[:-1]
    assert (part is not None) == (is_there and alone[-1].n_asked in (0, recorded[n - 1].n_asked))


@pytest.mark.parametrize(
    ("size", "given", "fitting"),
    [
        ((60_000, 10), (None, None, None), (100, 100, 1000)),
        ((142, 3), (None, None, None), (7, 7, 71)),
        ((142, 3), (None, None, 100), (7, 7, 100)),  # a later end is the same run up to there
        ((142, 3), (20, None, None), (20, 20, 71)),
        ((142, 3), (None, 5, None), (7, 5, 71)),
        ((142, 3), (90, None, None), (90, 90, 90)),
        ((9, 3), (None, None, None), (3, 3, 4)),
        ((2, 2), (None, None, None), (2, 2, 2)),
    ],
)
def test_a_budget_fits_the_data(size, given, fitting):
    assert Budget.fitting(*size, *given) == Budget(*fitting)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ((None, None, 5), "n_end=5: must be at least 7, which n_start is unless set"),
        ((None, 0, None), "n_query=0"),
    ],
)
def test_a_budget_that_no_data_fit(given, names):
    with pytest.raises(BadInput, match=names):
        Budget.fitting(142, 3, *given)
