"""Pool, oracle and budget."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hetal.noise import NoisyPool
from hetal.oracle import Oracle
from hetal.pool import Pool


def make_pool(source: list[int]) -> Pool:
    return Pool(torch.zeros(max(source) + 1, 1, 2, 2), torch.tensor(source))


def test_reveal_moves_rows_from_unlabelled_to_labelled():
    pool = make_pool([0, 1, 1, 2])
    pool.reveal(torch.tensor([2, 0]), torch.tensor([7, 5]))
    assert pool.labelled_ids().tolist() == [0, 2]
    assert pool.unlabelled_ids().tolist() == [1, 3]
    assert pool.labels(torch.tensor([0, 2])).tolist() == [5, 7]


@pytest.mark.parametrize("ids", [[1, 1], [0], [4], [-1]], ids=["repeated", "bought", "too high", "negative"])
def test_reveal_refuses(ids):
    pool = make_pool([0, 1, 1, 2])
    pool.reveal(torch.tensor([0]), torch.tensor([1]))
    with pytest.raises(ValueError, match=r"ids must be|bought twice"):
        pool.reveal(torch.tensor(ids), torch.zeros(len(ids), dtype=torch.long))
    assert pool.labelled_ids().tolist() == [0]


def test_labels_of_rows_never_bought_are_not_to_be_had():
    with pytest.raises(ValueError, match="never bought"):
        make_pool([0, 1]).labels(torch.tensor([1]))


def test_distinct_counts_unlabelled_copies_in_order_of_lowest_row():
    pool = make_pool([3, 1, 1, 0, 3, 1, 2])
    pool.reveal(torch.tensor([0, 1, 3]), torch.tensor([0, 0, 0]))
    images, copies = pool.distinct()
    assert images.tolist() == [1, 3, 2]  # rows 2, 4, 6
    assert copies.tolist() == [2, 1, 1]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_rows_showing_returns_distinct_unlabelled_rows_of_the_images_asked_for(data):
    source = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=40))
    pool = make_pool(source)
    bought = data.draw(st.sets(st.integers(0, len(source) - 1), max_size=len(source) - 1))
    pool.reveal(torch.tensor(sorted(bought), dtype=torch.long), torch.zeros(len(bought), dtype=torch.long))
    left = pool.unlabelled_ids()
    order = torch.randperm(len(left), generator=torch.Generator().manual_seed(data.draw(st.integers(0, 99))))
    images = pool.source_N[left][order][: data.draw(st.integers(0, len(left)))]
    for ids in (
        pool.rows_showing(images, torch.Generator().manual_seed(1)),
        pool.lowest_rows_showing(images),
    ):
        assert pool.source_N[ids].tolist() == images.tolist()
        assert len(set(ids.tolist())) == len(images)
        assert set(ids.tolist()) <= set(left.tolist())


def test_rows_showing_is_uniform_over_copies():
    pool = make_pool([0, 0, 0, 1])
    rng = torch.Generator().manual_seed(0)
    counts = torch.bincount(
        torch.cat([pool.rows_showing(torch.tensor([0]), rng) for _ in range(3000)]), minlength=4
    )
    assert counts[3] == 0
    assert (counts[:3] - 1000).abs().max() < 120  # 4.6 standard deviations


def test_lowest_rows_showing_takes_the_lowest():
    assert make_pool([1, 0, 1, 1]).lowest_rows_showing(torch.tensor([1, 0, 1])).tolist() == [0, 1, 2]


def test_oracle_answers_for_rows():
    noisy = NoisyPool(
        torch.zeros(2, 2),
        torch.tensor([0, 1, 1]),
        torch.tensor([5, 6, 7]),
        torch.tensor([False, False, True]),
    )
    oracle = Oracle(noisy)
    assert oracle.label(torch.tensor([2, 0])).tolist() == [7, 5]
    assert oracle.is_noisy(torch.tensor([2, 0])).tolist() == [True, False]
    assert oracle.clean_share == pytest.approx(2 / 3)


def test_pool_holds_neither_labels_nor_flags_of_what_was_not_bought():
    pool = make_pool([0, 1])
    tensors = {name: value for name, value in vars(pool).items() if isinstance(value, torch.Tensor)}
    assert set(tensors) == {"images_M", "source_N", "_labels_N"}
    assert (tensors["_labels_N"] == -2).all()
