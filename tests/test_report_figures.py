import dataclasses
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from hetal.report.analyse.analysis import study_of
from hetal.report.analyse.ceiling import Ceiling, ceiling_of, set_apart
from hetal.report.analyse.pictures import Images, Points
from hetal.report.analyse.setting import settings_of
from hetal.report.analyse.styles import COLOURS, REFERENCE, looks_of
from hetal.report.files import charts, figures
from hetal.report.files.figures import draw_ranks, save
from hetal.report.files.pictures import draw_images, draw_plane
from hetal.report.load.reading import Reading
from hetal.report.page.glyphs import MARKERS
from hetal.report.stats.intervals import Interval
from hetal.report.stats.ranks import Ranking
from tests.synthetic import make_run

LABELS = [f"alg{i}" for i in range(12)]


@pytest.fixture
def drawn(monkeypatch):
    """Keep the figures that are saved, by the name of their file."""
    kept = {}

    def keep(figure: Figure, path) -> None:
        kept[path.name] = figure
        save(figure, path)

    monkeypatch.setattr(figures, "save", keep)
    monkeypatch.setattr(charts, "save", keep)
    return kept


def test_every_strategy_looks_like_no_other():
    found = looks_of([*LABELS, "random"])
    assert len(set(found.values())) == len(found)
    assert len({(dash, colour) for colour, dash, _ in found.values()}) == len(found)
    assert found["random"][0] == REFERENCE
    assert list(found)[-1] == "random"


def test_looks_do_not_depend_on_random_being_there():
    assert looks_of(["a", "b", "random"])["b"] == looks_of(["a", "b"])["b"]


def test_every_marker_can_be_drawn_on_the_page():
    assert {marker for *_, marker in looks_of(LABELS).values()} <= set(MARKERS)


def brightness(colour):
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return np.dot(linear, [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("paper", ["#ffffff", "#15171a"])
def test_colours_can_be_seen_on_both_papers(paper):
    for colour in (*COLOURS, REFERENCE):
        light, dark = sorted((brightness(colour), brightness(paper)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) > 2.2, colour


def two_strategies():
    runs = [make_run("badge", seed, [0.5, 0.7 + 0.01 * seed, 0.8]) for seed in range(3)]
    return study([*runs, *(make_run("random", seed, [0.5, 0.6, 0.7]) for seed in range(3))])


def study(runs):
    return study_of(Reading(tuple(runs)))


def draw(found, path, chart="accuracy"):
    """Draw one chart of a study to `path`, which ends in the name of its file."""
    (figure,) = (f for f in charts.chart_figures(found, path.parent) if f.path.name == chart)
    charts.draw(dataclasses.replace(figure, path=path), looks_of(["badge", "random"]))
    return found.curves


def test_a_figure_shows_means_intervals_and_n(tmp_path, drawn):
    found = draw(two_strategies(), tmp_path / "accuracy")
    (ax,) = drawn["accuracy"].axes
    lines = {line.get_color(): line for line in ax.get_lines()}
    badge = lines[looks_of(["badge", "random"])["badge"][0]]
    assert badge.get_xydata() == pytest.approx(np.array([[10, 50], [20, 71], [30, 80]]))
    band = ax.collections[-1].get_paths()[0].vertices
    curve = found["d n m", "badge", "accuracy"]
    assert band[:, 1].max() == pytest.approx(100 * max(curve.high))
    assert [text.get_text() for text in ax.texts] == ["n = 3"]
    low, high = ax.get_ylim()
    assert low < 50 < 100 * max(curve.high) < high
    assert [text.get_text() for text in drawn["accuracy"].legends[0].texts] == ["badge", "random"]


def test_a_figure_shows_its_references(tmp_path, drawn):
    ceiling = Ceiling(1297, Interval(0.95, 0.94, 0.96), 5)
    found = dataclasses.replace(two_strategies(), ceilings={"d n m": ceiling})
    draw(found, tmp_path / "accuracy")
    draw(found, tmp_path / "clean-share", "clean-share")
    heights = {
        name: {tuple(line.get_ydata()) for line in drawn[name].axes[0].get_lines()}
        for name in ("accuracy", "clean-share")
    }
    assert (95.0, 95.0) in heights["accuracy"] - heights["clean-share"]
    assert (20.0, 20.0) in heights["clean-share"] - heights["accuracy"]
    said = [text.get_text() for text in drawn["accuracy"].legends[0].texts]
    assert said[-1] == "all 1,297 clean labels"


def test_files_are_whole_and_made_alike_each_time(tmp_path):
    for name in ("one", "two"):
        draw(two_strategies(), tmp_path / name)
    assert ET.parse(tmp_path / "one.svg").getroot().tag.endswith("svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    with Image.open(tmp_path / "one.png") as image:
        assert min(image.size) >= 400


def test_ranks_join_what_is_not_told_apart(tmp_path, drawn):
    ranking = Ranking({"a": 1.0, "b": 1.5, "c": 3.0}, 10, 0.01, 1.2, (("a", "b"),))
    draw_ranks(ranking, tmp_path / "ranks")
    bars = [line for line in drawn["ranks"].axes[0].get_lines() if line.get_color() == COLOURS[1]]
    (bar,) = bars
    assert bar.get_xdata() == pytest.approx([1.0 - 0.04, 1.5 + 0.04])
    assert (tmp_path / "ranks.svg").exists()


def test_bought_images_are_marked_where_noisy():
    pictures = np.stack([np.full((8, 8), 20 * i, np.uint8) for i in range(2)])
    figure = draw_images({"badge": Images(pictures, np.array([3, 4]), np.array([True, False]))})
    noisy, clean = figure.axes
    assert len(noisy.get_lines()) == 1
    assert not clean.get_lines()
    assert noisy.spines["top"].get_edgecolor() != clean.spines["top"].get_edgecolor()


def test_the_plane_shows_all_that_was_bought_and_the_regions():
    points = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.5]])
    x, y = np.linspace(0, 2, 5), np.linspace(0, 1, 4)
    regions = (x, y, (np.add.outer(y, x) > 1.5).astype(int))
    acquired = Points(points, np.array([True, False, False]), points, 0.8, regions)
    figure = draw_plane({"badge": acquired})
    (ax,) = figure.axes
    assert ax.get_title() == "badge: 80.0% accurate, 33% noisy"
    offsets = [
        len(c.get_offsets())
        for c in ax.collections
        if c.get_offsets().shape[1] == 2 and len(c.get_offsets()) > 0
    ]
    assert {1, 2, 3} <= set(offsets)
    assert len(draw_plane({"badge": dataclasses.replace(acquired, regions=None)}).axes[0].collections) < len(
        ax.collections
    )


def whole_run(seed, n, accuracy, **changes):
    choices = {"alg": "random", "data": "d", "noise": "clean", "model": "m"}
    return make_run(
        "random", seed, [accuracy], [n], choices=choices, config={"data.n_train": 5}, setting="d clean m",
        **changes,
    )  # fmt: skip


def test_runs_on_all_labels_are_a_ceiling_and_no_strategy():
    buying = [make_run("badge", seed, [0.5, 0.6], config={"data.n_train": 5}) for seed in range(2)]
    small, large = [whole_run(0, 50, 0.7)], [whole_run(seed, 100, 0.9 + 0.02 * seed) for seed in range(2)]
    others, ceilings = set_apart([*buying, *small, *large])
    assert others == buying
    (setting,) = settings_of(others)
    found = ceiling_of(setting, ceilings)
    assert (found.n_labelled, found.n) == (100, 2)
    assert found.value.mean == pytest.approx(0.91)


@pytest.mark.parametrize("changes", [{"summary": None}, {"config": {"data.n_train": 6}}])
def test_a_run_that_is_unfinished_or_on_other_data_is_no_ceiling(changes):
    buying = [make_run("badge", 0, [0.5, 0.6], config={"data.n_train": 5})]
    whole = make_run("random", 0, [0.9], [100], setting="d clean m", **{
        "choices": {"alg": "random", "data": "d", "noise": "clean", "model": "m"},
        "config": {"data.n_train": 5}, **changes,
    })  # fmt: skip
    others, ceilings = set_apart([*buying, whole])
    assert others == [*buying, whole]
    assert not ceilings


def test_an_interval_of_two_seeds_does_not_set_the_scale(tmp_path, drawn):
    runs = [make_run("badge", seed, [0.5, 0.5 + 0.2 * seed]) for seed in range(2)]
    found = draw(study(runs), tmp_path / "accuracy")
    assert found["d n m", "badge", "accuracy"].high[1] > 1.5
    assert drawn["accuracy"].axes[0].get_ylim()[1] < 65


def test_a_report_has_six_figures(tmp_path):
    found = charts.chart_figures(two_strategies(), tmp_path)
    assert [chart.path.name for chart in found] == [
        "accuracy", "time", "clean-share", "cumulative", "clean-labels", "distinct",
    ]  # fmt: skip
    assert [f.base_rate for chart in found for f in chart.facets] == [None, None, 0.2, 0.2, None, None]
