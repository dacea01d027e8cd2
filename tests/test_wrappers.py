"""Strategies that wrap others: what the other sees, what it may not return, names, and bounds in the report."""

import dataclasses
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hetal.acquisition import separated
from hetal.algs import BADGE, BALD, Balanced, CleanOnly, CoreSet, Once, QueryStrategy, Random
from hetal.algs.score import Score
from hetal.app.compose import build_part
from hetal.app.names import strategy_name, with_names_of_wrapped
from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.record.overrides import as_typed
from hetal.record.schema import REJECT, marked
from hetal.report.analyse.analysis import analyse, study_of
from hetal.report.load.reading import Reading, read
from hetal.report.page.render import render
from hetal.rng import stream
from hetal.sweep.overrides import as_options
from hetal.testing import check_strategy
from tests.command_line import TOY, only, records, run_here
from tests.synthetic import make_run
from tests.test_algs import fitted_on, make_pool, strategy
from tests.test_testing import KeepsCount, TooMany


class Sees(QueryStrategy):
    """Notes the pool that it sees, in a place that is no state of its own."""

    def __init__(self, seen):
        self.seen = seen

    def query(self, fitted, pool, n, rng):
        self.seen.append(pool)
        return pool.unlabelled_ids()[:n]


def copies(per_image, bought=(), labels=None):
    images = torch.randn(len(per_image), 2, generator=stream(0, "x"))
    pool = Pool(images, torch.arange(len(per_image)).repeat_interleave(torch.tensor(per_image)))
    ids = torch.tensor(bought, dtype=torch.long)
    pool.reveal(ids, torch.tensor(labels) if labels else torch.zeros_like(ids))
    return pool


def test_a_part_of_a_pool_keeps_images_and_what_was_bought():
    pool = Pool(torch.randn(3, 2), torch.tensor([0, 0, 1, 2, 2]), may_relabel=True)
    pool.reveal(torch.tensor([1, 3]), torch.tensor([4, REJECT]))
    pool.reveal(torch.tensor([1, 4]), torch.tensor([5, 2]))
    part = pool.only(torch.tensor([4, 1, 2, 3]))
    assert part.source_N.tolist() == [2, 0, 1, 2]
    assert part.images_M is pool.images_M
    assert part.labelled_ids().tolist() == [0, 1]
    assert part.rejected_ids().tolist() == [3]
    assert part.unlabelled_ids().tolist() == [2]
    assert part.labels(torch.tensor([0, 1])).tolist() == [2, 5]
    assert torch.equal(part.answers(torch.tensor([1, 0]), 6), pool.answers(torch.tensor([1, 4]), 6))
    part.reveal(torch.tensor([2]), torch.tensor([0]))
    assert pool.unlabelled_ids().tolist() == [0, 2]  # the whole is untouched


def test_once_shows_every_image_once_and_labelled_ones_not_at_all():
    pool, seen = copies([3, 2, 4, 1, 2], bought=[0, 1, 9], labels=[1, 2, REJECT]), []
    ids = Once(Sees(seen), 0.0, "given").query(fitted_on(pool), pool, 2, stream(0, "query"))
    assert seen[0].source_N[seen[0].unlabelled_ids()].tolist() == [1, 2, 4]
    assert seen[0].source_N[seen[0].labelled_ids()].tolist() == [0]
    assert seen[0].labels(seen[0].labelled_ids()).tolist() == [1]
    assert seen[0].source_N[seen[0].rejected_ids()].tolist() == [3]
    assert pool.source_N[ids].tolist() == [1, 2]


def test_once_shows_a_random_row_of_each_image_and_fills_up_with_others():
    pool = copies([20, 1])
    shown = {
        int(Once(CoreSet("trained"), 0.0, "given").query(fitted_on(pool), pool, 2, stream(s, "q")).min())
        for s in range(30)
    }
    assert len(shown) > 8
    assert (
        len(
            set(
                Once(CoreSet("trained"), 0.0, "given")
                .query(fitted_on(pool), pool, 5, stream(0, "q"))
                .tolist()
            )
        )
        == 5
    )


def test_once_of_what_counts_rows_is_what_counts_images():
    pool = copies([5, 1, 2, 7, 1, 1, 3, 1, 2, 1, 1, 4], bought=[0, 1, 8], labels=[0, 1, 1])
    rows, images = Once(strategy("fisher_rows"), 0.0, "given"), strategy("fisher")
    shown = [
        pool.source_N[alg.query(fitted_on(pool), pool, 7, stream(0, "q"))].tolist() for alg in (rows, images)
    ]
    assert shown[0] == shown[1]
    assert (
        shown[0]
        != pool.source_N[strategy("fisher_rows").query(fitted_on(pool), pool, 7, stream(0, "q"))].tolist()
    )


def test_images_that_no_row_shows_count_for_nothing():
    images = torch.randn(14, 2, generator=stream(0, "x"))
    shown, whole = Pool(images[:8], torch.arange(8)), Pool(images, torch.arange(14))
    for name in ("fisher", "fisher_rows", "bait", "bait_binary", "maxherding", "coreset"):
        alg, of_whole = strategy(name), whole.only(torch.arange(8))
        bought = [alg.query(fitted_on(pool), pool, 5, stream(0, "q")).tolist() for pool in (shown, of_whole)]
        assert bought[0] == bought[1], name


def test_near_images_count_as_copies():
    # Spread 1: two pairs of close points about (-1, 0) and (1, 0).
    images = torch.tensor([[-1.0, 0.02], [-1.0, -0.02], [1.0, 0.02], [1.0, -0.02]])
    pool, seen = Pool(images, torch.arange(4)), []
    pool.reveal(torch.tensor([0]), torch.tensor([0]))
    for near in (0.03, 0.05):
        Once(Sees(seen), near, "given").query(fitted_on(pool), pool, 1, stream(0, "q"))
    assert seen[0].source_N[seen[0].unlabelled_ids()].tolist() == [1, 2, 3]
    (shown,) = seen[1].source_N[seen[1].unlabelled_ids()].tolist()
    assert shown in (2, 3)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 99), m=st.integers(1, 60), n_centers=st.integers(0, 3), copies=st.booleans())
def test_what_is_kept_apart_is_what_a_plain_loop_keeps(seed, m, n_centers, copies):
    x = torch.randn(m, 3, generator=stream(seed, "x"))
    x = x[torch.arange(m) % 5] if copies else x
    centers, kept = torch.randn(n_centers, 3, generator=stream(seed, "c")), []
    for i in range(m):
        others = torch.cat([centers, x[kept]]).double()
        if not len(others) or float((others - x[i].double()).norm(dim=1).min()) >= 1.2:
            kept.append(i)
    assert separated(x, 1.2, centers=centers).tolist() == kept
    assert separated(x.numpy(), 1.2, centers=centers.numpy()).tolist() == kept


def test_points_are_kept_apart_across_blocks():
    x = torch.rand(1500, 2, generator=stream(0, "x"))
    kept = separated(x, 0.05)
    assert float((torch.cdist(x[kept], x[kept]) + torch.eye(len(kept))).min()) >= 0.05
    assert float(torch.cdist(x, x[kept]).amin(1).max()) < 0.05
    with pytest.raises(ValueError, match="radius=0"):
        separated(x, 0)


@pytest.mark.parametrize("of", [Random(), BADGE(), Balanced(), Once(CoreSet("trained"), 0.0, "given")])
def test_bounds_buy_clean_rows_while_there_are_any(of):
    pool, is_noisy = make_pool(20), torch.arange(20) % 4 != 2  # 2, 6, 10, 14, 18 are clean
    bound = CleanOnly(of)
    bound.see(torch.arange(20) % 3, is_noisy)
    assert sorted(bound.query(fitted_on(pool), pool, 5, stream(0, "q")).tolist()) == [2, 6, 10, 14, 18]
    ids = bound.query(fitted_on(pool), pool, 9, stream(0, "q"))
    assert len(set(ids.tolist())) == 9
    assert not is_noisy[ids[:5]].any()
    assert bound.cheats


@pytest.mark.parametrize("of", [KeepsCount(), Balanced(), strategy("lhd"), CleanOnly(Balanced())])
def test_state_declarations_and_hidden_labels_pass_through(of):
    wrapped = Once(of, 0.0, "given")
    assert (wrapped.reads_snapshot, wrapped.cheats) == (of.reads_snapshot, of.cheats)
    check_strategy(wrapped, seeds=[0])


class AlsoReadsTargets(Once):
    """A wrapper that reads more than what it wraps."""

    reads_targets = True
    needs_network = False


def test_declarations_of_a_wrapper_hold_beside_those_of_what_it_wraps():
    wrapped = Once(AlsoReadsTargets(strategy("lhd"), 0.0, "given"), 0.0, "given")
    assert (wrapped.reads_targets, wrapped.reads_snapshot, wrapped.needs_network) == (True, True, True)
    assert not Once(Random(), 0.0, "given").reads_targets


@pytest.mark.parametrize(
    ("alg", "message"),
    [
        ({"of": {"beta": -1.0}, "near": 0.0}, r"^alg\.of\.beta=-1\.0: must be above 0"),
        ({"of": {"beta": 1.0}, "near": -1.0}, r"^alg\.near=-1\.0: must be 0 or more"),
        ({"of": {"beta": 1.0, "of": {"_target_": "hetal.algs.Random"}}, "near": 0.0}, r"^alg\.of\.of: Random gives"),
    ],
)  # fmt: skip
def test_a_setting_out_of_range_is_named_where_it_stands(alg, message):
    score = {"_target_": "hetal.algs.BALD", "n_passes": 5}
    of = {"_target_": "hetal.algs.Power", "of": score} | alg["of"]
    with pytest.raises(BadInput, match=message):
        build_part({"alg": {"_target_": "hetal.algs.Once", "features": "given"} | alg | {"of": of}}, "alg")
    start = {"_target_": "hetal.algs.KMeans", "features": "given", "max_iterations": 0}
    with pytest.raises(BadInput, match=r"^start\.max_iterations=0 of kmeans: must be at least 1$"):
        build_part({"start": start}, "start")


def test_what_is_wrapped_is_checked_too():
    pool = make_pool()
    with pytest.raises(BadInput, match=r"^alg\.of: TooMany: query returned 5 ids; asked for were 3 distinct"):
        Once(TooMany(), 0.0, "given").query(fitted_on(pool), pool, 3, stream(0, "q"))
    with pytest.raises(BadInput, match=r"^alg\.near=-0\.1: must be 0 or more, and finite$"):
        Once(Random(), -0.1, "given")
    once = Once(Once(BALD(5), 0.0, "given"), 0.0, "given")
    with pytest.raises(BadInput, match=r"^alg\.of\.of=bald needs a model with dropout"):
        once.check(torch.nn.Linear(2, 2))


def test_names_hold_those_of_what_is_wrapped():
    chosen = {"alg": "once", "alg@alg.of": "power", "alg@alg.of.of": "margin"}
    power = {"_target_": "x.Power", "name": "power 2 {of}", "of": {"_target_": "x.Score"}}
    node = with_names_of_wrapped({"_target_": "x.Once", "name": "once {of}", "of": power}, chosen)
    assert node == {
        "_target_": "x.Once", "name": "once power 2 margin",
        "of": {"_target_": "x.Power", "of": {"_target_": "x.Score"}},
    }  # fmt: skip
    assert with_names_of_wrapped({"_target_": "x.A", "of": {"_target_": "x.B"}}, {})["name"] == "A B"
    assert with_names_of_wrapped({"_target_": "x.A", "of": 3}, {}) == {"_target_": "x.A", "of": 3}
    for value in (True, 3.5, [1]):
        with pytest.raises(BadInput, match=r"^alg\.name=.*: must be text, a whole number, or null$"):
            with_names_of_wrapped({"name": value, "of": {"_target_": "x.B"}}, {})
    null = with_names_of_wrapped({"name": "power None {of}", "of": {"_target_": "x.B"}}, {})
    assert strategy_name({"alg": null}, "power") == "power null B"
    with pytest.raises(
        BadInput, match=r"^alg\.of=lhd_published: sets more than a strategy, and cannot be wrapped"
    ):
        with_names_of_wrapped({"of": {"alg": {}}}, {"alg@alg.of": "lhd_published"})


def test_what_is_wrapped_is_chosen_like_any_value():
    words = ["alg=once", "alg.of=badge", "alg.of.of=x", "+alg.of=y", "alg.of.ridge=1", "alg.of={a: 1}"]
    options = ["alg=once", "alg@alg.of=badge", "alg@alg.of.of=x", "alg@alg.of=y", *words[4:]]
    assert as_options(words) == options
    assert as_typed(options) == [word.lstrip("+") for word in words]


def test_a_setting_of_what_is_wrapped_may_be_one_that_its_default_lacks():
    words = ["alg=once", "alg.of=fisher,bait", "alg.of.ridge=1", "alg.near=0"]
    assert as_options(words) == ["alg=once", "alg@alg.of=fisher,bait", "alg.of.ridge=choice(1)", "alg.near=0"]
    assert as_options(["alg=once,power", "alg.of=bald"]) == ["alg=once,power", "alg@alg.of=choice(bald)"]


def test_a_wrapped_strategy_runs_from_the_command_line(tmp_path, capsys):
    run_here(*TOY, "alg=once", "alg.of=oracle_random", "alg.of.of=entropy", root=tmp_path)
    assert only(tmp_path).name.startswith("once_oracle_entropy-")
    said = capsys.readouterr().out
    assert "once oracle_entropy digits class x4 mlp s0 (bound)" in said
    assert "; a bound, which saw hidden labels" in said
    (rounds,) = records(tmp_path).values()
    assert [r["clean_share"] for r in rounds] == [1, 1, None]
    (run,) = read([tmp_path]).runs
    assert run.label == "once oracle_entropy (bound)"
    assert {"alg.of=oracle_random", "alg.of.of=entropy"} < set(as_typed(run.overrides))


def test_bounds_are_marked_and_take_no_part_in_comparisons():
    sees = ("alg=b sees hidden labels: a bound",)
    assert marked("b", sees) == "b (bound)"
    assert marked("b", ["start sees hidden labels: a bound"]) == "b"
    runs = [
        dataclasses.replace(
            make_run(alg if alg != "b" else "b (bound)", seed, [0.5, 0.6, top + seed / 100]),
            sees=sees if alg == "b" else (),
        )
        for alg, top in (("b", 0.9), ("a", 0.7), ("random", 0.6))
        for seed in range(3)
    ]
    analysis = analyse(study_of(Reading(runs)))
    (verdict,) = analysis.verdicts
    assert (verdict.leader, verdict.second) == ("a", "random")
    assert [(c.first, c.second) for c in analysis.comparisons[verdict.setting]] == [("a", "random")]
    assert [*analysis.ranking.ranks] == ["a", "random"]
    page = render(analysis, "t")
    assert "b (bound)" in page
    assert "class=best" in page
    assert re.search(r"<li[^>]* class='leader' title='a: ", page)
    assert re.search(r"<li[^>]* title='b \(bound\): ", page)
    assert not re.search(r"class='\w+' title='b \(bound\): ", page)  # neither the leader nor as good as it
    alone = analyse(study_of(Reading(runs[:3])))
    assert alone.verdicts[0].leader == "b (bound)"


def test_a_score_without_ties_is_unchanged_by_once():
    pool = make_pool()
    first = Score(lambda probs_MC: probs_MC[:, 0])
    bought = [
        alg.query(fitted_on(pool), pool, 5, stream(0, "q")).tolist()
        for alg in (first, Once(first, 0.0, "given"))
    ]
    assert bought[0] == bought[1]
