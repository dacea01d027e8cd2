"""Records as two pandas frames for notebooks: one row a run, and one row a round."""

from __future__ import annotations

import dataclasses
import glob
import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hetal.errors import BadInput
from hetal.machine.installation import how_to_install
from hetal.record.schema import LARGEST, Round
from hetal.report.load.own import own_ranges, own_value
from hetal.report.load.printable import plain
from hetal.report.load.reading import read, runs_under
from hetal.report.load.records import Run

if TYPE_CHECKING:
    import pandas as pd

CHOICES = (
    "alg", "data", "noise", "mult", "oracle", "model", "optimizer", "schedule", "train", "finetune", "start",
)  # fmt: skip
SUMMARY = ("area_under_curve", "final_accuracy", "queried_clean_share", "base_rate")
PHASES = ("train", "score", "select", "test")
SECONDS = tuple(f"seconds.{phase}" for phase in PHASES)
# What the pool holds, see `hetal.record.schema.PoolContent`: numbers of rows, and such numbers by kind and region.
POOL_ROWS = ("rows", "images", "right", "rejected")
POOL_PER = ("kinds", "regions", "noisy_per_region")
# Fields of a round that are no single number.
COUNTS = ("bought_per_class", "bought_per_kind", "bought_per_region")
OTHERS = ("seconds", "measures", *COUNTS, "queries_digest", "digest")
MEASURES = tuple(field.name for field in dataclasses.fields(Round) if field.name not in OTHERS)

# The columns, in their order; settings follow.
OF_BOTH = ("folder", "name", "label", *CHOICES, "seed", "finished")
OF_RUNS = ("n_rounds", "n_labelled", *SUMMARY, *SECONDS, *(f"pool.{name}" for name in POOL_ROWS))
OF_POOLS = tuple(f"pool.{name}" for name in POOL_PER)
OF_ROUNDS = (*MEASURES, *SECONDS, *COUNTS)

# No config of hetal's has more settings than this; each becomes a column.
MOST_SETTINGS = 1000
# Records that cannot be read are named one by one up to this number.
MOST_WARNINGS = 10


class Frames(NamedTuple):
    """The records under some folders; what a run or a round does not have is missing, as pandas has it.

    Attributes:
        runs: one row a run. `folder`; `name` of the study; `label` of the strategy, as the report has it; the choices
            `alg`, `data`, `noise`, `oracle`, `model`, `optimizer`, `schedule`, `train`, `finetune`, `start`; `mult`,
            noisy rows per clean row, 0 without noise, missing where the noise has no such factor; `seed`; `finished`;
            `n_rounds` and `n_labelled` so far; `area_under_curve`, `final_accuracy`, `queried_clean_share` and
            `base_rate` of a finished run; seconds by phase, as `seconds.train`; what the pool holds, as `pool.rows`
            and a dict `pool.kinds`, see `hetal.record.schema.PoolContent`; and every setting that can change a result
            by its dotted name, as `optimizer.lr`, a list as its text.
        rounds: one row a round. The same columns but for the outcome of the run; in its place the fields of
            `hetal.record.schema.Round`, seconds by phase, and measures of the user's own, as `measures.NAME`.
    """

    runs: pd.DataFrame
    rounds: pd.DataFrame


def load(folder: str | os.PathLike[str], *more: str | os.PathLike[str]) -> Frames:
    """Read all records under some folders; nothing in them is built, resolved or run.

    A record that cannot be read is warned about and left out.

    Args:
        folder: a run, a study, or a folder of studies; or a pattern of them, such as "multirun/digits*".
        more: others; a run that several lead to is read once.

    Raises:
        BadInput: a folder does not exist, may not be opened, or holds no run; or a pattern leads to no run.
        ImportError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(f"hetal.load needs pandas ({error}): {how_to_install('notebook')}") from None

    reading = read([path for given in (folder, *more) for path in _matching(os.fspath(given))])
    problems = list(reading.problems)
    runs = []
    for run in (*reading.runs, *reading.begun):
        if len(run.config) <= MOST_SETTINGS:
            runs.append(run)
        else:
            problems.append((run.folder, f"holds over {MOST_SETTINGS:,} settings"))
    _warn(problems)
    runs.sort(key=lambda run: (run.folder.parent, run.setting, run.label, run.seed))

    own = [*own_ranges(runs)]
    of_own = [f"measures.{name}" for name in own]

    def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
        frame = pd.DataFrame(list(rows), columns=list(columns))
        numeric = [name for name in columns if name in (*OF_RUNS, *MEASURES, *of_own)]
        frame[numeric] = frame[numeric].apply(pd.to_numeric)
        return frame

    about = table(map(_about, runs), OF_BOTH)
    settings = pd.DataFrame([{"n_end": run.n_end, **run.config} for run in runs], index=about.index)
    settings = settings[[key for key in settings if not _is_taken(key) and key not in of_own]]
    rounds = table((_round(row, own) for run in runs for row in run.rounds), (*OF_ROUNDS, *of_own))
    owner = [i for i, run in enumerate(runs) for _ in run.rounds]
    about_rounds, settings_rounds = (frame.take(owner).set_axis(rounds.index) for frame in (about, settings))
    return Frames(
        pd.concat([about, table(map(_outcome, runs), (*OF_RUNS, *OF_POOLS)), settings], axis=1),
        pd.concat([about_rounds, rounds, settings_rounds], axis=1),
    )


def round_rows(run: Run, own: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """Yield every round of a run as a row of plain values: its setting, strategy and seed, and the fields of the round.

    They are those of `Frames.rounds`, with lists and dicts as JSON text, and without the settings.

    Args:
        run: a run.
        own: names of the measures of the user's own.
    """
    about = {"setting": run.setting, "strategy": run.label, **_about(run)}
    del about["label"]
    about["folder"] = plain(f"{run.folder.parent.name}/{run.folder.name}")
    for row in run.rounds:
        fields = _round(row, own)
        texts = {key: json.dumps(fields[key]) for key in COUNTS if fields[key] is not None}
        yield {**about, **fields, **texts}


def _is_taken(key: str) -> bool:
    """Tell whether a setting gets no column: its name is that of another one, or it only says how a part is made."""
    return key in {*OF_BOTH, *OF_RUNS, *OF_POOLS, *OF_ROUNDS} or key.rpartition(".")[2] == "_partial_"


def _matching(given: str) -> Iterator[Path]:
    """Yield the folder given, or where there is none, those that hold runs among what the pattern matches."""
    path = Path(given).expanduser()
    if path.exists() or not glob.has_magic(given):
        yield path
        return
    n = 0
    for match in sorted(glob.glob(str(path), recursive=True)):
        if os.path.isdir(match) and any(runs_under(Path(match), 2)):
            n += 1
            yield Path(match)
    if not n:
        raise BadInput(f"{given}: matches no folder that holds a run")


def _warn(problems: Sequence[tuple[Path, str]]) -> None:
    """Warn, to whoever called `load`, about records that are left out."""
    for folder, reason in problems[:MOST_WARNINGS]:
        warnings.warn(f"{plain(folder, None)}: left out: {reason}", stacklevel=3)
    if (rest := len(problems) - MOST_WARNINGS) > 0:
        warnings.warn(f"{rest:,} more records were left out, which cannot be read either", stacklevel=3)


def _about(run: Run) -> dict[str, Any]:
    """Return what identifies a run."""
    # The option of `mult` does not tell the factor where that was set itself.
    none = 0 if run.choices["noise"] == "clean" else None
    choices = {**run.choices, "mult": _number(run.config.get("noise.factor", none))}
    return {
        "folder": str(run.folder),
        "name": run.name,
        "label": run.label or None,
        **{group: choices.get(group) for group in CHOICES},
        "seed": run.seed,
        "finished": run.summary is not None,
    }


def _outcome(run: Run) -> dict[str, Any]:
    """Return what came out of a run so far."""
    summary = run.summary or {}
    return {
        "n_rounds": len(run.rounds),
        "n_labelled": run.rounds[-1]["n_labelled"] if run.rounds else None,
        **{key: summary.get(key) for key in SUMMARY},
        **{
            f"seconds.{phase}": sum(row.get("seconds", {}).get(phase, 0.0) for row in run.rounds)
            for phase in PHASES
        },
        **{f"pool.{name}": run.pool.get(name) for name in (*POOL_ROWS, *POOL_PER)},
    }


def _round(row: Mapping[str, Any], own: Sequence[str]) -> dict[str, Any]:
    """Return the fields of a round, those that are no numbers left out."""
    seconds = row.get("seconds", {})
    return {
        **{key: _number(row.get(key)) for key in MEASURES},
        **{f"seconds.{phase}": seconds.get(phase) for phase in PHASES},
        **{name: row.get(name) for name in COUNTS},
        **{f"measures.{name}": own_value(row, name) for name in own},
    }


def _number(value: Any) -> Any:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and abs(value) <= LARGEST else None
