"""What the report says of pools: names of noise, kinds of rows, regions, rejected rows; nothing that says nothing."""

import dataclasses
import re

import numpy as np
import pytest

from hetal.app.names import noise_name, with_parts_of_noise
from hetal.record.identity import identify
from hetal.record.overrides import as_typed
from hetal.report.analyse.analysis import analyse, study_of
from hetal.report.analyse.criterion import measures_of
from hetal.report.analyse.kinds import MOST_KINDS, OTHERS
from hetal.report.analyse.pools import pool_shares
from hetal.report.analyse.setting import settings_of
from hetal.report.dashboard import Facet
from hetal.report.files.charts import chart_figures
from hetal.report.files.tables import write_tables
from hetal.report.load.acquired import acquired_rows
from hetal.report.load.labelling import label
from hetal.report.load.reading import Reading, read
from hetal.report.page.acquired import depth
from hetal.report.page.epochs import capped
from hetal.report.page.pictures import Picture, Shown
from hetal.report.page.render import render
from tests.synthetic import make_run, write_queries, write_run
from tests.test_report_tables import read_csv

SYMMETRIC = {"_target_": "hetal.noise.symmetric_noise", "rate": 0.4, "name": "symmetric 0.4"}
BLANK = {"_target_": "hetal.noise.blank_noise", "factor": 4}
POOL = {
    "rows": 200, "images": 101, "right": 60, "rejected": 20, "kinds": {"clean": 50, "symmetric": 50, "blank": 100},
    "regions": [40, 100, 60], "noisy_per_region": [10, 80, 60],
}  # fmt: skip
# Of 20 rows: half of them clean, most of them from the least noisy region.
BOUGHT = {
    "clean_share": 0.5, "right_share": 0.6, "n_rejected": 2,
    "bought_per_kind": {"clean": 10, "symmetric": 8, "blank": 2}, "bought_per_region": [15, 5, 0],
}  # fmt: skip


def run_of(pool, seed=0, label="badge", config=None, **fields):
    run = make_run(label, seed, [0.5, 0.6, 0.7], pool=pool, config=config or {"alg._target_": label})
    rounds = [{**row, **(fields if row["n_bought"] else {})} for row in run.rounds]
    return dataclasses.replace(run, rounds=tuple(rounds))


def analysis_of(*runs):
    return analyse(study_of(Reading(runs)))


def page_of(*runs):
    return render(analysis_of(*runs), "t")


def section(html, name):
    return html.split(f"<section id='{name}'")[1].split("</section>")[0]


def words(html):
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


@pytest.mark.parametrize(
    ("node", "name"),
    [
        ({"name": "symmetric 1.0"}, "symmetric 1"), ({"name": "near_copies 8.0 shift 2"}, "near_copies 8 shift 2"),
        ({"name": "ambiguous [0.3, 0.7]"}, "ambiguous 0.3-0.7"), ({"name": "version 2.0.1"}, "version 2.0.1"),
        ({"name": "asymmetric {2: 7, 3: 8} 0.05"}, "asymmetric 2-7+3-8 0.05"), ({"rate": 0.5}, "mine"),
    ],
)  # fmt: skip
def test_a_noise_is_named_by_itself_or_by_its_option(node, name):
    assert noise_name({"noise": node}, "mine") == name


@pytest.mark.parametrize(
    ("node", "option", "title", "folder"),
    [
        (SYMMETRIC, "symmetric", "symmetric 0.4", "symmetric_0.4"),
        (BLANK, "blank", "blank x4", "blank-x4"),
        ({**BLANK, "factor": 0}, "blank", "blank x0", "blank-x0"),
        ({"of": ["symmetric", "blank"], "parts": {"blank": BLANK, "symmetric": SYMMETRIC, "diverse": BLANK}}, "mixed",
         "symmetric 0.4 + blank x4", "symmetric_0.4+blank_x4"),
        ({"name": "\x1b[2J/.. " + 200 * "x"}, "mine", "__2J_.. " + 52 * "x", "__2J_.._" + 32 * "x"),
    ],
)  # fmt: skip
def test_titles_and_folders_say_the_parameters(node, option, title, folder, tmp_path):
    config = {"name": "n", "root": str(tmp_path), "seed": 3, "noise": with_parts_of_noise(node), "mult": {}}
    chosen = {"alg": "badge", "data": "digits", "noise": noise_name(config, option), "model": "mlp"}
    identity = identify(config, chosen)
    assert identity.title == f"badge digits {title} mlp s3"
    assert identity.group.startswith(f"badge digits {title} mlp ")
    assert identity.dir.name == f"badge-digits-{folder}-mlp-s3-{identity.hash}"


def test_overrides_are_shown_as_they_are_typed():
    job = ["noise=mixed", "noise.of=[a,b]", "noise.parts.a.rate=0.2", "seed=1", "+noise@noise.parts.a=a"]
    assert as_typed(job) == ["noise=mixed", "noise.of=[a,b]", "noise.a.rate=0.2", "seed=1"]
    assert as_typed(job[2:]) == job[2:]  # which could not be typed so


def test_a_setting_says_its_noise_once_and_a_factor_only_where_there_is_one(tmp_path):
    given = (
        ["noise=symmetric", "noise.rate=0.2"],
        ["noise=symmetric", "noise.rate=0.40"],
        ["noise=symmetric", "noise.inclusive=true"],
        ["noise=mixed", "noise.of=[symmetric,class]", "noise.symmetric.rate=0.3"],
        [
            "noise=mixed",
            "noise.of=[symmetric,class]",
            "noise.symmetric.rate=0.3",
            "noise.class.noisy_class=2",
        ],
        ["mult=0"],
    )
    for overrides in given:
        write_run(tmp_path, *overrides)
    runs = read([tmp_path]).runs
    assert {run.setting for run in runs} == {
        "digits symmetric 0.2 mlp", "digits symmetric 0.4 mlp", "digits symmetric 0.4 inclusive mlp",
        "digits symmetric 0.3 + class x4 mlp, class.noisy_class=1",
        "digits symmetric 0.3 + class x4 mlp, class.noisy_class=2", "digits class x0 mlp",
    }  # fmt: skip
    assert {run.folder.name.split("-")[2] for run in runs} == {
        "symmetric_0.2", "symmetric_0.4", "symmetric_0.4_inclusive", "symmetric_0.3+class_x4", "class",
    }  # fmt: skip


def test_a_noise_of_a_users_own_has_its_settings_added_and_no_factor():
    runs = [run_of({}, config={"alg._target_": "a", "noise.rate": rate}) for rate in (0.2, 0.4)]
    assert [run.setting for run in label(runs)] == ["d n m, rate=0.2", "d n m, rate=0.4"]
    assert Facet("study", "digits", "mlp", "symmetric 0.4", None).title == "symmetric 0.4: digits, mlp"
    assert Facet("study", "digits", "mlp", "class", 4).title.endswith(", 4 noisy rows per clean row")


def test_settings_are_in_the_order_of_their_numbers():
    names = [
        "near_copies 0 x4",
        "near_copies 2 x4",
        "near_copies 16 x1.5",
        "near_copies 16 x4",
        "symmetric 0.05",
    ]
    runs = [dataclasses.replace(run_of({}), setting=name) for name in names]
    assert [setting.name for setting in settings_of(runs[::-1])] == names


def test_shares_of_a_pool_are_means_over_seeds():
    other = {**POOL, "right": 100, "kinds": {"clean": 100, "symmetric": 100, "none": 0}}
    runs = [run_of(POOL, 0), run_of(POOL, 0, "random"), run_of(other, 1), run_of({}, 2)]
    shares = pool_shares(runs)
    assert (shares.right, shares.rejected) == (0.4, 0.1)
    assert shares.kinds == {"clean": 0.375, "symmetric": 0.375, "blank": 0.5}
    assert np.isnan(pool_shares([run_of({})]).right)
    rates = [dataclasses.replace(r, summary={"n_rounds": 3, "base_rate": 0.2 + r.seed / 5}) for r in runs]
    assert settings_of(rates)[0].base_rate == pytest.approx(0.4)


def test_kinds_are_shares_of_what_was_bought_beside_those_of_the_pool():
    (kinds,) = analysis_of(run_of(POOL, **BOUGHT), run_of({}, label="old")).common.kinds
    assert kinds.names == ["clean", "symmetric", "blank"]
    assert kinds.pool == {"clean": 0.25, "symmetric": 0.25, "blank": 0.5}
    assert {name: i.mean for name, i in kinds.queried["badge"].items()} == {
        "clean": 0.5, "symmetric": 0.4, "blank": 0.1,
    }  # fmt: skip
    assert kinds.queried.keys() == {"badge"}
    one = {**POOL, "kinds": {"clean": 50, "symmetric": 150, "long_tail": 0}}
    assert (
        analysis_of(run_of(one, bought_per_kind={"clean": 5, "symmetric": 15, "long_tail": 0})).common.kinds
        == ()
    )
    many = {"clean": 50, **{f"k{i}": 1 for i in range(20)}}
    (kinds,) = analysis_of(run_of({**POOL, "kinds": many}, bought_per_kind=many)).common.kinds
    assert (len(kinds.names), kinds.names[-1]) == (MOST_KINDS + 1, OTHERS)
    assert sum(kinds.queried["badge"][name].mean for name in kinds.names) == pytest.approx(1)


def test_regions_are_averaged_by_their_order_since_seeds_draw_their_own():
    turned = {**POOL, "regions": POOL["regions"][::-1], "noisy_per_region": POOL["noisy_per_region"][::-1]}
    runs = [run_of(POOL, 0, **BOUGHT), run_of(turned, 1, bought_per_region=BOUGHT["bought_per_region"][::-1])]
    (found,) = analysis_of(*runs).common.regions
    assert found.n == 3
    assert [(r.rank, r.last, r.noise_rate, r.pool) for r in found.regions] == [
        (1, 1, 1.0, 0.3), (2, 2, 0.8, 0.5), (3, 3, 0.25, 0.2),
    ]  # fmt: skip
    assert [r.queried["badge"].mean for r in found.regions] == [0, 0.25, 0.75]
    rate, rates = found.noise_rate
    assert (rate, rates["badge"].mean) == pytest.approx((0.75, 0.3875))
    n = 30
    many = {"rows": n, "regions": [1] * n, "noisy_per_region": [i % 2 for i in range(n)]}
    (found,) = analysis_of(run_of(many, bought_per_region=[1] * n)).common.regions
    assert [(r.rank, r.last) for r in found.regions][4:7] == [(5, 5), (6, 25), (26, 26)]
    assert sum(r.queried["badge"].mean for r in found.regions) == pytest.approx(1)
    for pool, bought in (
        (POOL, [1, 2]),
        (POOL, [0, 0, 0]),
        ({}, [1, 2, 3]),
        ({**many, "regions": [0] * n}, [1] * n),
    ):
        assert analysis_of(run_of(pool, bought_per_region=bought)).common.regions == ()


def test_the_page_shows_what_was_bought_beside_the_pool(tmp_path, monkeypatch):
    write_queries(tmp_path)
    runs = [run_of(POOL, s, alg, **BOUGHT) for s in range(2) for alg in ("badge", "random")]
    html = page_of(*(dataclasses.replace(run, folder=tmp_path) for run in runs))
    shown = section(html, "noise")
    for key in ("clean_share", "right_share", "rejected", "distinct"):
        assert f"data-measure='{key}'" in shown
    text = words(section(html, "acquired"))
    assert "d n m the pool 20.0 30.0 10.0" in text
    assert "d n m badge 2 50.0 [50.0, 50.0] 60.0 [60.0, 60.0] 10.0 [10.0, 10.0] 75.0" in text
    assert "the pool 25.0 25.0 50.0 badge 50.0 [50.0, 50.0] 40.0 [40.0, 40.0] 10.0" in text
    assert "d n m: 3 regions, the noisiest first" in text
    assert "3 25.0 20.0 75.0 [75.0, 75.0] 75.0 [75.0, 75.0] mean 75.0 38.8 38.8" in text


def test_what_is_constant_is_left_out(tmp_path):
    write_queries(tmp_path)
    same = {"clean_share": 0.25, "right_share": 0.25, "n_rejected": 0, "n_distinct": 20}
    run = dataclasses.replace(run_of({**POOL, "rejected": 0}, **same), folder=tmp_path)
    html = page_of(run)
    assert re.findall(r"data-measure='(\w+)'", html) == ["clean_share", "cumulative", "clean_labels"]
    heads = re.findall(r"<button type='button'>([^<]*)", section(html, "acquired"))
    assert heads == ["setting", "strategy", "n", "clean rows %", "clean and noisy", "labels by class"]
    clean = {**same, "clean_share": 1.0, "right_share": 1.0}
    html = page_of(dataclasses.replace(run_of({**POOL, "rejected": 0}, **clean), folder=tmp_path))
    assert "<section id='noise'" not in html
    assert "href='#noise'" not in html
    assert "clean rows %" not in section(html, "acquired")
    assert "clean share %" in section(html, "numbers")
    run = dataclasses.replace(run, summary={**run.summary, "queried_clean_share": 1.0})
    assert "clean share %" not in section(page_of(run), "numbers")
    old = page_of(dataclasses.replace(run_of({}), folder=tmp_path))  # a record without these fields
    assert "right labels" not in section(old, "acquired")
    assert "data-measure='clean_share'" in old


def test_a_study_of_clean_pools_says_nothing_of_noise(tmp_path):
    pool = {
        "rows": 100,
        "images": 100,
        "right": 100,
        "rejected": 0,
        "kinds": {"clean": 100},
        "clean_per_class": [50, 50],
    }
    bought = {
        "clean_share": 1.0,
        "right_share": 1.0,
        "n_rejected": 0,
        "n_distinct": 20,
        "bought_per_kind": {"clean": 20},
    }
    write_queries(tmp_path)
    runs = [
        dataclasses.replace(
            run_of(pool, seed, alg, **bought), folder=tmp_path,
            summary={"n_rounds": 3, "base_rate": 1.0, "queried_clean_share": 1.0},
        )
        for seed in range(2)
        for alg in ("badge", "random")
    ]  # fmt: skip
    html = page_of(*runs)
    assert re.findall(r"<section id='(\w+)'", html) == [
        "summary", "curves", "acquired", "numbers", "pairs", "cost", "completeness", "provenance"
    ]  # fmt: skip
    columns = re.findall(r"<button type='button'>([^<]*)", section(html, "acquired"))
    assert columns == ["setting", "strategy", "n", "labels by class"]
    assert not re.findall(r"clean|nois|pool", words(section(html, "acquired")))
    assert not re.findall(r"clean|nois", words(section(html, "numbers")))
    assert {m.key for m in measures_of(runs)[0]} == {"accuracy"}
    drawn = {figure.path.name for figure in chart_figures(study_of(Reading(tuple(runs))), tmp_path)}
    assert drawn == {"accuracy", "time"}


def test_what_cannot_be_known_has_no_column():
    run = run_of({})
    run = dataclasses.replace(run, rounds=[{**row, "peak_memory_mb": None} for row in run.rounds])
    html = page_of(run)  # without any of random
    assert "peak memory" not in html.lower()
    assert "labels to" not in words(section(html, "numbers"))
    assert "labels saved" not in words(section(html, "numbers"))
    html = page_of(run, run_of({}, label="random"))
    assert "peak memory" in html.lower()
    assert "labels saved over random" in words(section(html, "numbers"))


def test_the_page_says_where_training_ended_at_its_cap():
    runs = [
        run_of({}, seed, config={"alg._target_": "badge", "train.max_epochs": 10 + seed}) for seed in (0, 1)
    ]
    said = "Training ended at the most epochs that it may take, 10 (train.max_epochs), in 3 of 6 rounds"
    assert said in words(section(page_of(*runs), "cost"))
    assert capped(runs[1:]) == ""
    assert capped([run_of({}, config={"train.max_epochs": 10}, n_pseudo=5)]) != capped(
        runs
    )  # a last round alone


def test_a_rejected_row_is_captioned_so():
    strip = [Picture("data:,", "rejected", True), Picture("data:,", "7", False)]
    html = render(analysis_of(run_of({})), "t", [Shown("d n m", 0, [("badge", strip)], "", False, False, [])])
    assert re.findall(r"alt='([^']*)'>([^<]*)", html) == [
        ("noisy, rejected", "rejected ×"),
        ("clean, labelled 7", "7"),
    ]


def test_shares_are_coloured_from_what_was_expected_to_three_times_that():
    assert [depth(share, 0.1) for share in (0.05, 0.1, 0.2, 0.3, 0.9)] == pytest.approx([0, 0, 0.5, 1, 1])
    assert [depth(np.nan, 0.1), depth(0.1, 0.0), depth(0.1, np.nan)] == [0, 0, 0]


def test_tables_hold_what_was_bought(tmp_path):
    runs = [run_of(POOL, s, **BOUGHT) for s in range(2)]
    write_tables([analysis_of(*runs)], tmp_path)
    rows = {name: read_csv(tmp_path / f"{name}.csv") for name in ("kinds", "regions", "runs", "curves")}
    assert [(row["kind"], row["share"], row["pool"]) for row in rows["kinds"]] == [
        ("clean", "0.5", "0.25"), ("symmetric", "0.4", "0.25"), ("blank", "0.1", "0.5"),
    ]  # fmt: skip
    assert [(row["first"], row["share"]) for row in rows["regions"]] == [
        ("1", "0.0"),
        ("2", "0.25"),
        ("3", "0.75"),
    ]
    assert [(row["queried_right_share"], row["queried_rejected_share"]) for row in rows["runs"]] == [
        ("0.6", "0.1")
    ] * 2
    assert {"right_share", "rejected"} <= {row["measure"] for row in rows["curves"]}


def test_records_hold_pools_and_rejected_rows(tmp_path):
    folder = write_run(tmp_path, "alg=badge", **BOUGHT)
    write_queries(folder)
    with np.load(folder / "queries.npz") as arrays:
        np.savez(folder / "queries.npz", **{**arrays, "labels": np.array([0, -1, 2, -1, 1])})
    about = folder / "provenance.json"
    kinds = '{"clean": 3, "\\u001b[2J": 4}'
    about.write_text(about.read_text().replace("{", f'{{"pool": {{"rows": 7, "kinds": {kinds}}},', 1))
    (run,) = read([tmp_path]).runs
    assert run.pool == {"rows": 7, "kinds": {"clean": 3, "\\x1b[2J": 4}}
    assert run.rounds[0]["bought_per_kind"] == BOUGHT["bought_per_kind"]
    assert acquired_rows(run)["labels"].tolist() == [0, -1, 2, -1, 1]
    about.write_text(about.read_text().replace('"rows": 7', '"rows": -7'))
    assert read([tmp_path]).problems
