"""Query strategies: what they return, what they cannot see, what each prefers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from hetal.acquisition import gini, lhd_embedding
from hetal.algs.badge import BADGE
from hetal.algs.bald import BALD
from hetal.algs.coreset import CoreSet
from hetal.algs.fisher import Fisher, unweighted
from hetal.algs.lhd import LHD, hidden_only, loss_only
from hetal.algs.random import Random
from hetal.algs.score import Score
from hetal.algs.wrapper import is_bound
from hetal.app.compose import build_part
from hetal.errors import BadInput
from hetal.models.mlp import MLP
from hetal.pool import Pool
from hetal.rng import stream
from hetal.train.fitted import Fitted, Pair
from hetal.train.forward import Standardise
from tests.command_line import CONF, options


def strategy(name):
    config = OmegaConf.to_container(settings_of(name))
    config = config.get("alg", config)
    config.pop("name", None)
    return build_part({"alg": config}, "alg")


def settings_of(name):
    config = OmegaConf.load(CONF / "alg" / f"{name}.yaml")
    for default in config.pop("defaults", []):
        if default == "_self_":
            continue
        if isinstance(default, str):
            config = OmegaConf.merge(settings_of(default), config)
        else:
            config.of = settings_of(default["/alg@of"])
    return config


def fitted_on(pool, seed=0):
    torch.manual_seed(seed)
    online, ema = MLP((2,), 3, [8], 0.5), MLP((2,), 3, [8], 0.5)
    prepare = Standardise((0.0,), (1.0,), (2,), False, torch.device("cpu"))
    pair = Pair(online, ema)
    return Fitted(pair, pool.images_M, prepare, batch_size=7, snapshot=pair)


@settings(max_examples=15, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("name", options("alg"))
def test_returns_distinct_unlabelled_ids(name, data):
    n_images = data.draw(st.integers(1, 12))
    source = torch.tensor(data.draw(st.lists(st.integers(0, n_images - 1), min_size=2, max_size=30)))
    values = data.draw(st.sampled_from(["distinct", "identical", "zero"]))
    images = torch.randn(n_images, 2, generator=torch.Generator().manual_seed(1))
    if values != "distinct":
        images = torch.full_like(images, values == "identical")
    pool = Pool(images, source)
    bought = torch.tensor(
        sorted(data.draw(st.sets(st.integers(0, len(source) - 1), min_size=1, max_size=len(source) - 1)))
    )
    pool.reveal(bought, torch.zeros_like(bought))
    n = data.draw(st.integers(1, len(source) - len(bought)))
    fitted = fitted_on(pool)
    alg = strategy(name)
    if is_bound(alg):
        alg.see(torch.zeros_like(source), torch.zeros_like(source, dtype=torch.bool))
    ids = alg.query(fitted, pool, n, stream(0, "query"))
    assert ids.dtype == torch.long
    assert len(ids) == n == len(set(ids.tolist()))
    assert set(ids.tolist()) <= set(pool.unlabelled_ids().tolist())
    assert torch.equal(alg.query(fitted, pool, n, stream(0, "query")), ids)


def make_pool(n=40, copies=1):
    images = torch.randn(n, 2, generator=torch.Generator().manual_seed(2))
    pool = Pool(images, torch.arange(n).repeat(copies))
    pool.reveal(torch.tensor([0, 1]), torch.tensor([0, 1]))
    return pool


def test_score_buys_the_highest():
    pool = make_pool()
    fitted = fitted_on(pool)
    ids = Score(lambda probs_MC: probs_MC[:, 0]).query(fitted, pool, 5, stream(0, "query"))
    left = pool.unlabelled_ids()
    best = fitted.probs_MC[left, 0].topk(5).values.min()
    assert (fitted.probs_MC[ids, 0] >= best).all()


def test_score_breaks_ties_at_random_among_copies():
    pool = make_pool(n=2, copies=50)
    fitted = fitted_on(pool)
    flat = Score(lambda probs_MC: torch.zeros(len(probs_MC)))
    queries = {tuple(flat.query(fitted, pool, 3, stream(s, "query")).tolist()) for s in range(20)}
    assert len(queries) > 15


def test_coreset_is_the_sequential_algorithm_on_rows():
    pool = make_pool(n=15, copies=2)
    fitted = fitted_on(pool)
    h = fitted.features_MD[pool.source_N].double()
    centers, expected = pool.labelled_ids().tolist(), []
    for _ in range(13):  # as many as there are images not labelled
        distance = torch.cdist(h, h[centers], compute_mode="donot_use_mm_for_euclid_dist").min(1).values
        distance[centers] = -1
        expected.append(int(distance.argmax()))
        centers.append(expected[-1])
    assert CoreSet("trained").query(fitted, pool, 13, stream(0, "query")).tolist() == expected


def test_coreset_buys_no_image_twice_while_others_are_left():
    pool = make_pool(n=15, copies=3)
    ids = CoreSet("trained").query(fitted_on(pool), pool, 20, stream(0, "query"))
    shown = pool.source_N[ids].tolist()
    assert len(set(shown[:13])) == 13
    assert not {0, 1} & set(shown[:13])  # they are labelled already


def uncertainty_left(fitted, pool, bought, weight, ridge, count_rows):
    """What a linear model that knows the labelled rows and `bought` leaves uncertain, by the definition."""
    x, w = fitted.features_MD.double(), weight(fitted.probs_MC).double()
    x = x / x.square().sum(1).mean().sqrt()
    known, counted = pool.source_N[pool.labelled_ids()], pool.source_N
    if not count_rows:
        known, counted = known.unique(), torch.arange(len(x))
    known = torch.cat([known, pool.source_N[bought]])
    information = ridge * torch.eye(x.shape[1]).double() + (w[known, None] * x[known]).T @ x[known]
    return float((w * (x @ information.inverse() * x).sum(1))[counted].sum())


@pytest.mark.parametrize("count_rows", [False, True])
@pytest.mark.parametrize("weight", [gini, unweighted])
def test_fisher_leaves_least_uncertain_with_every_pick(weight, count_rows):
    images = torch.randn(15, 2, generator=torch.Generator().manual_seed(2))
    pool = Pool(images, torch.arange(15).repeat_interleave(torch.arange(15) % 4 + 1))
    pool.reveal(torch.tensor([0, 1, 2]), torch.tensor([0, 1, 1]))  # image 0, and image 1 twice
    fitted = fitted_on(pool)
    ids = Fisher(weight, 0.1, count_rows, None).query(fitted, pool, 13, stream(0, "query"))
    for k in range(12):
        left = {
            int(pool.source_N[i]): uncertainty_left(
                fitted, pool, torch.cat([ids[:k], i[None]]), weight, 0.1, count_rows
            )
            for i in ids[k:]
        }
        assert left[int(pool.source_N[ids[k]])] == pytest.approx(min(left.values()), rel=1e-9)


def test_fisher_counts_images_not_rows():
    images = torch.randn(12, 2, generator=torch.Generator().manual_seed(2))
    few, many = Pool(images, torch.arange(12)), Pool(images, torch.arange(12).repeat_interleave(2).repeat(5))
    few.reveal(torch.tensor([0, 1]), torch.tensor([0, 1]))
    many.reveal(torch.tensor([0, 1, 2, 24]), torch.tensor([0, 1, 1, 2]))  # the same two images, twice each
    alg = strategy("fisher")
    bought = [pool.source_N[alg.query(fitted_on(pool), pool, 6, stream(0, "query"))] for pool in (few, many)]
    assert torch.equal(*bought)


def test_fisher_buys_no_image_twice_while_others_are_left():
    pool = make_pool(n=15, copies=3)
    ids = strategy("fisher").query(fitted_on(pool), pool, 20, stream(0, "query"))
    shown = pool.source_N[ids].tolist()
    assert len(set(shown[:13])) == 13
    assert not {0, 1} & set(shown[:13])  # they are labelled already


def test_fisher_breaks_ties_at_random_not_by_the_order_of_the_data():
    pool = Pool(torch.zeros(20, 2), torch.arange(20))
    pool.reveal(torch.tensor([0]), torch.tensor([0]))
    queries = {
        int(strategy("fisher").query(fitted_on(pool), pool, 1, stream(s, "query"))) for s in range(100)
    }
    assert queries == set(range(1, 20))


def test_fisher_chooses_among_random_candidates_on_large_pools():
    pool = make_pool(n=40, copies=1)
    fitted = fitted_on(pool)

    def bought(most: int | None, n: int, seed: int = 0) -> list[int]:
        return Fisher(gini, 0.1, False, most).query(fitted, pool, n, stream(seed, "query")).tolist()

    everything = bought(None, 5)
    assert bought(1000, 5) == everything
    best = {bought(1, 1, seed)[0] for seed in range(60)}  # of one candidate: any row
    assert len(best) > 20
    assert len({bought(None, 1, seed)[0] for seed in range(60)}) == 1
    assert len(set(bought(3, 12))) == 12
    with pytest.raises(BadInput, match=r"^alg\.max_candidates=0: must be at least 1, or null$"):
        Fisher(gini, 0.1, False, 0)


@pytest.mark.parametrize("ridge", [0, 1e-9, float("nan"), float("inf")])
def test_fisher_refuses_a_ridge_that_rounding_would_swallow(ridge):
    with pytest.raises(BadInput, match=rf"alg.ridge={ridge}: must be at least 1e-06, and finite"):
        Fisher(gini, ridge, False, None)


def test_badge_starts_from_the_largest_gradient():
    pool = make_pool()
    fitted = fitted_on(pool)
    left = pool.unlabelled_ids()
    p, h = fitted.probs_MC[left], fitted.features_MD[left]
    r = p - torch.nn.functional.one_hot(p.argmax(1), 3)
    largest = left[torch.einsum("nc,nd->ncd", r, h).flatten(1).norm(dim=1).argmax()]
    assert BADGE().query(fitted, pool, 4, stream(0, "query"))[0] == largest


@pytest.mark.parametrize("embedding", [lhd_embedding, loss_only, hidden_only])
def test_lhd_starts_from_the_largest_gap(embedding):
    pool = make_pool()
    fitted = fitted_on(pool)
    left = pool.unlabelled_ids()
    pair = fitted.snapshot
    online, ema = (fitted.outputs(net, pool.images_M[left]) for net in (pair.online, pair.ema))
    y = ema.probs.argmax(1, keepdim=True)
    dl = (ema.probs.gather(1, y).log() - online.probs.gather(1, y).log()).abs()
    dh = ema.features - online.features
    g = {lhd_embedding: dl * dh, loss_only: dl, hidden_only: dh}[embedding]
    largest = left[g.norm(dim=1).argmax()]
    assert LHD(embedding, batch_statistics=None).query(fitted, pool, 4, stream(0, "query"))[0] == largest


def test_lhd_reads_losses_after_and_features_before_fine_tuning():
    pool = make_pool()
    before, after = fitted_on(pool, seed=0), fitted_on(pool, seed=5)
    tuned = fitted_on(pool, seed=5)
    tuned._snapshot, tuned.tuned = before.snapshot, tuned.networks
    images = pool.images_M
    dl, dh = LHD(lhd_embedding, None)._gaps(tuned, images)
    torch.testing.assert_close(dl, LHD(lhd_embedding, None)._gaps(after, images)[0])
    torch.testing.assert_close(dh, LHD(lhd_embedding, None)._gaps(before, images)[1])


def test_bald_prefers_what_passes_disagree_on():
    pool = make_pool()
    fitted = fitted_on(pool)
    ids = BALD(50).query(fitted, pool, 10, stream(0, "query"))
    (probs,) = [torch.cat(list(fitted.passes(200, pool.images_M, stream(1, "x"))), dim=1)]
    spread = probs.std(0).sum(1)
    left = pool.unlabelled_ids()
    assert spread[ids].mean() > spread[left].mean()


def test_bald_refuses_a_network_without_dropout():
    with pytest.raises(BadInput, match="dropout"):
        BALD(20).check(MLP((2,), 3, [8], 0.0))
    BALD(20).check(MLP((2,), 3, [8], 0.1))


def test_a_logit_score_reads_logits():
    pool = make_pool()
    fitted = fitted_on(pool)
    ids = strategy("confidence_logit").query(fitted, pool, 5, stream(0, "query"))
    left = pool.unlabelled_ids()
    with torch.no_grad():
        largest = fitted.networks.online.eval()(pool.images_M)[0].amax(1)[pool.source_N[left]]
    assert ids.tolist() == left[largest.argsort()[:5]].tolist()
    torch.testing.assert_close(fitted.logits_MC.softmax(1), fitted.probs_MC)


def test_random_is_uniform():
    pool = make_pool(n=12)
    rng = stream(0, "query")
    counts = torch.bincount(
        torch.cat([Random().query(None, pool, 4, rng) for _ in range(2000)]), minlength=12
    )
    assert counts[:2].sum() == 0
    assert (counts[2:] - 800).abs().max() < 100  # 4.6 standard deviations


def test_published_lhd_reads_batch_statistics_of_rows_in_order():
    torch.manual_seed(0)
    pool = Pool(torch.randn(40, 2), torch.arange(40))
    pool.reveal(torch.tensor([39]), torch.tensor([0]))

    class Normed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.head = torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 3)

        def forward(self, x):
            return self.head(self.norm(x)), self.norm(x)

    pair = Pair(Normed().eval(), Normed().eval())
    prepare = Standardise((0.0,), (1.0,), (2,), False, torch.device("cpu"))
    fitted = Fitted(pair, pool.images_M, prepare, batch_size=100, snapshot=pair)
    before = pair.ema.norm.running_mean.clone()
    _, dh = LHD(lhd_embedding, batch_statistics=20)._gaps(fitted, pool.images_M)
    expected = []
    for rows in pool.images_M.split(20):
        normed = (rows - rows.mean(0)) / (rows.var(0, unbiased=False) + 1e-5).sqrt()
        expected.append(normed - rows / (1 + 1e-5) ** 0.5)
    torch.testing.assert_close(dh, torch.cat(expected), rtol=1e-4, atol=1e-5)
    assert torch.equal(pair.ema.norm.running_mean, before)
    assert not pair.ema.training
    ids = LHD(lhd_embedding, batch_statistics=20).query(fitted, pool, 39, stream(0, "query"))
    assert sorted(ids.tolist()) == list(range(39))
