"""The strategies bait and bait_binary: what they count, what they refuse, and that they run on ensembles."""

import pytest
import torch

from hetal.algs import BAIT
from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.rng import stream
from tests.command_line import TOY, run_here
from tests.test_acquisition_bait import Slow
from tests.test_algs import fitted_on, make_pool

GIVEN = {"binary": False, "ridge": 0.1, "oversample": 2, "max_candidates": None, "max_gib": 4.0}


@pytest.mark.parametrize("binary", [False, True])
def test_counts_rows_labelled_ones_too_and_may_buy_copies(binary):
    images = torch.randn(8, 2, generator=torch.Generator().manual_seed(2))
    pool = Pool(images, torch.arange(8).repeat_interleave(torch.tensor([2, 2, 1, 1, 1, 1, 1, 8])))
    labelled = torch.tensor([0, 1, 2])  # image 0 twice, one of two rows of image 1
    pool.reveal(labelled, torch.tensor([0, 1, 1]))
    fitted = fitted_on(pool)
    slow = Slow(fitted.features_MD, fitted.probs_MC, pool.source_N, labelled.tolist(), 0.1, binary)
    for n in (2, 5, 8):
        expected, _ = slow.picks(n, min(2 * n, 14))
        ids = BAIT(**GIVEN | {"binary": binary}).query(fitted, pool, n, stream(0, "query"))
        assert pool.source_N[ids].sort().values.tolist() == sorted(pool.source_N[expected].tolist())
        assert slow.left(ids.tolist()) == pytest.approx(slow.left(expected), rel=1e-9)
    assert int((pool.source_N[ids] == 7).sum()) > 1


def test_chooses_among_random_rows_on_large_pools():
    pool = make_pool(n=40, copies=2)
    fitted = fitted_on(pool)

    def bought(most, n, seed=0):
        alg = BAIT(**GIVEN | {"binary": True, "max_candidates": most})
        return alg.query(fitted, pool, n, stream(seed, "query")).tolist()

    images = [sorted(pool.source_N[bought(most, 5)].tolist()) for most in (None, 1000)]
    assert images[0] == images[1]
    assert len({bought(1, 1, seed)[0] for seed in range(40)}) > 15  # of two candidates: nearly any row
    assert len(set(bought(3, 12))) == 12


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"ridge": 0}, "alg.ridge=0: must be at least 1e-06, and finite"),
        ({"ridge": float("nan")}, "alg.ridge=nan"),
        ({"oversample": 0}, "alg.oversample=0: must be in 1..100"),
        ({"max_candidates": 0}, "alg.max_candidates=0: must be at least 1, or null"),
        ({"max_gib": 0}, "alg.max_gib=0: must be above 0"),
    ],
)
def test_refuses_settings(wrong, says):
    with pytest.raises(BadInput, match=f"^{says}"):
        BAIT(**GIVEN | wrong)


def test_refuses_before_training_what_takes_too_much_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("hetal.train.learner.Learner.fit", None)
    says = r"^alg.max_gib=0.1: a query takes 0\.\d GiB with 10 classes, 256 features; alg=bait_binary needs little"
    with pytest.raises(BadInput, match=says):
        run_here(*TOY, "alg=bait", "alg.max_gib=0.1", root=tmp_path)
    pool = make_pool(n=40)
    fitted = fitted_on(pool)
    alg = BAIT(**GIVEN | {"max_gib": 0.125015})
    alg.check_outputs(fitted)
    with pytest.raises(BadInput, match=r"3 classes, 8 features and 38 images; .* alg.max_candidates chooses"):
        alg.query(fitted, pool, 2, stream(0, "query"))
    BAIT(**GIVEN | {"max_gib": 0.125015, "max_candidates": 4}).query(fitted, pool, 2, stream(0, "query"))
    BAIT(**GIVEN | {"max_gib": 1e-9, "binary": True}).query(fitted, pool, 2, stream(0, "query"))


@pytest.mark.parametrize("alg", ["bait", "bait_binary"])
def test_runs_on_an_ensemble(alg, tmp_path):
    run_here(*TOY, f"alg={alg}", "model.members=3", "model.widths=[8]", root=tmp_path)
