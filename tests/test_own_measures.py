"""Measures of the user's own: how they are set, called and fenced in, and what record and report make of them."""

import csv
import dataclasses
import functools
import json
import math
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import hetal
from hetal.app.compose import build_experiment, check_config
from hetal.app.launch import resolved
from hetal.errors import BadInput
from hetal.guard.measures import check_measures, own_values
from hetal.record.measures import MEASURES
from hetal.record.provenance import made_by
from hetal.report import dashboard
from hetal.report.analyse.analysis import analyse, study_of
from hetal.report.analyse.criterion import Criterion, measures_named, measures_of
from hetal.report.analyse.curves import charts_of
from hetal.report.analyse.own import own_measures
from hetal.report.analyse.series import series
from hetal.report.files.charts import chart_figures
from hetal.report.files.latex import latex
from hetal.report.files.tables import write_tables
from hetal.report.load.names import Called, Names, names_in, unknown
from hetal.report.load.own import MOST, own_ranges
from hetal.report.load.reading import Reading, read
from hetal.report.page.render import render
from hetal.report.stats.curves import checkpoints
from hetal.watch.wandb_media import history
from tests.command_line import TOY, composed, only, run_here
from tests.synthetic import make_run, write_run

CPU = torch.device("cpu")
HERE = "tests.test_own_measures"
PROBS_NC = torch.tensor([[0.7, 0.3], [0.4, 0.6], [0.9, 0.1]])
LABELS_N = torch.tensor([0, 1, 1])


def worst_class_recall(probs_NC, labels_N):
    right_N = probs_NC.argmax(1) == labels_N
    return min(float(right_N[labels_N == c].float().mean()) for c in labels_N.unique())


def top(probs_NC, labels_N, k: int):
    return (probs_NC.topk(k).indices == labels_N[:, None]).any(1).double().mean()


class Top:
    def __init__(self, k: int) -> None:
        self.k = k

    def __call__(self, probs_NC, labels_N):
        return top(probs_NC, labels_N, self.k)


class Remembers:
    def __init__(self) -> None:
        self.last = None

    def __call__(self, probs_NC, labels_N):
        self.last = probs_NC
        return 0.5


def of_one(probs_NC):
    return 0.5


WORST = {"_target_": f"{HERE}.worst_class_recall", "_partial_": True}


def values(measure, t=0):
    return own_values({"mine": measure}, PROBS_NC, LABELS_N, 0, t, CPU)


# How they are set


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return resolved(composed(*TOY, root=tmp_path_factory.mktemp("root")))


@pytest.mark.parametrize(
    ("name", "node", "message"),
    [
        ("mine", 3, "measures.mine=3: must be a function, given by its _target_ and _partial_: true"),
        ("mine", {"k": 3}, "measures.mine={k:3}: must be a function"),
        ("mine", {"_target_": f"{HERE}.nothing", "_partial_": True}, f"measures.mine._target_={HERE}.nothing: "),
        ("mine", {"_target_": [1]}, "measures.mine._target_=[1]: must be text"),
        ("mine", {"_target_": f"{HERE}.top"}, f"measures.mine._partial_=false: must be true, since {HERE}.top"),
        ("mine", {"_target_": f"{HERE}.top", "_partial_": True}, "measures.mine.k is not set; it must be a whole"),
        ("mine", {"_target_": f"{HERE}.Top"}, "measures.mine.k is not set; it must be a whole number"),
        ("mine", {"_target_": f"{HERE}.Top", "k": 1.5}, "measures.mine.k=1.5: must be a whole number"),
        ("mine", {"_target_": f"{HERE}.Top", "n": 1}, "measures.mine.n: no such setting"),
        (
            "mine", {"_target_": f"{HERE}.of_one", "_partial_": True},
            f"measures.mine._target_={HERE}.of_one: cannot be called as measures.mine is, with 2 arguments",
        ),
        ("Mine", WORST, "measures.Mine: the name of a measure is of a-z"),
        ("m" * 41, WORST, f"measures.{'m' * 41}: the name of a measure is of a-z"),
        (1, WORST, "measures.1: the name of a measure is of a-z"),
        ("accuracy", WORST, "measures.accuracy: a round holds something of that name already; it needs another"),
        ("clean_share_so_far", WORST, "measures.clean_share_so_far: a round holds something"),
    ],
)  # fmt: skip
def test_what_is_no_measure_is_refused_in_one_line(config, name, node, message):
    with pytest.raises(BadInput) as error:
        check_config({**config, "measures": {name: node}})
    assert str(error.value).startswith(message)


def test_no_more_than_a_round_can_hold(config):
    with pytest.raises(BadInput, match=r"^measures: 21 of them; there may be 20$"):
        check_config({**config, "measures": {f"m{i}": WORST for i in range(21)}})


def test_functions_and_objects_are_built_and_are_no_code_of_the_run(config):
    given = {**config, "measures": {"worst": WORST, "top2": {"_target_": f"{HERE}.Top", "k": 2}}}
    check_config(given)
    measures = build_experiment(given, "badge").measures
    assert measures["worst"](PROBS_NC, LABELS_N) == 0.5
    assert measures["top2"](PROBS_NC, LABELS_N) == 1
    assert made_by(given) == made_by(config)


def test_one_that_is_set_without_a_plus_is_told_how():
    with pytest.raises(BadInput, match=r"^measures\.mine: there is none; \+measures\.mine=\.\.\. adds it$"):
        hetal.run("measures.mine={_target_: a.b}")


# How they are called


def test_a_value_is_a_float_whatever_number_it_is():
    for one in (1, np.float32(1), torch.tensor(1), torch.tensor([[1.0]]), np.array([1])):
        value = values(lambda probs_NC, labels_N, one=one: one)["mine"]
        assert (type(value), value) == (float, 1.0)
    assert own_values({}, PROBS_NC, LABELS_N, 0, 0, CPU) is None


@pytest.mark.parametrize(
    ("gives", "message"),
    [
        (math.nan, "measures.mine gives nan in round 3; it must give a finite number, within"),
        (torch.tensor(-math.inf), "measures.mine gives -inf in round 3; it must give a finite number"),
        (10**20, "measures.mine gives 1e+20 in round 3; it must give a finite number"),
        ("0.5", "measures.mine gives a str in round 3; it must give a number"),
        (True, "measures.mine gives a bool in round 3"),
        (None, "measures.mine gives a NoneType in round 3"),
        (torch.ones(2), "measures.mine gives torch.float32 of shape (2,) in round 3"),
    ],
)  # fmt: skip
def test_what_is_no_finite_number_is_refused_with_its_round(gives, message):
    with pytest.raises(BadInput) as error:
        values(lambda probs_NC, labels_N: gives, t=3)
    assert str(error.value).startswith(message)


def test_one_that_fails_is_told_in_one_line():
    def fails(probs_NC, labels_N):
        raise KeyError("which")

    with pytest.raises(
        BadInput, match=r"^measures\.mine fails in round 0: KeyError: 'which' \(.*\.py:\d+\)$"
    ):
        values(fails)
    with pytest.raises(BadInput, match=r"^measures\.mine fails: KeyError"):
        check_measures({"mine": fails}, 2, LABELS_N, 0, CPU)
    check_measures({"mine": lambda probs_NC, labels_N: math.nan}, 2, LABELS_N, 0, CPU)  # may be known later


def test_it_writes_to_copies_only():
    def writes(probs_NC, labels_N):
        probs_NC.zero_()
        labels_N.zero_()
        return 0.0

    probs_NC, labels_N = PROBS_NC.clone(), LABELS_N.clone()
    found = own_values({"writes": writes, "worst": worst_class_recall}, probs_NC, labels_N, 0, 0, CPU)
    assert found == {"writes": 0.0, "worst": 0.5}
    assert torch.equal(probs_NC, PROBS_NC)
    assert torch.equal(labels_N, LABELS_N)


def test_it_draws_the_same_whatever_others_there_are_and_leaves_generators_as_they_were():
    def draws(probs_NC, labels_N):
        return float(torch.rand(())) + random.random() + np.random.rand()  # noqa: NPY002

    torch.manual_seed(1)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    alone = values(draws)["mine"]
    assert own_values({"a": draws, "mine": draws}, PROBS_NC, LABELS_N, 0, 0, CPU)["mine"] == alone
    assert values(draws, t=1)["mine"] != alone
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert (np.random.get_state()[1] == before[2]).all()  # noqa: NPY002


def test_it_neither_remembers_nor_changes_the_process():
    with pytest.raises(
        BadInput, match=r"^measures\.mine changed self\.last, which a run that was killed would"
    ):
        values(Remembers())
    counts = []
    with pytest.raises(BadInput, match=r"^measures\.mine changed self\.measure, which a run"):
        values(functools.partial(lambda seen, probs_NC, labels_N: seen.append(1) or 0.5, counts))
    try:
        with pytest.raises(BadInput, match=r"^measures\.mine changed torch\.get_default_dtype\(\)"):
            values(lambda probs_NC, labels_N: torch.set_default_dtype(torch.float64) or 0.5)
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_run_holds_them_and_goes_on_with_others(tmp_path):
    run_here(
        *TOY[:-2],
        *TOY[-2:],
        "+measures.worst={" + f"_target_: {HERE}.worst_class_recall, _partial_: true" + "}",
        root=tmp_path,
    )
    folder = only(tmp_path)
    first = [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]
    assert all(0 <= row["measures"]["worst"] <= row["balanced_accuracy"] for row in first)
    run_here(*TOY, "n_end=100", "+measures.top={" + f"_target_: {HERE}.Top, k: 10" + "}", root=tmp_path)
    assert only(tmp_path) == folder
    rows = [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]
    assert rows[:2] == first[:2]
    assert [row["measures"] for row in rows[2:]] == [{"top": 1.0}] * 2
    _, rounds = hetal.load(folder)
    assert rounds["measures.top"].tolist()[2:] == [1.0, 1.0]
    assert rounds["measures.top"].isna().tolist() == rounds["measures.worst"].notna().tolist()


# The report


def with_own(run, **of_rounds):
    rows = [
        {**row, "measures": {name: given[t] for name, given in of_rounds.items()}}
        for t, row in enumerate(run.rounds)
    ]
    return dataclasses.replace(run, rounds=tuple(rows))


@pytest.fixture(scope="module")
def runs():
    """Return runs in which a is ahead of random by worst_class, and by loss, where it is smaller."""
    return [
        with_own(
            make_run(label, s, [0.5, 0.6, 0.7]),
            worst_class=[0.1 + up, 0.2 + up, 0.3 + up + s / 100], loss=[-1.0 - up, -2.0 - up - s / 100, -3.0 - up],
            flat=[0.5] * 3,
        )
        for label, up in (("random", 0.0), ("a", 0.2))
        for s in range(3)
    ]  # fmt: skip


LOWER = Names(measures={"loss": Called("my loss", "lower")})


def test_a_share_is_what_is_always_between_0_and_1(runs):
    flat, loss, worst = own_measures(runs)
    assert (worst.key, worst.name, worst.unit, worst.better) == (
        "measures/worst_class",
        "worst class",
        "share",
        "higher",
    )
    assert (flat.unit, loss.unit, loss.decimals, loss.scale, loss.step) == ("share", "number", 3, 1, "")
    flat, loss, worst = own_measures(runs, Names(measures={**LOWER.measures, "flat": Called(unit="number")}))
    assert (flat.unit, loss.name, loss.better, loss.title) == ("number", "my loss", "lower", "My loss")
    assert series(runs[0], "measures/loss").tolist() == [-1, -2, -3]
    assert np.isnan(series(runs[0], "measures/none")).all()


def test_those_that_tell_runs_apart_have_pages_after_the_usual_ones(runs):
    own = own_measures(runs)
    assert [m.key for m in measures_of(runs, own)[0]] == ["accuracy", "measures/loss", "measures/worst_class"]
    assert [m.key for m in measures_named("nll,loss, measures/loss", own)] == ["nll", "measures/loss"]
    with pytest.raises(BadInput, match=r"^--measure los: must be of accuracy, .*, flat, loss, worst_class$"):
        measures_named("los", own)
    # One that hetal has goes before one of its name in a record from elsewhere.
    own = own_measures([with_own(make_run("a", 0, [0.5]), nll=[0.1])])
    assert [m.name for m in own] == ["nll"]
    assert measures_named("nll,measures/nll", own) == [MEASURES["nll"], own[0]]


def test_the_page_and_the_tables_have_them(runs, tmp_path):
    own = own_measures(runs, LOWER)
    loss = next(m for m in own if m.key == "measures/loss")
    study = study_of(Reading(tuple(runs)), Criterion(loss), LOWER)
    analysis = analyse(study)
    html = render(analysis, "t")
    assert "AULC of my loss</button>" in html
    assert "the smallest first" in html
    assert "value='measures/worst_class'> Worst class</label>" in html
    (verdict,) = analysis.verdicts
    assert verdict.leader == "a"
    assert verdict.area == pytest.approx(-2.205)
    (figure,) = chart_figures(study, tmp_path, study.charts[:1])
    assert (figure.path, figure.is_share, figure.y) == (tmp_path / "measures-loss", False, "my loss")
    assert charts_of(MEASURES["nll"], own)[0].measure == MEASURES["nll"]
    write_tables([analysis], tmp_path)
    rows = [*csv.DictReader((tmp_path / "rounds.csv").open())]
    assert [row["measures.loss"] for row in rows[:3]] == ["-1.0", "-2.0", "-3.0"]
    assert (tmp_path / "numbers.csv").read_text().splitlines()[1].startswith("measures/loss,d n m,")
    assert ",measures/worst_class,10" in (tmp_path / "curves.csv").read_text()
    table = latex([*analysis.numbers["d n m"].values()], Criterion(loss))
    assert r"a & \textbf{$-$2.205} {\scriptsize [$-$2.2" in table


def test_values_below_0_have_checkpoints():
    assert checkpoints([10, 20, 30, 40, 50], [-3, -2, -1.005, -1, -1]) == [20, 30]
    assert checkpoints([10, 20, 30, 40, 50], [-1, -2, -2.99, -3, -3], -1) == [20, 30]
    assert checkpoints([10, 20, 30], [-1, 0, 0]) == [20]


def test_names_of_two_measures_differ(runs):
    with pytest.raises(BadInput, match=r"^measures: macro_f1 and flat would both be Macro F1; each needs"):
        own_measures(runs, Names(measures={"flat": Called("Macro F1")}))
    with pytest.raises(BadInput, match=r"^measures\.loss: unit: share, but records hold -3\.2 to -1$"):
        own_measures(runs, Names(measures={"loss": Called(unit="share")}))
    (own,) = own_measures([with_own(make_run("a", 0, [0.5]), test_accuracy=[0.1])])
    assert own.name == "measures/test_accuracy"
    assert unknown(Reading(tuple(runs)), Names(measures={"lost": Called()})) == [
        "measures: lost: no run has it"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a]", r"measures: must be settings of measures by name, not \['a'\]"),
        ("{Worst: x}", r"measures\.Worst: no measure of your own has that name"),
        ("{a: {kind: x}}", r"measures\.a\.kind: no such setting; there are name, better, unit"),
        ("{a: {better: up}}", r"measures\.a\.better: must be higher or lower, not up"),
        ("{a: {unit: [m]}}", r"measures\.a\.unit: must be share or number, not \['m'\]"),
        ("{a: {name: [m]}}", r"measures\.a\.name: must be text, not \['m'\]"),
    ],
)  # fmt: skip
def test_bad_names_are_one_line(tmp_path, text, message):
    (tmp_path / "report.yaml").write_text(f"measures: {text}")
    with pytest.raises(BadInput, match=rf"^report\.yaml: {message}"):
        names_in(tmp_path / "report.yaml")
    (tmp_path / "report.yaml").write_text("measures: {a: My a, b: {better: lower, unit: share}, c: }")
    assert names_in(tmp_path / "report.yaml").measures == {
        "a": Called("My a"), "b": Called(better="lower", unit="share"), "c": Called(),
    }  # fmt: skip


def test_records_with_nonsense_are_none(tmp_path):
    bad = [
        {"a": "0.5"}, {"a": None}, {"A": 0.5}, {"a/b": 0.5}, {"<b>": 0.5}, {"a": 1e300}, {"a": [1]}, [0.5], 3,
        {f"m{i}": 0.5 for i in range(21)},
    ]  # fmt: skip
    for seed, measures in enumerate(bad):
        write_run(tmp_path, "alg=random", seed=seed, measures=measures)
    write_run(tmp_path, "alg=random", seed=99, measures={"a": 1})
    found = read([tmp_path])
    assert ([run.seed for run in found.runs], len(found.problems)) == ([99], len(bad))
    assert own_ranges(found.runs) == {"a": (1.0, 1.0)}
    many = [with_own(make_run("a", i, [0.1]), **{f"m{i}": [0.5], "common": [0.5]}) for i in range(2 * MOST)]
    assert len(own_ranges(many)) == MOST
    assert "common" in own_ranges(many)


def test_the_dashboard_calls_them_as_the_report_does(tmp_path, monkeypatch):
    study = write_run(tmp_path, "alg=random", measures={"loss": 1.0}).parent
    (study / "report.yaml").write_text("measures: {loss: {name: my loss, better: lower}}")

    def measures_of(runs, own):
        raise BadInput(f"{own[0].name}, {own[0].better} is better")

    monkeypatch.setattr(dashboard, "measures_of", measures_of)
    with pytest.raises(BadInput, match=r"^my loss, lower is better$"):
        dashboard.make(study, "hetal", None)


def test_trackers_and_the_dashboard_have_them(runs):
    row = SimpleNamespace(**{**dict.fromkeys(MEASURES), **runs[0].rounds[2]})
    shown = history(row, [], 0.2)
    assert (shown["measures/loss"], shown["measures/worst_class"]) == (-3.0, 0.3)
    titles = dashboard._curves(measures_of(runs, own_measures(runs, LOWER))[0], runs)
    assert titles["measures/loss"] == "My loss, lower is better"
    assert titles["measures/worst_class"] == "Worst class"
