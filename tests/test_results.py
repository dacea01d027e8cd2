"""The tables of docs/RESULTS.md are filled from the numbers beside it, and nothing else on the page is touched."""

import re

import pytest
import torch
from scipy import stats

from benchmarks import kinds, results, study_tables, tables, trainings, vectors
from hetal.report.files.tables import write_csv


@pytest.fixture
def docs(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "DOCS", tmp_path)
    (tmp_path / "results" / "s").mkdir(parents=True)
    return tmp_path


def write(docs, name, *rows):
    write_csv(docs / "results" / "s" / f"{name}.csv", rows)


def number(strategy, area, n=5):
    ends = {"area_low": area - 0.01, "area_high": area + 0.01}
    return {"setting": "d class", "strategy": strategy, "n": n, "area": area, **ends}


def test_the_highest_mean_is_bold(docs):
    write(docs, "numbers", number("a", 0.5), number("b", 0.6))
    assert tables.area("s").splitlines()[2:] == [
        "| a | 50.0 [49.0, 51.0], 5 |",
        "| b | **60.0 [59.0, 61.0], 5** |",
    ]


def test_a_comparison_is_turned_to_its_first_strategy(docs):
    pair = {
        "setting": "d class", "first": "a", "second": "b", "n": 5, "difference": -0.02, "difference_low": -0.03,
        "difference_high": -0.005, "t_holm": 0.049,
    }  # fmt: skip
    write(docs, "comparisons", pair)
    assert "| b | **-2.0 [-3.0, -0.5], p 0.049** |" in tables.versus("s", "a")
    assert "| a | **+2.0 [+0.5, +3.0], p 0.049** |" in tables.versus("s", "b")


def test_a_mean_over_noises_is_paired_by_seed(docs):
    ahead = {"blank": 0.01, "diverse": 0.02, "class": 0.06}
    runs = [
        {"setting": f"d {noise} x4", "strategy": strategy, "seed": seed, "finished": True,
         "area_under_curve": 0.5 + seed / 10 + (gap + seed / 1000) * (strategy == "a")}
        for noise, gap in ahead.items() for strategy in "ab" for seed in range(3)
    ]  # fmt: skip
    lone = {**runs[0], "strategy": "c"}  # of one noise only, so that it has no mean
    write(docs, "runs", *runs, lone)
    (row,) = tables.pooled("s", "a", "d").splitlines()[2:]
    gaps = [3.0, 3.1, 3.2]
    assert row.startswith("| b | **+3.1 [")
    assert row.endswith(f"p {stats.ttest_1samp(gaps, 0).pvalue:.2g}, n 3** |")


def test_published_runs_are_placed_among_finished_ones(docs):
    runs = [
        {"strategy": "a", "finished": done, "final_accuracy": accuracy, "queried_clean_share": 0.25}
        for accuracy, done in ((0.6, True), (0.7, True), (0.8, True), (0.1, False))
    ]
    write(docs, "runs", *runs)
    assert study_tables.spread("s", "a:75/50").splitlines()[2] == (
        "| a | 3 | 70.0 | 60.0 65.0 70.0 75.0 80.0 | 75 (75 to 75) | 75: 2, 50: 0 |"
    )


def test_every_strategy_is_beside_itself_with_each_image_once(docs):
    areas = {
        "a": [0.5, 0.6], "once a": [0.6, 0.72], "b": [0.7, 0.7], "once c": [0.1, 0.1], "once 0.2 a": [0.3, 0.3]
    }  # fmt: skip
    seconds = {"seconds_score_per_round": 0.5, "seconds_select_per_round": 0.25}
    write(docs, "numbers", *({"setting": "d class", "strategy": name} | seconds for name in areas))
    runs = [
        run("d class", name, seed, 100 * value) | {"queried_clean_share": 0.25}
        for name, area in areas.items() for seed, value in enumerate(area)
    ]  # fmt: skip
    write(docs, "runs", *runs)
    b, a, c = study_tables.once("s").splitlines()[2:]
    assert b == "| b | 70.0, 2 | 25% | 0.75 |  |  |  |  |"
    assert a.startswith("| a | 55.0, 2 | 25% | 0.75 | 66.0, 2 | 25% | 0.75 | +11.0 [")
    assert a.endswith(f"p {stats.ttest_1samp([10, 12], 0).pvalue:.2g}, n 2 |")
    assert c.startswith("| c |  |  |  | 10.0, 2 |")
    assert "| a | 55.0, 2 | 25% | 0.75 | 30.0, 2 |" in study_tables.once("s", wrapper="once 0.2")
    assert "| b | 70.0, 2 | 25% |  |  |  |\n" in study_tables.once("s", seconds="no seconds")


@pytest.fixture
def settings(monkeypatch):
    """Two settings of three seeds; bounds, what is wrapped in `once` and a run that is not finished take no part."""
    monkeypatch.setattr(kinds, "FEWEST", 3)
    areas = {
        "a": [80, 82, 84],
        "random": [70, 71, 75],
        "b": [79, 83, 85.5],
        "once a": [99] * 3,
        "a (bound)": [99] * 3,
    }
    rows = [
        {"setting": setting, "strategy": name, "seed": seed, "finished": "True", "area_under_curve": area / 100}
        for setting, sign in (("d", 1), ("e", -1)) for name, values in areas.items()
        for seed, area in enumerate([sign * value + 100 * (sign < 0) for value in values])
    ]  # fmt: skip
    return kinds.areas_of([*rows, {**rows[0], "seed": 3, "finished": "False"}])


def test_the_best_of_every_kind_of_noise_and_what_is_level_with_it(settings):
    (d, e) = kinds.kinds(settings)[1]
    p = [stats.ttest_1samp(gap, 0).pvalue for gap in ([-1, 1, 1.5], [9, 12, 10.5])]
    assert d[:4] == ["d", "b", "82.5 [79.0, 85.5], 3", "a"]
    assert d[4].startswith("+10.5 [")
    assert d[4].endswith(f"p {2 * p[1]:.2g}")
    assert d[5] == "3 of 3"
    assert (e[1], e[3], e[4], e[5]) == ("random", "none", "", "1 of 3")


def test_leads_over_groups_of_settings(settings):
    settings = {"data d": settings["d"], "data e": settings["e"]}
    head, body = kinds.groups(
        settings, "random", {"one": ["x", "data:d"], "both": ["data"], "no": ["data:y"]}
    )
    assert head == ["over random", "one", "both", "no"]
    assert sorted(body) == [
        ["a", "+10.0 [+9.0, +11.0], 3", "+0.0 [-10.0, +10.0], 2", ""],
        ["b", "+10.5 [+9.0, +12.0], 3", "+0.0 [-10.5, +10.5], 2", ""],
    ]


def test_comparisons_are_counted_by_groups_of_settings(settings):
    assert kinds.tallies(settings, "random", {"first": ["d"], "both": ["d", "e"], "no": ["f"]})[1] == [
        ["first", "1", "2", "2", "0", "0"],
        ["both", "2", "4", "2", "0", "2"],
        ["no", "0", "0", "0", "0", "0"],
    ]


def test_two_seeds_are_not_compared(settings, monkeypatch):
    monkeypatch.setattr(kinds, "FEWEST", 4)
    head, (d, _) = kinds.kinds(settings)
    assert head[3] == "over random"
    assert d[3].endswith("]")
    assert kinds.odds(settings, "random")[0][:2] == ["against random", "mean lead over settings"]


def test_how_often_random_choice_is_beaten(settings):
    _, body = kinds.odds(settings, "random")
    ends = {line[0]: (*line[1:4], line[5], line[6]) for line in body}
    assert ends == {"a": ("1", "0", "1", "-10.0", "+10.0"), "b": ("1", "0", "1", "-10.5", "+10.5")}
    assert all(re.fullmatch(r"\+0\.0 \[.*\], p 1", line[4]) for line in body)


def test_a_picture_and_its_mirror_image_have_the_same_vector():
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(256, (2, 3, 32, 32), generator=rng, dtype=torch.uint8)
    filters = vectors.Filters(images, n_pairs=3, rng=rng, n_patches=200)
    torch.testing.assert_close(filters(images), filters(images.flip(3)))


def test_shares_of_many_settings_are_brief_means_over_finished_runs(docs):
    shares = [("d 16", "b", 1.0), ("d 2", "a", 0.2), ("d 2", "a", 0.3), ("e", "a", 0.5), ("d 2", "c", "")]
    runs = [
        run(setting, name, 0, 50) | {"queried_clean_share": share, "finished": share != 0.9}
        for setting, name, share in [*shares, ("d 2", "a", 0.9)]
    ]
    write(docs, "runs", *runs)
    assert tables.brief("s", "queried_clean_share", "d").splitlines() == [
        "|  | d 2 | d 16 |", "| --- | --- | --- |", "| a | 25 |  |", "| b |  | 100 |"
    ]  # fmt: skip


def run(setting, strategy, seed, area):
    row = {"setting": setting, "strategy": strategy, "seed": seed, "finished": "True"}
    return row | {"area_under_curve": area / 100}


def test_what_training_gains_stands_beside_what_a_strategy_gains(monkeypatch):
    monkeypatch.setattr(kinds, "FEWEST", 2)
    areas = {
        ("d mlp, members=1", "random, loss=x, q=absent"): [50, 52],
        ("d mlp, members=1", "b, smoothing=0, loss=x"): [60, 62.6],
        ("d mlp, members=1", "random, loss=y"): [55, 58],
        ("d mlp, members=5", "b, loss=x"): [60, 65],
    }
    runs = [run(*key, seed, area) for key, values in areas.items() for seed, area in enumerate(values)]
    head, body = trainings.gains([*runs, run("d mlp, members=1", "b, loss=x", 2, 90)], "random", "loss=x")
    p = [stats.ttest_1samp(gap, 0).pvalue for gap in ([10, 10.6], [5, 6], [10, 13])]
    assert 3 * p[0] > 0.05 > 2 * p[0]  # so that Holm's count of cells decides that none is bold
    assert head == ["over random, loss=x", "random", "b", "by strategy"]
    assert body == [
        ["loss=x", "51.0, 2", "+10.3 [+10.0, +10.6], 2", "10.3"],
        ["loss=y", "+5.5 [+5.0, +6.0], 2", "", "0.0"],
        ["members=5, loss=x", "", "+11.5 [+10.0, +13.0], 2", "0.0"],
        ["by training", "5.5", "1.2", ""],
    ]


@pytest.fixture
def pools():
    """Three pools of two data sets; `c` ran in one of them only."""
    areas = {
        "x blank x4 mlp": {"a": [90], "b": [80], "c": [99]},
        "x clean mlp": {"a": [90], "b": [95]},
        "y near_copies 8 x4 mlp, members=1": {"a": [70], "b": [62]},
    }
    runs = [
        run(setting, name, seed, area)
        for setting, values in areas.items() for name, area_S in values.items() for seed, area in enumerate(area_S)
    ]  # fmt: skip
    return kinds.areas_of(runs)


def test_ranks_are_of_strategies_that_ran_in_all_pools(pools):
    head, body = kinds.ranks(pools)
    assert head[1].startswith("mean rank over 3, ")
    assert body == [["a", "1.3", "yes", "2", "0"], ["b", "1.7", "yes", "1", "0"]]


def test_ranks_count_the_pools_in_which_another_is_ahead(settings):
    assert {line[0]: line[3:] for line in kinds.ranks(settings)[1]} == {
        "a": ["0", "1"], "b": ["1", "1"], "random": ["1", "1"]
    }  # fmt: skip


def test_losses_name_their_worst_pool(pools):
    x, y = ({s: areas for s, areas in pools.items() if s.startswith(name)} for name in "xy")
    assert kinds.regrets({"x": x, "y": y}) == (
        ["", "mean", "most", "x", "y"],
        [
            ["a", "1.7", "5.0", "2.5, 5.0 (clean)", "0.0, 0.0 (near_copies 8 x4)"],
            ["b", "6.0", "10.0", "5.0, 10.0 (blank x4)", "8.0, 8.0 (near_copies 8 x4)"],
        ],
    )


def test_what_is_told_apart_from_a_strategy(settings):
    head, body = kinds.apart(settings, "random")
    assert head == ["", "n", "ahead of random", "level", "behind random"]
    assert body == [["d", "3", "b +10.5, a +10.0", "0", ""], ["e", "3", "", "0", "a -10.0, b -10.5"]]
    assert kinds.apart(settings, "c")[1] == []


def test_what_is_ahead_of_a_strategy(settings):
    assert kinds.beaten(settings, "random")[1][0][:2] == ["d", "3"]
    (line,) = kinds.beaten(settings, "b")[1]
    assert line[0] == "e"
    assert line[2].startswith("random +10.5 [")
    assert kinds.beaten(settings, "a")[1][0][2].startswith("random +10.0 [")


def test_studies_are_read_together(docs):
    write(docs, "numbers", number("a", 0.5))
    (docs / "results" / "t").mkdir()
    write_csv(docs / "results" / "t" / "numbers.csv", [number(name, 0.6) for name in "bcd"])
    assert [row["strategy"] for row in tables.rows("s+t:b,d", "numbers")] == ["a", "b", "d"]


def test_a_query_takes_the_least_of_its_seconds(docs):
    spent = [("a", 900, 3.0, 4.0), ("a", 900, 2.0, 5.0), ("a", 1000, 7.0, 8.0), ("b", 1000, 0.5, 1.25)]
    write(
        docs,
        "seconds",
        *(dict(zip(("strategy", "n_rows", "query", "round"), row, strict=True)) for row in spent),
    )
    assert tables.seconds("s", {"a": [1, 2]}).splitlines() == [
        "|  | query, 900 rows | query, 1,000 rows | round, 900 rows | round, 1,000 rows | over random |",
        "| --- | --- | --- | --- | --- | --- |",
        "| b |  | 0.5 |  | 1.2 |  |",
        "| a | 2 | 7 | 4 | 8 | +1.5 |",
    ]


def test_effort_is_of_finished_runs(docs):
    ends = [(True, 1800), (True, 5400), (False, 9999)]
    write(docs, "runs", *(run("d", "a", 0, 50) | {"finished": done, "seconds": s} for done, s in ends))
    assert tables.effort("s") == "2 runs, 2.0 hours of one core."


def test_runs_join_those_that_are_kept(docs):
    write(
        docs, "runs", run("d", "a", 0, -50), run("d", "a", 10, 60)
    )  # an area of another sign stays a number
    (docs / "new").mkdir()
    write_csv(docs / "new" / "runs.csv", [run("d", "a", 10, 61), run("d", "a", 2, 70), run("c", "a", 0, 80)])
    results.add(docs / "new", docs / "results" / "s")
    found = [(r["setting"], r["seed"], r["area_under_curve"]) for r in tables.rows("s", "runs")]
    assert found == [("c", "0", "0.8"), ("d", "0", "-0.5"), ("d", "2", "0.7"), ("d", "10", "0.61")]


def test_runs_do_not_join_where_a_table_needs_more(docs, monkeypatch, capsys):
    for page in results.PAGES:
        (docs / page).write_text("<!-- area s -->\n<!-- end -->\n")
    monkeypatch.setattr("sys.argv", ["results", "--add", str(docs / "s" / "report")])
    with pytest.raises(SystemExit):
        results.main()
    assert "--add: a page has tables of s that runs.csv alone does not give" in capsys.readouterr().err


def test_only_tables_are_filled(docs):
    write(docs, "numbers", number("a", 0.5))
    page = "# Text\n\n<!-- area s -->\nold\n<!-- end -->\n\n<!-- a remark -->\nmore\n"
    filled = results.fill(page)
    assert filled == page.replace("\nold\n", f"\n\n{tables.area('s')}\n\n")
    assert results.fill(filled) == filled


def test_ranks_are_drawn_beside_the_page_and_shown_on_it(docs):
    areas = {
        "e x": {"a": [60, 62], "b": [50, 54], "c": [40, 41]},
        "e y": {"a": [60, 61], "b": [70, 71], "c": [1, 2]},
    }
    runs = [
        run(setting, name, seed, area)
        for setting, values in areas.items() for name, area_S in values.items() for seed, area in enumerate(area_S)
    ]  # fmt: skip
    write(docs, "runs", *runs)
    (docs / "figures").mkdir()
    assert results.rank_figure("s", "ours") == "![Mean ranks of 3 strategies over 2 pools](figures/ours.png)"
    assert [path.name for path in (docs / "figures").iterdir()] == ["ours.png"]
