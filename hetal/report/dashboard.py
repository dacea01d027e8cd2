"""`python -m hetal.report.dashboard multirun/NAME`: a W&B report of a study that compares strategies by noise.

The runs must be on W&B, by `tracker.mode=online` or `wandb sync`. Which settings the study has is read from its
records; the curves are W&B's, so those of runs that come later appear by themselves. Each call makes a new report.
Needs `pip install -e '.[dashboard]'`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hetal.app.resolvers import wandb_says
from hetal.errors import BadInput
from hetal.machine.installation import how_to_install
from hetal.record.measures import MEASURES
from hetal.record.redact import redacted
from hetal.report.load.reading import read
from hetal.report.load.records import Run

# What is drawn of every setting, in this order: measures of rounds against the number of labels, and of runs as bars.
CURVES = (
    "accuracy", "clean_share", "clean_share_so_far", "balanced_accuracy", "ece", "nll", "n_distinct_so_far",
    "seconds/train", "epochs",
)  # fmt: skip
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
    """One setting: what the strategies that are compared have in common."""

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
        name = folder.resolve().name
        report = wr.Report(
            entity=entity,
            project=project,
            title=f"hetal: {name}",
            description="Curves are means over seeds, with the range from the lowest to the highest.",
            width="fluid",
            blocks=blocks(wr, runs, name, project, entity),
        )
        report.save()
    except BadInput:
        raise
    except Exception as error:  # of wandb, its service or its transport: of no common class
        raise BadInput(f"W&B says: {redacted(' '.join(str(error).split()))[:300]}") from None
    return str(report.url)


def blocks(wr: Any, runs: Sequence[Run], name: str, project: str, entity: str) -> list[Any]:
    """Return the report's blocks: a heading and a grid of panels for every facet.

    Args:
        wr: `wandb_workspaces.reports.v2`.
        runs: of the study.
        name: of the study.
        project, entity: where its runs are on W&B.
    """
    facets = sorted({_facet(run) for run in runs}, key=lambda f: (f.data, f.model, f.noise, f.mult or 0))
    groupby = [f"config.{key}" for key in ("alg", *varied(runs))]
    made: list[Any] = [wr.TableOfContents()]
    for facet in facets:
        here = {"name": name, **vars(facet)}
        filters = " and ".join(f"Config({k!r}) = {v!r}" for k, v in here.items() if v is not None)
        runset = wr.Runset(entity=entity, project=project, name=facet.title, filters=filters, groupby=groupby)
        made += [wr.H2(facet.title), wr.PanelGrid(runsets=[runset], panels=_panels(wr))]
    return made


def _panels(wr: Any) -> list[Any]:
    mean = {"groupby_aggfunc": "mean", "groupby_rangefunc": "minmax"}
    panels = [
        wr.LinePlot(
            title=MEASURES[key].title,
            x="n_labelled",
            y=[key, *(["base_rate"] if key in WITH_BASE_RATE else [])],
            title_x="labels",
            title_y=" ",
            smoothing_factor=0,
            **mean,
        )
        for key in CURVES
    ]
    panels += [wr.BarPlot(title=MEASURES[key].title, metrics=[key], **mean) for key in BARS]
    panels.append(wr.MediaBrowser(title="Bought: blue is clean, orange is noise", media_keys=["bought"]))
    for i, panel in enumerate(panels):
        row, column = divmod(i, COLUMNS)
        panel.layout = wr.Layout(x=column * WIDTH, y=row * HEIGHT, w=WIDTH, h=HEIGHT)
    panels[-1].layout.w = WIDTH * COLUMNS
    return panels


def _facet(run: Run) -> Facet:
    chosen = run.choices
    return Facet(chosen["data"], chosen["model"], chosen["noise"], run.config.get("noise.factor"))


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
