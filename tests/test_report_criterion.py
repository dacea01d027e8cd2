"""The report by any measure and any baseline, over budgets that differ, with names of the user's own."""

import dataclasses
from functools import partial

import numpy as np
import pytest
from scipy import stats

from hetal.errors import BadInput
from hetal.record.measures import DERIVED, MEASURES, OF_A_ROUND, Measure
from hetal.report import make
from hetal.report.analyse.analysis import analyse, study_of
from hetal.report.analyse.comparisons import comparisons_of, verdict_of
from hetal.report.analyse.criterion import Criterion, check_held, check_target, measures_named, measures_of
from hetal.report.analyse.curves import charts_of
from hetal.report.analyse.numbers import numbers_of
from hetal.report.analyse.penalties import checkpoints_of, penalties_of
from hetal.report.analyse.ranking import ranking_of
from hetal.report.analyse.series import is_known, series
from hetal.report.analyse.setting import setting_of
from hetal.report.files.latex import latex
from hetal.report.load import reading
from hetal.report.load.names import Names, names_in, renamed, unknown
from hetal.report.load.reading import Reading
from hetal.report.load.records import read_run
from hetal.report.make import Memory, report
from hetal.report.page.render import render
from hetal.report.page.settings import heat_map, records_of
from tests.synthetic import make_run, write_run

BY_NLL = Criterion(MEASURES["nll"])


def with_fields(run, **fields):
    """Return a run with other values in its rounds: a list of one for each, or one value for all."""
    rounds = [
        {**row, **{k: v[t] if isinstance(v, list) else v for k, v in fields.items()}}
        for t, row in enumerate(run.rounds)
    ]
    return dataclasses.replace(run, rounds=tuple(rounds))


def by_nll(label, seed, nll, **changes):
    """Return a run whose accuracy is the same throughout, with some negative log-likelihoods."""
    return with_fields(make_run(label, seed, [0.5] * len(nll), **changes), nll=list(nll))


@pytest.fixture
def falling():
    """Six seeds of two strategies: a ends lower than random throughout, and so is better."""
    noise = np.random.default_rng(0).normal(0, 0.01, (6, 3))
    runs = [by_nll("random", s, np.array([2.0, 1.6, 1.2]) + noise[s]) for s in range(6)]
    return runs + [by_nll("a", s, np.array([2.0, 1.2, 0.8]) + noise[s]) for s in range(6)]


def test_where_less_is_better_the_least_leads(falling):
    found = setting_of("d n m", falling, BY_NLL)
    verdict = verdict_of(found, comparisons_of(found))
    assert (verdict.leader, verdict.beaten) == ("a", 1)
    (c,) = comparisons_of(found)
    assert (c.first, c.wins, c.losses, c.is_ahead) == ("a", 6, 0, True)
    assert c.difference.mean == pytest.approx(
        1.3 - 1.6
    )  # trapezoids over 10, 20, 30 labels; the noise is common
    assert ranking_of([found]).ranks == {"a": 1.0, "random": 2.0}
    assert penalties_of(found)["a", "random"] > 0
    assert penalties_of(found)["random", "a"] == 0


def test_labels_to_a_target_where_less_is_better(falling):
    found = numbers_of(setting_of("d n m", falling, BY_NLL))["a"]
    # Random ends at 1.2, where a is with 20 labels, but for the noise of a seed; with 30 it is below.
    noise = np.random.default_rng(0).normal(0, 0.01, (6, 3))
    assert found.reach.mean == np.where(noise[:, 1] <= noise[:, 2], 20, 30).mean()
    assert (found.reached, found.paired) == (6, 6)
    given = numbers_of(setting_of("d n m", falling, Criterion(MEASURES["nll"], target=1.9)))["random"]
    assert given.reach.mean == 20


def test_the_best_is_bold_in_latex_where_less_is_better(falling):
    numbers = numbers_of(setting_of("d n m", falling, BY_NLL)).values()
    text = latex([*numbers], BY_NLL)
    assert "negative log-likelihood" in text
    assert "percent" not in text
    (bold,) = {line.split(" & ")[0] for line in text.splitlines() if r"\textbf" in line}
    assert bold == "a"


def test_checkpoints_of_a_measure_that_falls():
    curves = [[3, 2, 1.009, 1, 1, 1]] * 2
    found = setting_of("d n m", [by_nll("random", s, c) for s, c in enumerate(curves)], BY_NLL)
    assert checkpoints_of(found) == [20, 30]


def test_the_page_says_the_unit_of_its_measure(falling):
    html = render(analyse(study_of(Reading(tuple(falling)), BY_NLL)), "t")
    assert "leads by 0.300 [0.300, 0.300] nats over <b>random</b>" in html
    assert "<p>+0.300 [+0.300, +0.300] nats over <b>random</b>" in html  # for the better, in a card too
    assert "AULC of negative log-likelihood</button>" in html
    assert "the smallest first" in html
    assert " points" not in html.partition("<script")[0]


@pytest.mark.parametrize("measure", [m.key for m in (*OF_A_ROUND, *DERIVED) if m.better and is_known(m.key)])
def test_every_measure_makes_a_page(measure):
    runs = [
        with_fields(make_run(label, s, [0.1 * s + 0.2, 0.4, 0.5]), seconds={"train": 1.0 + s}, epochs=s + 1)
        for label in ("random", "a")
        for s in range(2)
    ]
    (chosen,) = measures_named(measure)
    html = render(analyse(study_of(Reading(tuple(runs)), Criterion(chosen))), "t")
    assert f"<b>{Criterion(chosen).name}</b>" not in html  # there is one page only
    assert len(series(runs[0], measure)) == 3


def test_pages_of_other_measures_link_to_what_only_the_first_has(falling):
    unfinished = dataclasses.replace(falling[0], seed=9, summary=None)
    analysis = analyse(study_of(Reading((*falling, unfinished)), BY_NLL))
    assert '<a href="#completeness">2 missing' in render(analysis, "t")
    assert '<a href="index.html#completeness">2 missing' in render(analysis, "t", is_whole=False)


def test_measures_have_names_and_charts_of_their_own():
    known = measures_named(",".join(m.key for m in (*OF_A_ROUND, *DERIVED) if m.better and is_known(m.key)))
    assert len({Criterion(m).name for m in known}) == len(known)  # by which pages are linked
    for measure in known:
        keys = [chart.key for chart in charts_of(measure)]
        assert len({*keys}) == len(keys)


def test_a_measure_that_no_run_has_is_refused():
    runs = [make_run("a", 0, [0.1, 0.2])]
    check_held([MEASURES["nll"]], runs)
    with pytest.raises(BadInput, match=r"^--measure cost_so_far: no run has it$"):
        check_held([MEASURES["nll"], MEASURES["cost_so_far"]], runs)


def test_two_strategies_may_have_the_best_mean_rank():
    level = {"one": {"a": 0.5, "b|": 0.6, "c": 0.4}, "two": {"a": 0.6, "b|": 0.5, "c": 0.4}}
    runs = [make_run(a, 0, [v] * 2, setting=at) for at, values in level.items() for a, v in values.items()]
    html = render(analyse(study_of(Reading(tuple(runs)))), "t")
    assert "<b>a</b> has the best mean rank, 1.50 of 3, as has b|." in html
    assert "data-labels='a\nb|'" in html  # by which pairs are filtered, whatever names hold


def test_a_target_is_a_value_that_its_measure_can_have():
    for target, measure in ((-0.1, "accuracy"), (1.1, "accuracy"), (-0.1, "nll")):
        with pytest.raises(BadInput, match=rf"^--target {target}: must be "):
            check_target(target, MEASURES[measure])
    check_target(1.1, MEASURES["nll"])
    check_target(-0.1, Measure("measures/mine", "mine", "number", "higher"))


def test_a_measure_of_purchases_ends_before_the_last_round():
    runs = [
        with_fields(make_run("random", s, [0.1, 0.2, 0.3]), clean_share=[0.2, 0.4, None]) for s in range(2)
    ]
    found = setting_of("d n m", runs, Criterion(MEASURES["clean_share"]))
    assert found.grids["random"] == (10, 20)
    assert found.area["random"][0] == pytest.approx(0.3)


def test_a_run_without_the_measure_is_not_compared():
    runs = [make_run("random", 0, [0.1, 0.2]), with_fields(make_run("old", 0, [0.1, 0.2]), nll=None)]
    assert [*setting_of("d n m", runs, BY_NLL).curves] == ["random"]


# Which measures


def varied(seed, **changes):
    run = make_run("random", seed, [0.5, 0.6, 0.7])
    balanced = {"balanced_accuracy": [0.3, 0.4, 0.5], "macro_f1": [0.4, 0.5, 0.6]}
    run = with_fields(run, nll=[1.5, 1.2, 1.0], ece=[0.2, 0.1, 0.15], **balanced)
    return dataclasses.replace(run, **changes)


def test_the_usual_measures_are_those_that_tell_runs_apart():
    measures, why = measures_of([varied(0), varied(1, label="a")])
    assert ([m.key for m in measures], why) == (
        ["accuracy", "balanced_accuracy", "macro_f1", "nll", "ece"],
        "",
    )
    # Of a balanced test set accuracy and its balanced form are the same; what never changes says nothing.
    measures, _ = measures_of([make_run("random", 0, [0.1, 0.2])])
    assert [m.key for m in measures] == ["accuracy"]


@pytest.mark.parametrize(
    ("pool", "where"),
    [
        ({"test_per_class": [100, 2]}, "the test set of d n m has 50"),
        ({"clean_per_class": [100, 0], "images_per_class": [90, 1]}, "the pool of d n m has 90"),
    ],
)
def test_imbalanced_classes_lead_with_balanced_accuracy_and_say_why(pool, where):
    measures, why = measures_of([varied(0), varied(1, label="a", pool=pool)])
    assert [m.key for m in measures][:2] == ["balanced_accuracy", "accuracy"]
    assert where in why
    html = render(analyse(study_of(Reading((varied(0),)), Criterion(measures[0], why=why))), "t")
    assert where in html


def test_a_little_imbalance_is_none():
    assert measures_of([varied(0, pool={"test_per_class": [40, 10], "clean_per_class": [100, 21]})])[1] == ""
    # All noise is of the second class: it has few clean rows, but as many images, or many near copies.
    for images in ([100, 100], [100, 500]):
        pool = {"clean_per_class": [100, 2], "images_per_class": images}
        assert measures_of([varied(0, pool=pool)])[1] == ""
    assert measures_of([varied(0, pool={"clean_per_class": [100, 2]})])[1] == ""  # not known


# Budgets


def test_budgets_that_differ_are_compared_over_the_labels_that_all_have():
    rising = [0.2, 0.4, 0.6, 0.8, 1.0]
    runs = [make_run("random", s, rising[:4]) for s in range(3)] + [make_run("random", 3, rising)]
    runs += [make_run("a", s, [0.3, 0.6, 0.8]) for s in range(4)]
    found = setting_of("d n m", runs)
    assert found.grids == {"a": (10, 20, 30), "random": (10, 20, 30)}
    assert found.area["random"] == pytest.approx(dict.fromkeys(range(4), 0.4))
    (c,) = comparisons_of(found)
    assert (c.n, c.shared) == (4, 3)
    reach = numbers_of(found)["a"]
    assert (reach.reach.mean, reach.paired, reach.reached) == (
        20,
        4,
        4,
    )  # random ends at 0.6, within what all have
    assert found.cut == "d n m: compared up to 30 labels, where a ends; others go on, to 50 at most"
    assert found.left_out == ()
    assert found.cut in render(analyse(study_of(Reading(tuple(runs)))), "t")


def test_a_run_that_ends_before_the_others_of_its_strategy_is_left_out():
    runs = [make_run("random", s, [0.2, 0.4, 0.6]) for s in range(2)] + [make_run("random", 2, [0.2, 0.4])]
    found = setting_of("d n m", runs)
    assert [*found.finished["random"]] == [0, 1]
    assert found.left_out == ("d n m: random ended before 30 labels at seed 2: left out",)
    assert found.cut == ""


def test_budgets_in_other_steps_are_compared_up_to_the_last_labels_in_common():
    runs = [make_run("random", s, [0.2, 0.4, 0.6, 0.8, 1.0], grid=(20, 40, 60, 80, 100)) for s in range(2)]
    runs += [make_run("a", s, [0.2, 0.5, 0.8, 0.9], grid=(20, 50, 80, 110)) for s in range(2)]
    found = setting_of("d n m", runs)
    assert found.grids == {"a": (20, 50, 80), "random": (20, 40, 60, 80)}
    assert found.area["a"] == pytest.approx({0: 0.5, 1: 0.5})
    assert found.cut == "d n m: compared up to 80 labels, which all have; others go on, to 110 at most"
    runs += [make_run("b", s, [0.2, 0.5], grid=(20, 95)) for s in range(2)]
    assert setting_of("d n m", runs).grids["random"] == (20, 40, 60, 80)  # only the start is common to all


def test_a_strategy_ends_where_most_of_its_runs_do():
    rising = [0.2, 0.4, 0.6, 0.8]
    runs = [make_run("a", 0, rising)] + [make_run("a", s, rising[:2]) for s in (1, 2)]
    runs += [make_run("random", s, rising) for s in range(3)]
    found = setting_of("d n m", runs)
    assert found.grids == {"a": (10, 20), "random": (10, 20)}
    assert ([*found.finished["a"]], found.left_out) == ([0, 1, 2], ())
    assert found.cut.startswith("d n m: compared up to 20 labels, where a ends")


def test_a_leader_that_is_behind_at_the_shared_labels_has_no_significant_lead():
    runs = [make_run("random", s, [0.5, 0.1, 0.6], grid=(10, 30, 50)) for s in range(5)]
    runs += [make_run("a", s, [0.4, 0.5, 0.5, 0.5], grid=(10, 20, 40, 50)) for s in range(5)]
    found = setting_of("d n m", runs)
    verdict = verdict_of(found, comparisons_of(found))
    assert (verdict.leader, verdict.comparison.difference.mean) == ("a", pytest.approx(-0.1))
    assert (verdict.comparison.t_holm, verdict.is_significant) == (0, False)


def test_a_bound_does_not_cut_the_budget_of_those_that_are_compared():
    sees = ("alg=oracle_random sees hidden labels: a bound",)
    runs = [make_run(label, s, [0.2, 0.4, 0.6]) for label in ("random", "a") for s in range(2)]
    runs += [make_run("oracle_random (bound)", s, [0.3, 0.5], sees=sees) for s in range(2)]
    found = setting_of("d n m", runs)
    assert found.grids == {"random": (10, 20, 30), "a": (10, 20, 30)}
    assert found.left_out == ("d n m: oracle_random (bound) ends at 20 labels, before 30: left out",)
    assert found.cut == ""
    alone = setting_of("d n m", runs[4:])
    assert alone.grids == {"oracle_random (bound)": (10, 20)}


def test_a_budget_of_one_more_run_makes_no_numbers_go_blank():
    runs = [make_run(label, s, [0.2, 0.4, 0.6]) for label in ("random", "a") for s in range(3)]
    runs += [make_run(label, 3, [0.2, 0.4, 0.6, 0.7]) for label in ("random", "a")]
    found = numbers_of(setting_of("d n m", runs))["a"]
    assert (found.n, found.paired, found.reach.mean) == (4, 4, 30)


@pytest.mark.parametrize("criterion", [Criterion(), BY_NLL], ids=["accuracy", "nll"])
def test_equal_strategies_of_unequal_budgets_differ_at_the_rate_of_the_test(criterion):
    rng, n_settings, n_seeds = np.random.default_rng(1), 400, 6
    found = 0
    for _ in range(n_settings):
        common = rng.normal(0, 0.05, n_seeds)
        runs = []
        for label, n_rounds in (("random", 3), ("a", 4)):
            curves = np.clip(0.5 + common[:, None] + rng.normal(0, 0.05, (n_seeds, n_rounds)), 0, 1)
            runs += [
                with_fields(make_run(label, s, curve), nll=curve.tolist()) for s, curve in enumerate(curves)
            ]
        (c,) = comparisons_of(setting_of("d n m", runs, criterion))
        found += c.t_holm < 0.05
    low, high = stats.binom.ppf([5e-5, 1 - 5e-5], n_settings, 0.05)
    assert low <= found <= high


# Names


def test_names_rename_order_and_choose_the_baseline(tmp_path):
    path = tmp_path / "report.yaml"
    path.write_text(
        "title: Noise\nstrategies: {b: Margin , random: Chance, a: ' '}\nsettings: [two, one]\nbaseline: b\n"
        "colours: {Margin: '#123456'}\n"
    )
    names = names_in(path)
    runs = [
        make_run(label, s, [0.1, 0.4], setting=at)
        for label in ("a", "b", "random")
        for s in range(2)
        for at in ("one", "two")
    ]
    named = renamed(Reading(tuple(runs)), names)
    study = study_of(named, Criterion(baseline=names.strategy("b")), names)
    assert [s.name for s in study.settings] == ["two", "one"]
    assert [*study.looks] == ["Chance", "a", "Margin"]  # the baseline last
    assert study.looks["Margin"][0] == "#123456"
    assert numbers_of(study.settings[0])["Chance"].paired == 2
    html = render(analyse(study), "t")
    assert "labels to Margin&#39;s final accuracy" in html
    assert ">random<" not in html


def test_bounds_keep_their_mark_and_are_drawn_apart():
    names = Names(strategies={"oracle_random": "Clean only"})
    bound = make_run(
        "oracle_random (bound)", 0, [0.1], sees=("alg=oracle_random sees hidden labels: a bound",)
    )
    named = renamed(Reading((bound, make_run("a", 0, [0.2]))), names)
    assert named.runs[0].label == "Clean only (bound)"
    looks = study_of(named).looks
    assert [*looks] == ["a", "Clean only (bound)"]
    assert looks["Clean only (bound)"][1] == ":"


def test_a_bound_is_named_with_or_without_its_mark():
    sees = ("alg=oracle_random sees hidden labels: a bound",)
    runs = [make_run("oracle_random (bound)", 0, [0.1], sees=sees), make_run("a", 0, [0.2])]
    for given in ("oracle_random", "oracle_random (bound)", "Clean only"):
        names = Names(strategies={"oracle_random": "Clean only"}, colours={given: "#123456"})
        named = renamed(Reading(tuple(runs)), names)
        assert study_of(named, names=names).looks["Clean only (bound)"][0] == "#123456"
        assert names.among(given, ["Clean only (bound)", "a"]) == "Clean only (bound)"
        assert names.in_order(["a", "Clean only (bound)"]) == ["Clean only (bound)", "a"]


def test_names_of_nothing_are_told_and_two_of_one_refused():
    runs = Reading((make_run("a", 0, [0.1]), make_run("b", 0, [0.1])))
    names = Names(strategies={"bage": "B"}, settings={"d": "D"}, baseline="c", colours={"e": "#000000"})
    given = (("strategies", "bage"), ("settings", "d"), ("colours", "e"), ("baseline", "c"))
    assert unknown(runs, names) == [f"{where}: {key}: no run is of it" for where, key in given]
    with pytest.raises(
        BadInput, match=r"^strategies: a and b would both be B; each needs a name of its own$"
    ):
        renamed(runs, Names(strategies={"a": "B", "b": "B"}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("strategy: {a: b}", r"^report\.yaml: strategy: no such setting; there are title, strategies, "),
        ("[1, 2]", r"^report\.yaml: must hold title, "),
        ("strategies: 3", r"^report\.yaml: strategies: must be names, such as \{badge: BADGE\}, not 3"),
        ("strategies: {a: [b]}", r"^report\.yaml: strategies\.a: must be text, not \['b'\]"),
        ("colours: {a: red}", r"^report\.yaml: colours\.a: must be a colour such as '#0072b2', not red"),
        ("title: [a]", r"^report\.yaml: title: must be text"),
        ("a: [", r"report\.yaml"),
    ],
)  # fmt: skip
def test_bad_names_are_one_line(tmp_path, text, message):
    (tmp_path / "report.yaml").write_text(text)
    with pytest.raises(BadInput, match=message):
        names_in(tmp_path / "report.yaml")


# Over settings


def test_wins_and_the_heat_map_over_settings():
    noise = partial(np.random.default_rng(2).normal, 0, 0.005)
    level = {"one": {"random": 0.5, "a": 0.7, "b": 0.5}, "two": {"random": 0.6, "a": 0.5, "b": 0.6}}
    runs = [
        make_run(label, s, np.clip(value + noise(3), 0, 1), setting=at)
        for at, values in level.items()
        for label, value in values.items()
        for s in range(6)
    ]
    analysis = analyse(study_of(Reading(tuple(runs))))
    by_label = {r.label: (r.wins, r.ties, r.losses) for r in records_of(analysis)}
    assert by_label == {"a": (2, 0, 2), "b": (1, 2, 1), "random": (1, 2, 1)}
    heat = heat_map(analysis)
    assert heat.against == "random"
    a = heat.rows["one"]["a"], heat.rows["two"]["a"]
    assert [(cell.is_better, cell.is_apart) for cell in a] == [(True, True), (False, True)]
    assert a[0].is_best
    assert a[0].depth == 1 > a[1].depth > 0.3
    assert not heat.rows["one"]["b"].is_apart
    one_seed = heat_map(analyse(study_of(Reading(tuple(run for run in runs if run.seed == 0)))))
    assert one_seed.rows["one"]["b"].is_apart  # nothing was tested
    html = render(analysis, "t")
    assert "Over all settings" in html
    assert "Over all settings" not in render(analyse(study_of(Reading(tuple(runs[:18])))), "t")


def test_a_report_made_again_reads_and_draws_what_has_changed_only(tmp_path, monkeypatch):
    one = write_run(tmp_path, "alg=random", sealed=True)
    write_run(tmp_path, "alg=badge", sealed=True)
    study, out, memory = one.parent, tmp_path / "out", Memory()
    report([study], out, "", with_pictures=False, memory=memory)
    drawn = []
    monkeypatch.setattr(make, "draw", lambda chart, looks: drawn.append(chart.path.name))
    monkeypatch.setattr(
        reading, "read_run", lambda folder, configs: drawn.append(folder) or read_run(folder, configs)
    )
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    report([study], out, "", with_pictures=False, memory=memory)
    assert drawn == []
    (out / "accuracy.svg").unlink()
    report([study], out, "", with_pictures=False, memory=memory)
    assert drawn == ["accuracy"]
    another = write_run(tmp_path, "alg=random", seed=1, sealed=True, accuracy=(0.6, 0.7, 0.8, 0.9))
    report([study], out, "", with_pictures=False, memory=memory)
    assert drawn[1] == another
    assert {"accuracy", "time"} <= {*drawn[2:]}
    (out / "cost.html").write_text("a page of the user's own")
    for measures in ("accuracy,nll", "accuracy"):
        report([study], out, "", with_pictures=False, measures=measures, memory=memory)
        assert (out / "nll.html").exists() == ("nll" in measures)
    assert (out / "cost.html").exists()
