"""`python -m hetal.report.dashboard multirun/NAME`: a W&B report of a study that compares strategies by noise.

The runs must be on W&B, by `tracker.mode=online` or `wandb sync`. Which settings the study has is read from its
records, and which measures are drawn, which are those of the report; the curves are W&B's, so those of runs that come
later appear by themselves. Each call makes a new report. Needs `pip install -e '.[dashboard]'`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hetal.app.resolvers import wandb_says
from hetal.errors import BadInput
from hetal.machine.installation import how_to_install
from hetal.record.measures import MEASURES, Measure
from hetal.record.redact import redacted
from hetal.report.analyse.criterion import MOST_RUNS, measures_of
from hetal.report.analyse.own import own_measures
from hetal.report.analyse.series import series
from hetal.report.load.names import names_of
from hetal.report.load.reading import read
from hetal.report.load.records import Run
from hetal.report.stats.intervals import Floats

# What is drawn of every setting after the measures that the report compares by: other measures of rounds against the
# number of labels, and measures of runs as bars.
ALSO = ("clean_share_so_far", "n_distinct_so_far", "seconds/train", "epochs")
WITH_BASE_RATE = ("clean_share", "clean_share_so_far")
BARS = ("area_under_curve", "final_accuracy", "labels_to_reach_random")
WIDTH, HEIGHT, COLUMNS = 8, 7, 3  # of a panel; a report is 24 wide

# What may be swept beside strategies: a curve is a mean over seeds only if runs are told apart by what of it varies.
GROUPS = ("oracle", "optimizer", "schedule", "train", "finetune", "start")
VALUES = ("n_start", "n_query", "n_end", "data.n_train")
SETTINGS = (
    "alg.", "noise.", "oracle.", "model.", "optimizer.", "schedule.", "train.", "finetune.", "start.",
)  # fmt: skip


@dataclass(frozen=True)
class Facet:
    """One setting: what the strategies that are compared have in common; its fields are those of W&B's config."""

    name: str
    data: str
    model: str
    noise: str
    mult: float | None

    @property
    def title(self) -> str:
        """For the heading of its panels."""
        mult = "" if self.mult is None else f", {self.mult:g} noisy rows per clean row"
        return f"{self.noise}: {self.data}, {self.model}{mult}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m hetal.report.dashboard",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="of the study, such as multirun/default")
    parser.add_argument(
        "--project",
        default=wandb_says("project", "hetal"),
        help="W&B project of the runs; WANDB_PROJECT, or hetal, unless given",
    )
    parser.add_argument(
        "--entity",
        default=wandb_says("entity", None),
        help="W&B user or team; WANDB_ENTITY, or the account's default, unless given",
    )
    options = parser.parse_args(arguments)
    try:
        print(make(options.folder, options.project, options.entity))
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def make(folder: Path, project: str, entity: str | None) -> str:
    """Make the report of the study in `folder`, and return its address.

    Raises:
        BadInput: there is no run in `folder`, the extra is not installed, or W&B refuses.
    """
    runs = read([folder]).runs
    if not runs:
        raise BadInput(f"{folder}: no run has finished a round yet")
    few = runs[:: len(runs) // MOST_RUNS + 1]
    measures, why = measures_of(few, own_measures(few, names_of([folder])))
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.setdefault("WANDB_SILENT", "true")
    try:
        from wandb import Api
        from wandb_workspaces.reports import v2
    except ImportError:
        raise BadInput(f"wandb-workspaces is not installed; {how_to_install('dashboard')}") from None
    wr: Any = v2
    try:
        entity = entity or Api().default_entity or ""
        report = wr.Report(
            entity=entity,
            project=project,
            title=f"hetal: {folder.resolve().name}",
            description=f"Curves are means over seeds, with the range from the lowest to the highest. {why}".strip(),
            width="fluid",
            blocks=blocks(wr, runs, measures, project, entity),
        )
        report.save()
    except BadInput:
        raise
    except Exception as error:  # of wandb, its service or its transport: of no common class
        raise BadInput(f"W&B says: {redacted(' '.join(str(error).split()))[:300]}") from None
    return str(report.url)


def blocks(wr: Any, runs: Sequence[Run], measures: Sequence[Measure], project: str, entity: str) -> list[Any]:
    """Return the report's blocks: a heading and a grid of panels for every facet.

    Args:
        wr: `wandb_workspaces.reports.v2`.
        runs: of the study, or of several.
        measures: that strategies are compared by, the first of which leads.
        project, entity: where its runs are on W&B.
    """
    by_facet: dict[Facet, list[Run]] = {}
    for run in runs:
        by_facet.setdefault(_facet(run), []).append(run)
    several = len({facet.name for facet in by_facet}) > 1
    groupby = [f"config.{key}" for key in ("alg", *varied(runs))]
    made: list[Any] = [wr.TableOfContents()]
    for facet in sorted(by_facet, key=lambda f: (f.name, f.data, f.model, f.noise, f.mult or 0)):
        filters = " and ".join(f"Config({k!r}) = {v!r}" for k, v in vars(facet).items() if v is not None)
        title = f"{facet.name}, {facet.title}" if several else facet.title
        runset = wr.Runset(entity=entity, project=project, name=title, filters=filters, groupby=groupby)
        panels = _panels(wr, measures, by_facet[facet])
        made += [wr.H2(title), wr.PanelGrid(runsets=[runset], panels=panels)]
    return made


def _curves(measures: Sequence[Measure], runs: Sequence[Run]) -> dict[str, str]:
    """Return the titles of the curves of one setting, by the key of what they show.

    Shares are left out where all are 1, as of clean rows where all are clean, and right labels where they are just
    those of clean rows.
    """
    few = runs[:: len(runs) // MOST_RUNS + 1]

    def values(key: str) -> Floats:
        return np.concatenate([series(run, key) for run in few])

    titles = {m.key: m.title + ", lower is better" * (m.better == "lower") for m in measures}
    titles |= {key: MEASURES[key].title for key in ALSO}
    for key in [key for key in titles if key.endswith("_share") or key in WITH_BASE_RATE]:
        known = values(key)[~np.isnan(values(key))]
        is_same = key == "right_share" and np.allclose(values(key), values("clean_share"), equal_nan=True)
        if np.allclose(known, 1) or is_same:
            del titles[key]
    return titles


def _panels(wr: Any, measures: Sequence[Measure], runs: Sequence[Run]) -> list[Any]:
    mean = {"groupby_aggfunc": "mean", "groupby_rangefunc": "minmax"}
    panels = [
        wr.LinePlot(
            title=title,
            x="n_labelled",
            y=[key, *(["base_rate"] if key in WITH_BASE_RATE else [])],
            title_x="labels",
            title_y=" ",
            smoothing_factor=0,
            **mean,
        )
        for key, title in _curves(measures, runs).items()
    ]
    bars = {key: MEASURES[key].title for key in BARS}
    if (leads := measures[0]).key != "accuracy":  # of which W&B has the last value
        bars = {leads.key: f"Final {leads.title[0].lower()}{leads.title[1:]}", **bars}
    panels += [wr.BarPlot(title=title, metrics=[key], **mean) for key, title in bars.items()]
    panels.append(wr.MediaBrowser(title="Bought: blue is clean, orange is noise", media_keys=["bought"]))
    for i, panel in enumerate(panels):
        row, column = divmod(i, COLUMNS)
        panel.layout = wr.Layout(x=column * WIDTH, y=row * HEIGHT, w=WIDTH, h=HEIGHT)
    panels[-1].layout.w = WIDTH * COLUMNS
    return panels


def _facet(run: Run) -> Facet:
    chosen = run.choices
    name = run.name or run.folder.parent.name
    return Facet(name, chosen["data"], chosen["model"], chosen["noise"], run.config.get("noise.factor"))


def varied(runs: Sequence[Run]) -> list[str]:
    """Return what else than the strategy tells runs of a facet apart, by its name in W&B's config.

    The groups of `GROUPS` that the study varies; the values of `VALUES`, and the single settings of groups, that differ
    among runs of one facet, strategy and choice of each group.
    """
    groups = [key for key in GROUPS if len({run.choices.get(key) for run in runs}) > 1]
    comparable: dict[Any, list[Run]] = {}
    for run in runs:
        comparable.setdefault((_facet(run), *(run.choices.get(key) for key in ("alg", *GROUPS))), []).append(
            run
        )
    keys = {key for run in runs for key in run.config if key in VALUES or key.startswith(SETTINGS)}
    keys = {key for key in keys if "._" not in key}  # which W&B is not told
    differ = {
        key
        for key in keys
        for same in comparable.values()
        if len({repr(run.config.get(key)) for run in same}) > 1
    }
    return groups + sorted(key.replace(".", "/") for key in differ)


if __name__ == "__main__":
    raise SystemExit(main())
