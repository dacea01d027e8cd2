import dataclasses
import json
import re

import numpy as np
import pytest
import torch

from hetal.report.__main__ import main
from hetal.report.analyse.acquired import acquired_by, count_rows
from hetal.report.analyse.analysis import analyse, study_of
from hetal.report.analyse.setting import settings_of
from hetal.report.analyse.styles import looks_of
from hetal.report.load.reading import Reading, read
from hetal.report.page.render import render
from hetal.report.page.text import interval, p_value, percent
from hetal.report.stats.intervals import Interval
from tests.command_line import TOY, only, run_here
from tests.report_study import ALGORITHMS, NOISES, accuracy_of, write_study
from tests.sealed import change_queries
from tests.synthetic import make_run, write_queries, write_run


def report(study):
    """Return the page without its pictures; the figures beside it are not drawn."""
    return page(read([study]))


def page(reading, title="study"):
    return render(analyse(study_of(reading)), title)


def data_of(html):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    return json.loads(found[1], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def text_of(html):
    body = re.sub(r"<(script|style).*?</\1>", "", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).replace("&nbsp;", " ").split())


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("report"), range(5))


@pytest.fixture(scope="module")
def html(study):
    return report(study)


def test_the_page_needs_nothing_else(html):
    for link in re.findall(r"""(?:src|href)=["']?([^"'\s>]+)""", html):
        assert link.startswith(("#", "data:")), link
    assert "@import" not in html
    assert "default-src 'none'" in html
    assert len(html) < 200_000


def test_it_carries_every_curve_as_it_was_computed(html, study):
    reading = read([study])
    drawn = study_of(reading).curves
    carried = {s["name"]: s["series"] for s in data_of(html)["settings"]}
    for (setting, label, measure), curve in drawn.items():
        series = carried[setting][measure][label]
        assert series["mean"] == pytest.approx(curve.mean, rel=1e-4)
        assert series["high"] == pytest.approx(curve.high, rel=1e-4)
        assert series["n"] == curve.n
    badge = carried["digits blank x4 mlp"]["accuracy"]["badge"]
    last = [accuracy_of("badge", "blank", seed)[-1] for seed in range(5)]
    assert badge["mean"][-1] == pytest.approx(np.mean(last), rel=1e-4)
    assert [line[-1] for line in badge["seeds"]] == pytest.approx(last, rel=1e-3)
    assert len(carried["digits blank x4 mlp"]["time"]["badge"]["seeds"]) == 5


def test_the_summary_names_the_leader_the_margin_and_its_significance(html):
    said = text_of(html)
    assert "badge leads 2 of 2 settings (2 significantly)" in said
    assert "Over all settings badge has the best mean rank, 1.00 of 3; next is coreset with 2.00" in said
    cards = re.findall(r"<article.*?</article>", html, re.DOTALL)
    assert len(cards) == len(NOISES)
    for card in cards:
        assert "significant lead, 5 seeds" in text_of(card)
        assert re.search(r"\+\d+\.\d \[.*\] points over coreset", text_of(card))
        order = re.findall(r"<li data-labels='(\w+)'", card)
        assert order == ["badge", "coreset", "random"]
    assert "Unreliable" not in said


def test_fewer_than_five_seeds_are_called_unreliable(tmp_path):
    study = write_study(tmp_path, range(4))
    write_study(tmp_path, [4], noises=["blank"])
    said = text_of(report(study))
    assert "Unreliable in 1 of 2 settings: as few as 4 common seeds" in said
    assert "unreliable, 4 seeds" in said
    assert "significant lead, 5 seeds" in said


def test_one_seed_has_no_intervals_and_the_page_says_so(tmp_path):
    html = report(write_study(tmp_path, [0], noises=["blank"]))
    said = r"badge leads by \d+\.\d points over coreset , but on too few seeds to be reliable"
    assert re.search(said, text_of(html))
    (setting,) = data_of(html)["settings"]
    assert set(setting["series"]["accuracy"]["badge"]["low"]) == {None}
    assert not re.search(r"\bnan\b", text_of(html).lower())


def test_one_run_is_enough(tmp_path):
    folder = write_run(tmp_path, "alg=badge", "name=study")
    write_queries(folder)
    html = report(folder)
    assert "badge is the only strategy: there is nothing to compare it with" in text_of(html)
    for empty in ("pairs", "pictures"):
        assert f"id='{empty}'" not in html
        assert f"#{empty}'" not in html
    assert "The settings that vary" not in html
    assert "labels saved" not in html  # there is no run of random


def test_a_sweep_in_progress_shows_its_curves_and_what_is_missing(tmp_path):
    write_run(tmp_path, "alg=badge", "name=study", finished=False)
    html = report(tmp_path / "study")
    assert "No run is finished yet" in text_of(html)
    for empty in ("numbers", "pairs", "cost", "pictures"):
        assert f"id='{empty}'" not in html
    assert data_of(html)["settings"][0]["series"]["accuracy"]["badge"]["n"] == [1, 1, 1, 1]
    assert re.search(r"python launch.py alg=badge .*seed=0", text_of(html))


def test_pseudo_labels_are_shown_where_there_are_any(tmp_path):
    judged = {"n_pseudo": 40, "n_pseudo_noisy": 10, "pseudo_accuracy": 0.7, "pseudo_accuracy_clean": 0.9,
              "pseudo_accuracy_noisy": 0.1}  # fmt: skip
    write_run(tmp_path, "alg=badge", "name=tuned", "finetune=pseudo_label", **judged)
    write_run(tmp_path, "alg=badge", "name=plain")
    tuned, plain = report(tmp_path / "tuned"), report(tmp_path / "plain")
    heights = {"pseudo_clean": 0.9, "pseudo_noisy": 0.1, "pseudo_share": 0.75}
    for key, height in heights.items():
        assert data_of(tuned)["settings"][0]["series"][key]["badge"]["mean"] == [height] * 4
        assert f"value='{key}'" in tuned
        assert f"value='{key}'" not in plain
    all_clean = {**judged, "n_pseudo_noisy": 0, "pseudo_accuracy_noisy": None}
    write_run(tmp_path, "alg=badge", "name=clean", "noise=clean", "finetune=pseudo_label", **all_clean)
    assert [key for key in heights if f"value='{key}'" in report(tmp_path / "clean")] == ["pseudo_clean"]


def test_settings_that_differ_along_with_the_strategy_are_flagged(tmp_path):
    for seed in range(2):
        write_run(tmp_path, "alg=badge", "name=study", seed=seed)
        write_run(tmp_path, "alg=coreset", "optimizer.lr=0.01", "name=study", seed=seed)
    said = text_of(report(tmp_path / "study"))
    assert "Confounds (1): settings that differ other than the strategy" in said.replace(" :", ":")
    assert "optimizer.lr" in said.split("Summary", 2)[1]


def test_names_cannot_become_markup():
    evil = "</script><script>alert(1)</script>'\"&"
    runs = [
        make_run(label, seed, [0.5, 0.6 + seed / 100], setting=evil)
        for label in (evil, "random")
        for seed in range(3)
    ]
    html = page(Reading(tuple(runs)), evil)
    assert "<script>alert" not in html
    assert [s["name"] for s in data_of(html)["settings"]] == [evil]
    assert len(re.findall(r"<script", html)) == 2


def test_a_table_says_what_it_can_be_filtered_and_sorted_by(html):
    pair = "<tr data-setting='digits blank x4 mlp' data-labels='badge\ncoreset'>"
    assert f"{pair}<td class='setting'>digits blank x4 mlp</td><td>badge</td>" in html
    best = "<tr data-setting='digits blank x4 mlp' data-labels='badge' class=best>"
    numbers = html.split("<section id='numbers'")[1].split("</section>")[0]
    assert best in numbers
    assert numbers.count(" class=best>") == len(NOISES)
    values = re.findall(r"data-value='([^']*)'>(\S+) <small>", numbers)
    assert values
    assert all(float(shown) == pytest.approx(float(value), abs=0.5) for value, shown in values)


def test_numbers_are_written_alike():
    assert interval(Interval(81.25, 80.0, 82.5), 1) == "81.2 [80.0, 82.5]"
    assert interval(Interval(-1.0, -2.0, 0.5), 1, sign=True) == "\u22121.0 [\u22122.0, +0.5]"
    assert interval(Interval(1200.0, np.nan, np.nan), 0) == "1,200"
    assert interval(Interval(np.nan, np.nan, np.nan), 1) == ""
    assert percent(Interval(0.5, 0.25, 0.75)) == (50, 25, 75)
    assert [p_value(p) for p in (0.0004, 0.04, np.nan)] == ["<\u00a00.001", "0.040", ""]


def test_acquired_rows_are_counted_by_noise_and_class(tmp_path):
    columns = {
        "round": [-1, 0, 0, 0, 1, 1],
        "labels": [0, 0, 2, 2, 1, 2],
        "is_noisy": [True, False, True, True, False, False],
        "ids": [0, 1, 2, 3, 4, 5],
        "source": [0, 1, 2, 3, 4, 5],
    }
    np.savez(tmp_path / "queries.npz", **{name: np.array(values) for name, values in columns.items()})
    run = make_run("badge", 0, [0.5, 0.6, 0.7], folder=tmp_path)
    rounds = tuple({**row, "bought_per_class": [0, 0, 0, 0]} for row in run.rounds)
    assert count_rows(dataclasses.replace(run, rounds=rounds)).tolist() == [[1, 1, 1, 0], [0, 0, 2, 0]]
    assert count_rows(dataclasses.replace(run, rounds=rounds[:1])).tolist() == [[1, 0, 0, 0], [0, 0, 2, 0]]


def test_purchases_that_were_changed_are_not_counted_and_that_is_said(tmp_path):
    run_here("alg=badge", *TOY, root=tmp_path)
    (run,) = read([tmp_path]).runs
    assert count_rows(run).sum() == 40
    assert acquired_by(settings_of([run]), looks_of([run.label]))[1] == []
    assert "Not counted" not in report(tmp_path)
    change_queries(
        run.folder, lambda arrays: arrays["labels"].__setitem__(45, (arrays["labels"][45] + 1) % 10)
    )
    (run,) = read([tmp_path]).runs
    assert count_rows(run) is None
    told = f"Not counted, since queries.npz is missing, damaged or was changed after it was written: {run.folder.name}."
    assert acquired_by(settings_of([run]), looks_of([run.label])) == ([], [run.folder.name])
    assert told in report(tmp_path)
    write_queries(write_run(tmp_path, "alg=random"))
    html = report(tmp_path)
    assert told in html
    assert "random" in html.split("<section id='acquired'")[1].split("</section>")[0]


def test_damaged_queries_cost_their_bars_and_no_more(tmp_path):
    study = write_study(tmp_path, [0])
    for path in study.glob("*/queries.npz"):
        path.write_bytes(path.read_bytes()[:100])
    assert "badge leads" in text_of(report(study))


def test_pictures_show_what_was_bought_and_mark_the_noisy(tmp_path):
    run_here(*TOY, "alg=random", "noise=class", "name=study", root=tmp_path)
    assert main([str(tmp_path / "study")]) == 0
    html = (tmp_path / "study" / "report" / "index.html").read_text()
    shown = re.findall(r"<img src='data:image/png;base64,[^']+' alt='(\w+), labelled (\d)'", html)
    with np.load(only(tmp_path) / "queries.npz") as arrays:
        bought = {name: arrays[name][arrays["round"] >= 0][: len(shown)] for name in ("labels", "is_noisy")}
    assert len(shown) == 20
    assert [kind == "noisy" for kind, _ in shown] == bought["is_noisy"].tolist()
    assert [int(label) for _, label in shown] == bought["labels"].tolist()
    assert list((tmp_path / "study" / "report").glob("bought-digits-class-*.svg"))


def test_pictures_need_neither_the_data_nor_what_the_config_names(tmp_path, monkeypatch):
    for alg in ("random", "badge"):
        run_here(*TOY, f"alg={alg}", "name=study", root=tmp_path)
    for path in tmp_path.glob("study/*/.hydra/config.yaml"):
        path.write_text(path.read_text().replace("_target_: hetal.data", "_target_: nowhere.data"))
    for name in ("build_experiment", "build_part"):
        monkeypatch.setattr(f"hetal.app.compose.{name}", None)
    assert main([str(tmp_path / "study")]) == 0
    html = (tmp_path / "study" / "report" / "index.html").read_text()
    assert html.count(", labelled ") == 2 * 20


def test_a_run_without_pictures_says_so_beside_those_with_them(tmp_path):
    for alg in ("random", "badge"):
        run_here(*TOY, f"alg={alg}", "name=study", root=tmp_path)
    next(tmp_path.glob("study/badge-*/pictures.npz")).unlink()
    for n, said in ((20, ["badge: runs keep pictures only of"]), (0, [])):
        assert main([str(tmp_path / "study")]) == 0
        html = (tmp_path / "study" / "report" / "index.html").read_text()
        assert html.count(", labelled ") == n
        assert re.findall("badge: runs keep pictures only of", text_of(html)) == said
        assert ("Acquired examples" in html) == bool(said)
        for path in tmp_path.glob("study/random-*/pictures.npz"):
            path.unlink()


MOONS = ["+experiment=four_moons", "device=cpu", "tracker=none", "train.max_epochs=5", "n_end=420"]


def test_decision_regions_are_those_of_the_network_that_was_tested(tmp_path):
    run_here(*MOONS, "alg=confidence", root=tmp_path)
    assert main([str(tmp_path / "four_moons")]) == 0
    (run,) = read([only(tmp_path)]).runs
    with np.load(run.folder / "pictures.npz") as kept:
        axes, classes, test, labels = (
            (kept["x"], kept["y"]),
            kept["classes"],
            kept["test"],
            kept["test_labels"],
        )
    nearest = [np.abs(axis[:, None] - test[:, i]).argmin(0) for i, axis in enumerate(axes)]
    seen = classes[nearest[1], nearest[0]]
    right = (seen == labels).mean()
    assert right == pytest.approx(run.rounds[-1]["accuracy"], abs=0.01)
    html = (tmp_path / "four_moons" / "report" / "index.html").read_text()
    assert "Tinted: the classes that the last network predicts" in text_of(html)


def test_a_network_is_kept_where_asked_for_and_changes_nothing(tmp_path):
    run_here(*TOY, root=tmp_path / "plain")
    run_here(*TOY, "keep_network=true", root=tmp_path / "kept")
    plain, kept = only(tmp_path / "plain"), only(tmp_path / "kept")
    assert plain.name == kept.name
    assert (plain / "queries.npz").read_bytes() == (kept / "queries.npz").read_bytes()
    assert {p.name for p in kept.iterdir()} - {p.name for p in plain.iterdir()} == {"network.pt"}
    weights = torch.load(kept / "network.pt", weights_only=True)
    assert all(torch.isfinite(value).all() for value in weights.values())
    run_here(*TOY, "force=true", root=tmp_path / "kept")
    assert not (kept / "network.pt").exists()


def test_damaged_pictures_are_said_to_be(tmp_path):
    run_here(*MOONS, "alg=confidence", root=tmp_path)
    (only(tmp_path) / "network.pt").write_bytes(b"torn")  # which the report does not open
    (only(tmp_path) / "pictures.npz").write_bytes(b"torn")
    assert main([str(tmp_path / "four_moons")]) == 0
    html = (tmp_path / "four_moons" / "report" / "index.html").read_text()
    assert "not drawn: pictures.npz is no .npz file, or is torn" in text_of(html)


def test_every_strategy_is_named_in_every_section(html):
    for section in ("summary", "noise", "acquired", "numbers", "pairs", "cost"):
        assert f"<section id='{section}'" in html
    for name in ("numbers", "acquired", "cost"):
        part = html.split(f"<section id='{name}'")[1].split("</section>")[0]
        for label in ALGORITHMS:
            assert part.count(f"data-labels='{label}'") == len(NOISES)


def test_many_settings_are_a_table_with_the_cards_folded_away():
    runs = [
        make_run(label, seed, [0.5, end + seed / 100], setting=f"setting {i}")
        for i in range(7)
        for label, end in (("badge", 0.8), ("random", 0.6))
        for seed in range(5)
    ]
    html = page(Reading(tuple(runs)))
    league = html.split("<div class='league'>")[1].split("</table>")[0]
    assert league.count("<tr data-setting=") == 7
    assert text_of(league).count("significant lead, 5 seeds") == 7
    folded = html.split("Every setting with intervals</summary>")[1].split("</details>")[0]
    assert folded.count("<article") == 7


def test_every_line_of_a_table_has_as_many_cells_as_it_has_columns(html):
    tables = re.findall(r"<table class='sortable'>(.*?)</table>", html, re.DOTALL)
    assert len(tables) >= 4
    for found in tables:
        head, body = found.split("</thead>")
        assert {row.count("<td") for row in re.findall(r"<tr.*?</tr>", body, re.DOTALL)} == {
            head.count("<th ")
        }


def page_of(arms):
    """Return what the page says of final accuracies by strategy and seed, in one setting."""
    runs = [make_run(label, s, [0.5, end]) for label, ends in arms.items() for s, end in ends.items()]
    return text_of(page(Reading(tuple(runs))))


def test_where_wilcoxon_cannot_come_out_the_page_says_so():
    def of(n_strategies, n):
        return page_of({f"s{i}": {s: i / 10 + s / 1000 for s in range(n)} for i in range(n_strategies)})

    assert "With 5 seeds Wilcoxon's smallest possible p is 0.0625, so it cannot be significant." in of(2, 5)
    assert "cannot be significant" not in of(2, 6)
    # 2 / 2^7 would do for one pair, but Holm counts six of them.
    said = "With 7 seeds and 6 pairs Wilcoxon's smallest possible p, adjusted, is 0.0938, so it cannot be significant."
    assert said in of(4, 7)
    assert "cannot be significant" not in of(4, 8)


def test_where_no_two_seeds_are_shared_the_page_claims_no_test():
    said = page_of({"a": {0: 0.9}, "b": {0: 0.8}})
    assert "No two strategies share two seeds yet, so nothing is tested." in said
    for claim in ("cannot be significant", "Penalties", "wins at any checkpoint", "significantly ahead of"):
        assert claim not in said
    assert "+5.0" in said
    assert "Penalties" in page_of({"a": {0: 0.9, 1: 0.9}, "b": {0: 0.8, 1: 0.7}})


def test_the_page_leads_nobody_who_has_nobody_to_lead():
    said = page_of({"a": {s: 0.9 + s / 100 for s in range(5)}, "b": {0: 0.95}})
    assert "Only a has finished enough seeds to be compared." in said
    assert "a leads" not in said
    said = page_of({"a": {0: 0.9, 1: 0.8}, "b": {2: 0.7, 3: 0.6}})
    assert "a leads, but on too few seeds" in said.replace(" ,", ",")
    assert "no seed yet that all have finished" in said
    assert "points over" not in said


def test_a_zero_has_no_sign_that_rounding_left_it():
    assert interval(Interval(0.035, -1e-14, 0.12), 1) == "0.0 [0.0, 0.1]"
    assert interval(Interval(-0.02, -0.3, 0.04), 1, sign=True) == "+0.0 [\u22120.3, +0.0]"


def test_two_seeds_are_not_said_to_be_covered_as_often_as_many():
    assert "With 2 seeds they cover at most 50%" in page_of({"a": {0: 0.9, 1: 0.8}})
    assert "they cover at most" not in page_of({"a": {s: s / 10 for s in range(5)}})
    assert "they cover at most" not in page_of({"a": {0: 0.9}})
