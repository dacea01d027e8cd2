"""BAIT: against its equations written out row by row, its updates against recomputation, and at its edges."""

from itertools import pairwise

import pytest
import torch

from hetal.acquisition import bait, binary_information, double, gini, greedy_design, softmax_design
from hetal.acquisition.design import LinearDesign
from hetal.acquisition.softmax_design import SoftmaxDesign


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(seed, n_points, n_features, n_classes, sharpness=3.0):
    g = rng(seed)
    x = torch.randn(n_points, n_features, generator=g)
    return x, (sharpness * torch.randn(n_points, n_classes, generator=g)).softmax(1)


def informations(x, probs, binary):
    """The Fisher information of a label of each point, (M, D, D) or (M, C D, C D), from V."""
    x, probs = x.double(), probs.double() / probs.double().sum(1, keepdim=True)
    x = x / x.square().sum(1).mean().sqrt().clamp(min=1e-300)
    found = []
    for h, p in zip(x, probs, strict=True):
        if binary:
            V = (p.max() * (1 - p.max())).clamp(min=0).sqrt() * h[:, None]
        else:
            one_hot = torch.eye(len(p)).double()
            V = torch.stack([p[c].sqrt() * torch.kron(one_hot[c] - p, h) for c in range(len(p))], dim=1)
        found.append(V @ V.T)
    return torch.stack(found)


class Slow:
    """The objective, and the greedy search for it, on rows."""

    def __init__(self, x, probs, source, known, ridge, binary):
        self.information = informations(x, probs, binary)[source]
        self.goal = self.information.sum(0)
        self.known, self.ridge = list(known), ridge

    def left(self, rows):
        """What is uncertain with the labels of these rows, too."""
        seen = self.information[self.known + list(rows)].sum(0)
        precision = self.ridge * torch.eye(len(self.goal)).double() + seen
        return float(torch.trace(torch.linalg.solve(precision, self.goal)))

    def picks(self, n, n_added):
        """Return the rows picked, and what is uncertain after each that is added or taken away."""
        chosen, path = [], [self.left([])]
        for _ in range(n_added):
            others = [i for i in range(len(self.information)) if i not in chosen + self.known]
            chosen.append(min(others, key=lambda i: self.left([*chosen, i])))
            path.append(self.left(chosen))
        while len(chosen) > n:
            chosen.remove(min(chosen, key=lambda i: self.left([j for j in chosen if j != i])))
            path.append(self.left(chosen))
        return chosen, path


def on_rows(x, probs, source, known, n, ridge, binary, oversample=2, seed=0):
    """Pick as a strategy does, of distinct points with the numbers of their rows."""
    unknown = torch.ones(len(source), dtype=torch.bool).index_fill_(0, known, False)
    candidates, n_rows = source[unknown].unique(return_counts=True)
    copies = torch.bincount(source, minlength=len(x))
    rest = {"weights": n_rows, "copies": copies, "binary": binary, "oversample": oversample}
    return bait(x, probs, n, rng(seed), known=source[known], candidates=candidates, ridge=ridge, **rest)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("ridge", [1e-3, 0.1, 3.0])
@pytest.mark.parametrize("seed", range(4))
def test_is_the_search_on_rows(seed, ridge, binary):
    x, probs = drawn(seed, 7, 3, 2 + seed % 3)
    source = torch.arange(7).repeat_interleave(torch.tensor([1, 3, 1, 2, 1, 2, 1]))[
        torch.randperm(11, generator=rng(seed))
    ]
    known = torch.tensor([0, 4])  # of an image that others show, too, for most seeds
    for n in (2, 3, 6, 9):
        slow = Slow(x, probs, source, known.tolist(), ridge, binary)
        expected, _ = slow.picks(n, min(2 * n, 9))
        picks = on_rows(x, probs, source, known, n, ridge, binary)
        assert sorted(picks.tolist()) == sorted(source[expected].tolist())


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(
    "kind", ["zero", "identical", "one class", "certain", "one certain", "flat", "collinear"]
)
def test_is_as_good_as_the_search_where_points_tie(kind, binary):
    x, probs = drawn(1, 8, 3, 3)
    if kind == "zero":
        x = torch.zeros_like(x)
    elif kind == "identical":
        x, probs = x[:1].expand(8, -1), probs[:1].expand(8, -1)
    elif kind == "one class":
        probs = torch.tensor([0.8, 0.1, 0.1]).expand(8, -1)
    elif kind == "certain":
        probs = torch.eye(3)[torch.arange(8) % 3]
    elif kind == "one certain":
        probs[2] = torch.eye(3)[1]
    elif kind == "flat":
        probs = torch.full_like(probs, 1 / 3)
    elif kind == "collinear":
        x = x[:, :1] * torch.tensor([1.0, 2.0, 0.0])
    source = torch.arange(8).repeat(2)
    known = torch.tensor([0, 1])
    slow = Slow(x, probs, source, known.tolist(), 0.1, binary)
    expected, _ = slow.picks(4, 8)
    images = on_rows(x, probs, source, known, 4, 0.1, binary)
    rows = [(source == image).nonzero().flatten().tolist() for image in images]
    assert max(torch.bincount(images)) <= 2
    # Which row of an image makes no difference, but each is picked once at most.
    assert slow.left([row[1 if i < 2 else 0] for i, row in zip(images, rows, strict=True)]) == pytest.approx(
        slow.left(expected), rel=1e-9
    )
    everything = on_rows(x, probs, source, known, 14, 0.1, binary)
    assert torch.bincount(everything, minlength=8).tolist() == [1, 1, 2, 2, 2, 2, 2, 2]


def designs(x, probs, known, candidates, ridge):
    weight = binary_information(probs)
    yield LinearDesign(x, weight, known, candidates, ridge, None)
    yield SoftmaxDesign(x, probs, known, candidates, ridge, None)


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize(
    ("ridge", "error"), [(1e-6, 1e-3), (0.1, 1e-9)]
)  # of a loss, 1 - V'AV is about the ridge
def test_updates_are_what_is_computed_afresh(ridge, error, kind):
    x, probs = drawn(0, 40, 9, 3)
    every = torch.arange(40)
    design = [*designs(x, probs, every[:5], every, ridge)][kind]
    design.gains()  # so that all is computed before the first label
    known = every[:5].tolist()
    moves = [(i, 1) for i in range(5, 35)] + [(i, -1) for i in range(5, 28, 2)]
    for k, (i, sign) in enumerate(moves):
        design.move(torch.tensor([i]), sign)
        known.append(i) if sign == 1 else known.remove(i)
        if k % 4 == 3:
            afresh = [*designs(x, probs, torch.tensor(known), every, ridge)][kind]
            torch.testing.assert_close(design.gains(), afresh.gains(), rtol=error, atol=0)
            torch.testing.assert_close(design.losses()[known], afresh.losses()[known], rtol=error, atol=0)


def test_a_matrix_that_cannot_be_inverted_is_told_at_the_end():
    x, probs = drawn(0, 40, 9, 3)
    every = torch.arange(40)
    linear, softmax = designs(x, probs, every[:5], every, 0.1)
    for design in (linear, softmax):
        design.gains()
        design.check()
    linear._information_DD.zero_()
    softmax._information.neg_()
    for design in (linear, softmax):
        design._n_moves = 0  # so that all is computed afresh
        design.gains()
    for design in (linear, softmax, softmax.only(every[:2])):
        with pytest.raises(torch.linalg.LinAlgError, match="singular"):
            design.check()


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("ridge", [1e-6, 0.1])
def test_every_step_is_the_best_after_many(ridge, binary):
    x, probs = drawn(0, 60, 5, 3)
    slow = Slow(x, probs, torch.arange(60), [], ridge, binary)
    every = torch.arange(60)
    rest = {"known": every[:0], "candidates": every, "ridge": ridge, "binary": binary}
    added = bait(x, probs, 40, rng(), oversample=1, **rest).tolist()
    for k in (0, 7, 22, 39):
        best = min(slow.left([*added[:k], i]) for i in set(range(60)) - set(added[:k]))
        assert slow.left(added[: k + 1]) == pytest.approx(best, rel=1e-9)
    kept = bait(x, probs, 20, rng(), **rest).tolist()
    assert set(kept) <= set(added)
    one_more = bait(x, probs, 39, rng(), **(rest | {"candidates": torch.tensor(added)})).tolist()
    assert slow.left(one_more) == pytest.approx(
        min(slow.left([i for i in added if i != out]) for out in added), rel=1e-9
    )


def test_both_ways_end_mostly_but_not_always_under_forwards_alone():
    # More labels never leave more uncertain, so that no step back lowers the trace; it is the least rise that is taken.
    worse = better = 0
    for seed in range(20):
        x, probs = drawn(seed, 12, 4, 3)
        slow = Slow(x, probs, torch.arange(12), [], 0.01, binary=True)
        _, path = slow.picks(3, 6)
        assert all(after < before for before, after in pairwise(path[:7]))
        assert all(after > before for before, after in pairwise(path[6:]))
        better += path[-1] < path[3] * (1 - 1e-9)
        worse += path[-1] > path[3] * (1 + 1e-9)
    assert better > worse > 0


def test_of_two_classes_all_forms_are_one_design():
    x, probs = drawn(3, 60, 4, 2)
    torch.testing.assert_close(gini(probs), 2 * binary_information(probs))
    every = torch.arange(60)
    rest = {"known": every[:3], "candidates": every[3:]}
    fisher = greedy_design(x, gini(probs), 20, ridge=0.2, **rest)
    assert torch.equal(bait(x, probs, 20, rng(), binary=True, oversample=1, ridge=0.1, **rest), fisher)
    assert torch.equal(bait(x, probs, 20, rng(), oversample=1, ridge=0.2, **rest), fisher)
    more = drawn(3, 60, 4, 3)[1]
    assert (gini(more) / binary_information(more)).std() > 0.01  # not so with three


def test_ties_are_broken_at_random_among_rows():
    x, probs = torch.ones(3, 2), torch.full((3, 2), 0.5)
    rest = {
        "known": torch.arange(0),
        "candidates": torch.arange(3),
        "ridge": 1.0,
        "weights": torch.tensor([1, 2, 5]),
    }
    for binary in (True, False):
        first = torch.zeros(3)
        both = torch.zeros(3)
        for seed in range(120):
            picks = bait(x, probs, 2, rng(seed), binary=binary, oversample=1, **rest)
            first[picks[0]] += 1
            both += torch.bincount(picks, minlength=3)
        assert (first / 120 - torch.tensor([1, 2, 5]) / 8).abs().max() < 0.18  # 4 standard deviations
        assert (both / 240 - torch.tensor([1, 2, 5]) / 8).abs().max() < 0.15


def test_blocks_pick_what_all_at_once_pick(monkeypatch):
    x, probs = drawn(5, 50, 6, 4)
    rest = {"known": torch.arange(4), "candidates": torch.arange(4, 50), "ridge": 0.1}
    whole = [bait(x, probs, 12, rng(), binary=binary, **rest) for binary in (True, False)]
    monkeypatch.setattr(softmax_design, "NUMBERS_AT_ONCE", 100)
    monkeypatch.setattr(double, "NUMBERS_HELD", 0)
    monkeypatch.setattr(double, "NUMBERS_AT_ONCE", 70)
    for binary, expected in zip((True, False), whole, strict=True):
        assert torch.equal(bait(x, probs, 12, rng(), binary=binary, **rest), expected)
        as_arrays = bait(x.numpy(), probs.numpy(), 12, rng(), binary=binary, **rest)
        assert as_arrays.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"n": 7}, "n=7: must be in 0..6"),
        ({"n": -1}, "n=-1"),
        ({"ridge": 1e-9}, "ridge=1e-09"),
        ({"oversample": 0}, "oversample=0"),
        ({"weights": torch.tensor([1.0, 1, 1, 1, 1, 0.5])}, "whole numbers"),
        ({"points_MD": torch.full((6, 2), torch.nan)}, "finite"),
        ({"probs_MC": torch.randn(6, 3)}, "probabilities"),
    ],
)
@pytest.mark.parametrize("binary", [False, True])
def test_refuses(wrong, says, binary):
    x, probs = drawn(0, 6, 2, 3)
    given = {"points_MD": x, "probs_MC": probs, "n": 2, "generator": rng(), "known": torch.arange(0)}
    given |= {"candidates": torch.arange(6), "ridge": 0.1, "binary": binary}
    with pytest.raises(ValueError, match=says):
        bait(**(given | wrong))


def test_refuses_a_single_class():
    with pytest.raises(ValueError, match="at least two classes, not 1"):
        bait(
            torch.ones(3, 2),
            torch.ones(3, 1),
            1,
            rng(),
            known=torch.arange(0),
            candidates=torch.arange(3),
            ridge=1.0,
        )
