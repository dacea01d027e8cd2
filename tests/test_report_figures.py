import dataclasses
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from hetal.errors import BadInput
from hetal.record.measures import MEASURES
from hetal.report.__main__ import main
from hetal.report.analyse.analysis import study_of
from hetal.report.analyse.ceiling import Ceiling, ceiling_of, set_apart
from hetal.report.analyse.criterion import Criterion
from hetal.report.analyse.heat import heat_of
from hetal.report.analyse.pictures import Images, Points
from hetal.report.analyse.results import Curve
from hetal.report.analyse.setting import settings_of
from hetal.report.analyse.styles import COLOURS, REFERENCE, looks_of
from hetal.report.figure import _looks
from hetal.report.files import charts, heatmap, ranks
from hetal.report.files.figures import COLUMN, PAGE, Ruler, Sheet, save, styled
from hetal.report.files.heatmap import draw_heatmap
from hetal.report.files.pictures import draw_images, draw_plane
from hetal.report.files.ranks import can_rank, draw_ranks
from hetal.report.load.names import Names
from hetal.report.load.reading import Reading
from hetal.report.load.selection import Selection, chosen
from hetal.report.page.glyphs import MARKERS
from hetal.report.stats.intervals import Interval
from hetal.report.stats.ranks import Ranking
from tests.synthetic import make_run

LABELS = [f"alg{i}" for i in range(12)]


@pytest.fixture
def drawn(monkeypatch):
    """Keep the figures that are saved, by the name of their file."""
    kept = {}

    def keep(figure: Figure, path, formats) -> None:
        kept[path.name] = figure
        save(figure, path, formats)

    for module in (charts, heatmap, ranks):
        monkeypatch.setattr(module, "save", keep)
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


def draw(found, path, chart="accuracy", **sheet):
    """Draw one chart of a study to `path`, which ends in the name of its file."""
    (figure,) = (f for f in charts.chart_figures(found, path.parent) if f.path.name == chart)
    charts.draw(dataclasses.replace(figure, path=path), found.looks, Sheet(**{"formats": ("svg",), **sheet}))
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
    assert ax.get_title("left") == "d n m (n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}3)"
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
        draw(two_strategies(), tmp_path / name, formats=("svg", "png", "pdf"))
    assert ET.parse(tmp_path / "one.svg").getroot().tag.endswith("svg")
    for suffix in ("svg", "pdf"):
        assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()
    with Image.open(tmp_path / "one.png") as image:
        assert min(image.size) >= 400
    pdf = (tmp_path / "one.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert b"/FontFile2" in pdf  # TrueType, as publishers ask for, and no date
    assert b"/Type3" not in pdf
    assert b"CreationDate" not in pdf


def test_ranks_join_what_is_not_told_apart(tmp_path, drawn):
    ranking = Ranking({"a": 1.0, "b": 1.5, "c": 3.0}, 10, 0.01, 1.2, (("a", "b"),))
    draw_ranks(ranking, tmp_path / "ranks", Sheet(formats=("svg",)))
    (ax,) = drawn["ranks"].axes
    (bar,) = (line for line in ax.get_lines() if line.get_color() == COLOURS[1])
    hung = {line.get_xdata()[0] for line in ax.get_lines() if len(line.get_xdata()) == 3}
    a, b, _ = sorted(hung)
    assert bar.get_xdata() == pytest.approx([a - 0.02, b + 0.02])
    assert "currentColor" in ranks.ranks_html(tmp_path / "ranks")


def test_ranks_of_many_strategies_stand_in_one_column_that_nothing_crosses(tmp_path, drawn):
    names = [f"strategy {i}" for i in range(36)]
    groups = tuple(tuple(names[i : i + 12]) for i in range(0, 24, 2))
    ranking = Ranking({name: i + 1.0 for i, name in enumerate(names)}, 10, 0.01, 11.2, groups)
    draw_ranks(ranking, tmp_path / "ranks", Sheet(COLUMN, ("svg",), title="Ranks"))
    (ax,) = drawn["ranks"].axes
    rows = {text.get_text(): text.get_position() for text in ax.texts}
    heights = [rows[f"{name}  {i + 1:.2f}"][1] for i, name in enumerate(names)]
    assert np.diff(heights) == pytest.approx(np.full(35, heights[1] - heights[0]))
    bars = [line.get_xydata() for line in ax.get_lines() if line.get_color() == COLOURS[1]]
    assert [*np.array(bars)[:, :, 1]] == [
        pytest.approx([heights[i] + 0.03, heights[i + 11] - 0.03]) for i in range(0, 24, 2)
    ]
    within(drawn["ranks"])


def within(figure):
    """Assert that all text is inside of the figure, and none over another."""
    figure.set_dpi(300)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    texts = [*figure.texts, *(text for legend in figure.legends for text in legend.texts)]
    for ax in figure.axes:
        texts += [*ax.texts, ax.title, ax._left_title]
        for axis in (ax.xaxis, ax.yaxis) if ax.axison else ():
            low, high = sorted(axis.get_view_interval())
            texts += [axis.label, *(t.label1 for t in axis.get_major_ticks() if low <= t.get_loc() <= high)]
    texts = [text for text in texts if text.get_text().strip()]
    boxes = np.array([text.get_window_extent(renderer).extents for text in texts])
    outside = (boxes[:, :2] < -1) | (boxes[:, 2:] > [figure.bbox.x1 + 1, figure.bbox.y1 + 1])
    assert not [text for text, out in zip(texts, outside.any(1), strict=True) if out]
    shared = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - np.maximum(
        boxes[:, None, :2], boxes[None, :, :2]
    )
    one, other = np.nonzero(np.triu(shared.min(2) > 2, 1))
    assert not [(texts[i].get_text(), texts[j].get_text()) for i, j in zip(one, other, strict=True)]


def test_ranks_need_three_strategies_and_two_settings():
    assert not can_rank(None)
    assert not can_rank(Ranking({"a": 1.0, "b": 2.0}, 10, np.nan, 1.2, ()))
    assert not can_rank(Ranking({"a": 1.0, "b": 2.0, "c": 3.0}, 1, np.nan, 1.2, ()))


# One figure, at the width of a paper.


def many(n_strategies, n_settings, **changes):
    """Return runs of strategies in settings, the first the best; of "random" in the middle."""
    names = [f"strategy {i}" if i != n_strategies // 2 else "random" for i in range(n_strategies)]
    return [
        make_run(
            name, seed, [0.5, 0.9 - 0.01 * i + 0.002 * seed], setting=f"data noise_{j} x4 network", **changes
        )
        for i, name in enumerate(names)
        for j in range(n_settings)
        for seed in range(2)
    ]  # fmt: skip


@pytest.mark.parametrize(("n_settings", "width"), [(1, COLUMN), (5, PAGE)])
def test_curves_of_many_strategies_fit_a_paper(tmp_path, drawn, n_settings, width):
    draw(study(many(14, n_settings)), tmp_path / "accuracy", width=width, title="All of it, each with a name")
    figure = drawn["accuracy"]
    assert figure.get_figwidth() == width
    within(figure)
    renderer = FigureCanvasAgg(figure).get_renderer()
    (legend,) = figure.legends
    lowest = min(ax.get_tightbbox(renderer).y0 for ax in figure.axes)
    assert legend.get_window_extent(renderer).y1 <= lowest
    assert len(legend.texts) == 14
    assert min(text.get_fontsize() for text in figure.findobj(Text)) >= 7
    assert max(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) <= 8


def test_a_target_is_a_line_with_a_name(tmp_path, drawn):
    (figure,) = (f for f in charts.chart_figures(two_strategies(), tmp_path) if f.path.name == "accuracy")
    charts.draw(
        dataclasses.replace(figure, target=0.9), looks_of(["badge", "random"]), Sheet(formats=("svg",))
    )
    (ax,) = drawn["accuracy"].axes
    assert (90.0, 90.0) in {tuple(line.get_ydata()) for line in ax.get_lines()}
    assert ax.get_ylim()[1] > 90
    assert "target 90%" in [text.get_text() for text in drawn["accuracy"].legends[0].texts]


def test_a_name_may_begin_with_an_underscore_and_be_longer_than_the_figure(tmp_path, drawn):
    names = ["_mine", "long" * 60, "random"]
    draw(study([make_run(name, 0, [0.5, 0.6]) for name in names]), tmp_path / "accuracy", width=COLUMN)
    said = [text.get_text() for text in drawn["accuracy"].legends[0].texts]
    assert [text.replace("\n", "") for text in said] == names
    within(drawn["accuracy"])


def test_a_heat_map_says_what_each_is_ahead_of_the_baseline():
    runs = [r for r in many(3, 2) if (r.label, r.setting[11]) != ("strategy 2", "1")]
    heat = heat_of(study(runs))
    assert heat.strategies == ("strategy 0", "random", "strategy 2")
    assert heat.settings == ("data noise_0 x4 network", "data noise_1 x4 network")
    assert heat.area_LP == pytest.approx(
        np.array([[0.7005, 0.7005], [0.6955, 0.6955], [0.6905, np.nan]]), nan_ok=True
    )
    assert heat.lead_LP == pytest.approx(
        np.array([[0.005, 0.005], [0.0, 0.0], [-0.005, np.nan]]), nan_ok=True
    )
    assert heat.is_best_LP.tolist() == [[True, True], [False, False], [False, False]]
    only = heat_of(study(many(5, 2)), ["strategy 3", "strategy 1", "strategy 4"])
    assert only.strategies == ("strategy 1", "strategy 3", "strategy 4")
    assert only.lead_LP[:, 0] == pytest.approx([0.005, -0.005, -0.01])
    assert only.is_best_LP[0].all()


def test_a_heat_map_of_a_measure_where_less_is_better_and_without_a_baseline():
    criterion = Criterion(MEASURES["nll"], baseline="nobody")
    runs = [
        dataclasses.replace(run, rounds=tuple({**row, "nll": 1 + row["accuracy"]} for row in run.rounds))
        for run in many(3, 2)
    ]
    heat = heat_of(study_of(Reading(tuple(runs)), criterion))
    assert heat.strategies == ("strategy 2", "random", "strategy 0")
    assert heat.lead_LP[:, 0] == pytest.approx([0.005, 0, -0.005])
    assert heat.against == "the mean"
    assert heat.is_best_LP[0].all()


def test_a_heat_map_needs_three_strategies_and_two_settings():
    assert heat_of(study(many(3, 1))) is None
    assert heat_of(study(many(2, 2))) is None


@pytest.mark.parametrize(("width", "size"), [(None, (7, 3)), (COLUMN, (5, 6)), (PAGE, (18, 3))])
def test_a_heat_map_can_be_read(tmp_path, drawn, width, size):
    heat = heat_of(study([run for run in many(*size) if run.seed == 0]))
    draw_heatmap(heat, tmp_path / "heatmap", Sheet(width, ("svg",), title="Areas"))
    figure = drawn["heatmap"]
    assert figure.get_figwidth() == pytest.approx(width) or width is None
    values = [t for t in figure.axes[0].texts if t.get_text().replace(".", "").isdigit()]
    assert len(values) == size[0] * size[1]
    assert min(text.get_fontsize() for text in values) >= heatmap.LEAST
    within(figure)


def test_values_of_40_strategies_in_60_settings_fit_a_page():
    values = np.full((60, 40), 85.3)
    with styled(Sheet()):
        page, on_page = heatmap._cells(Ruler(), values, 1, 1.9, PAGE)
        free, alone = heatmap._cells(Ruler(), values, 1, 1.9, None)
    assert (page.is_turned, on_page[0][0]) == (False, "85")
    assert page.size >= 5
    assert page.high * 60 < 9.5
    assert (free.is_turned, free.size, alone[0][0]) == (False, heatmap.SIZE, "85.3")


def test_a_heat_map_that_cannot_be_read_is_not_drawn(tmp_path):
    heat = heat_of(study([run for run in many(50, 2) if run.seed == 0]))
    heat = dataclasses.replace(
        heat, settings=tuple(map(str, range(60))), **{
            name: np.repeat(getattr(heat, name)[:, :1], 60, axis=1) for name in ("area_LP", "lead_LP", "is_best_LP")
        }
    )  # fmt: skip
    with pytest.raises(BadInput, match=r"50 columns do not fit in 3\.25 inches"):
        draw_heatmap(heat, tmp_path / "heatmap", Sheet(COLUMN))
    assert not list(tmp_path.iterdir())


def test_a_style_of_the_user_is_applied_over_that_of_the_report(tmp_path, drawn):
    (tmp_path / "mine.mplstyle").write_text("lines.linewidth: 5\nsavefig.bbox: tight\nfigure.figsize: 9, 9\n")
    draw(two_strategies(), tmp_path / "accuracy", styles=(str(tmp_path / "mine.mplstyle"), "dark_background"))
    (ax,) = drawn["accuracy"].axes
    assert {line.get_linewidth() for line in ax.get_lines()} == {5}
    assert to_rgb(ax.get_facecolor()) == (0, 0, 0)
    assert drawn["accuracy"].get_figwidth() == COLUMN
    assert float(ET.parse(tmp_path / "accuracy.svg").getroot().get("width").removesuffix("pt")) == 72 * COLUMN


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "neither a file nor a style that matplotlib has, such as "),
        ("lines.linewdith: 5\n", "Bad key lines.linewdith"),
        ("lines.linewidth: thick\n", "Bad value"),
        ("lines.linewidth\n", "Missing colon"),
        (b"\xff\xfe\x00", "style"),
    ],
)
def test_a_bad_style_is_one_line(tmp_path, capsys, text, said):
    path = tmp_path / "mine.mplstyle"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadInput) as error, styled(Sheet(styles=(str(path),))):
        pass
    assert str(error.value).startswith(f"--style {path}: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert capsys.readouterr() == ("", "")


def test_bought_images_are_marked_where_noisy():
    pictures = np.stack([np.full((8, 8), 20 * i, np.uint8) for i in range(2)])
    figure = draw_images({"badge": Images(pictures, np.array([3, 4]), np.array([True, False]))})
    (ax,) = figure.axes
    _, clean, noisy = ax.collections
    assert [len(frames.get_paths()) for frames in (clean, noisy)] == [1, 1]
    assert clean.get_edgecolor().tolist() != noisy.get_edgecolor().tolist()
    (crosses,) = ax.get_lines()
    assert crosses.get_xdata() == pytest.approx([1], abs=0.1)  # of the first image
    (row,) = ax.get_images()
    assert row.get_extent() == [0, 2, 1, 0]
    assert row.get_array()[0].tolist() == [0] * 8 + [20] * 8


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


# The command.

ALGORITHMS = ("badge", "coreset", "margin", "random")


@pytest.fixture
def records(tmp_path, monkeypatch):
    """Return a folder in which four strategies in two settings are found."""
    runs = [
        make_run(
            alg, 0, [0.5, 0.9 - 0.1 * i], choices={"alg": alg, "data": "digits", "noise": noise, "model": "mlp"},
            config={"alg._target_": alg, "noise.factor": 4 if noise == "class" else None},
            setting=f"digits {noise} mlp",
        )
        for i, alg in enumerate(ALGORITHMS)
        for noise in ("class", "symmetric 0.4")
    ]  # fmt: skip
    monkeypatch.setattr("hetal.report.figure.read", lambda folders: Reading(tuple(runs)))
    (tmp_path / "study").mkdir()
    return tmp_path / "study"


def command(*arguments):
    return main([*map(str, arguments)])


def names_of(legend):
    return [text.get_text() for text in legend.texts]


def test_a_figure_is_one_file_and_nothing_else(records, tmp_path, drawn, capsys):
    out = tmp_path / "papers" / "figure.svg"
    chosen = ("--alg", "BADGE,random", "margin", "--noise", "symmetric")
    names = tmp_path / "names.yaml"
    names.write_text("strategies: {random: Random choice, badge: BADGE}\ntitle: Not of a figure\n")
    assert (
        command(records, "--figure", "curves", *chosen, "--names", names, "--width", "column", "--out", out)
        == 0
    )
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["figure.svg", "names.yaml"]
    assert capsys.readouterr().out.startswith("3 runs in 1 setting, ")
    figure = drawn["figure"]
    assert figure.get_figwidth() == COLUMN
    assert names_of(figure.legends[0]) == ["BADGE", "margin", "Random choice"]
    (ax,) = figure.axes
    assert ax.get_title("left") == "digits symmetric 0.4 mlp (n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}1)"
    assert not figure.texts
    assert not (records / "report").exists()


def test_a_figure_by_another_measure_with_a_title(records, tmp_path, drawn):
    arguments = ("--figure", "curves", "--measure", "clean_share", "--target", "0.5", "--title", "Mine")
    assert command(records, *arguments, "--out", tmp_path / "x.svg") == 0
    figure = drawn["x"]
    assert [text.get_text() for text in figure.texts] == ["Mine"]
    assert names_of(figure.legends[0])[-2:] == ["the pool's share", "target 50%"]
    assert figure.axes[0].get_ylim() == (-3, 103)


def test_a_heat_map_and_ranks_are_of_what_is_chosen(records, tmp_path, drawn):
    chosen = ("--alg", "badge,coreset,margin", "--out", records)
    assert command(records, "--figure", "heatmap", *chosen, "--style", "grayscale") == 0
    (ax, _) = drawn["figure-heatmap"].axes
    assert "random" not in {text.get_text() for text in ax.texts}
    assert "ahead of random" in drawn["figure-heatmap"].texts[0].get_text()
    assert command(records, "--figure", "ranks", *chosen) == 0
    names = {f"figure-{kind}.{suffix}" for kind in ("heatmap", "ranks") for suffix in ("pdf", "svg", "png")}
    assert {path.name for path in records.iterdir()} == names


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--alg badge", "--alg: goes with --figure curves|ranks|heatmap"),
        ("--style ggplot", "--style: goes with --figure"),
        ("--figure ranks --watch 3", "--figure and --watch: must be one of them"),
        ("--figure ranks --no-pictures", "--figure and --no-pictures: must be one of them"),
        ("--figure ranks --target 0.5", "--target: goes with --figure curves, not ranks"),
        ("--figure curves --target 50", "--target 50.0: must be in [0, 1]"),
        ("--figure curves --measure accuracy,nll", "--measure accuracy,nll: a figure is of one measure"),
        ("--figure curves --measure right_share", "--figure curves: no run has right_share"),
        ("--figure curves --alg badge,bagde", "--alg bagde: no run is of it; there are badge, coreset, margin, random"),
        ("--figure curves --noise clss", "--noise clss: no run is of it; there are class x4, symmetric 0.4"),
        ("--figure curves --data ,", "--data : no run is of it; there are digits"),
        ("--figure ranks --noise class", "needs three strategies that are finished in all settings, and two settings; "
         "of what is chosen there are 4, and 1"),
        ("--figure heatmap --alg badge,margin", "of what is chosen there are 3, and 2"),
        ("--figure curves --style gplot", "--style gplot: neither a file nor a style that matplotlib has, such as "),
        ("--figure curves --out x.jpeg", "--out x.jpeg: must end in .pdf, .svg, .png, or in none for all"),
    ],
)  # fmt: skip
def test_a_figure_that_cannot_be_made_is_one_line(records, capsys, monkeypatch, arguments, said):
    monkeypatch.chdir(records)
    assert command(records, *arguments.split(), *([] if "--out" in arguments else ["--out", "x.svg"])) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert said in err
    assert err.count("\n") == 1
    assert not list(records.iterdir())


def test_strategies_keep_their_colours_unless_two_would_have_one():
    names = [f"s{i}" for i in range(8)]
    runs = [make_run(name, 0, [0.5, 0.6]) for name in names]

    def looks(*shown):
        found = study([run for run in runs if run.label in shown])
        return {label: look[0] for label, look in _looks(found, runs, Names(), []).items()}

    assert looks("s1", "s2") == {"s1": COLOURS[1], "s2": COLOURS[2]}
    assert looks("s1", "s7") == {"s1": COLOURS[0], "s7": COLOURS[1]}


def test_a_name_with_commas_can_be_chosen_and_a_beginning_too():
    runs = [make_run(label, 0, [0.5]) for label in ("lhd, n=5", "lhd, n=6", "badge")]

    def labels(*texts):
        return {run.label for run in chosen(runs, Selection(texts), Names({}))}

    assert labels("lhd, n=5,badge") == {"lhd, n=5", "badge"}
    assert labels("lhd") == {"lhd, n=5", "lhd, n=6"}
    with pytest.raises(BadInput, match="--alg lh: no run is of it"):
        labels("lh")


@pytest.mark.parametrize(
    ("most", "is_share", "scale", "axis"),
    [(0.9, True, 100, "y"), (9e15, False, 1e-15, "y (1e15)"), (-4e-7, False, 1e7, "y (1e-7)"), (0, False, 1, "y"),
     (99999.0, False, 1, "y"), (1e-9, True, 1e9, "y (1e-7)")],
)  # fmt: skip
def test_very_large_and_small_values_say_their_power_of_ten_on_the_axis(most, is_share, scale, axis):
    curve = Curve([10.0, 20.0], [0.0, most], [0.0, most], [0.0, most], [3, 3], [])
    chart = charts.ChartFigure([charts.Facet("s", "d", {"a": curve})], "x", "y", Path("c"), is_share=is_share)
    assert chart.scale == pytest.approx(scale)
    assert chart.y_axis == axis
